package web

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"netwatchd/internal/diagnose"
	"netwatchd/internal/watch"
)

// /api/v1/events is a stream of server-sent events (WHATWG HTML, 9.2), for whoever wants to know at once. Each has JSON in
// its data:
//
//	event: snapshot     on connecting: what stands, of every service
//	event: verdict      when a verdict moves: what stands now, and the cause before it
//	event: heartbeat    every ten seconds: silence means that the connection is lost
//
// Snapshots and verdicts have an id. A client that connects again with Last-Event-ID gets the verdicts since instead of a
// snapshot, if they are remembered still: the last 256 are, until netwatchd ends. A client that does not take its events is
// disconnected; beyond a hundred clients the answer is 503 unavailable, with Retry-After.
type (
	snapshotEvent struct {
		At       time.Time  `json:"at"`
		Version  string     `json:"version"`
		Services []standing `json:"services"`
	}
	verdictEvent struct {
		At  time.Time      `json:"at"`
		Was diagnose.Cause `json:"was"`
		standing
	}
	heartbeatEvent struct {
		At time.Time `json:"at"`
	}
)

// A standing is a verdict in short; the whole of it is in /api/v1/status.
type standing struct {
	Service  string            `json:"service"`
	Cause    diagnose.Cause    `json:"cause"`
	Severity diagnose.Severity `json:"severity"`
	Title    string            `json:"title"`
	Advice   string            `json:"advice"`
	Since    time.Time         `json:"since"`
}

func standingOf(s watch.Standing) standing {
	return standing{s.Service, s.Cause, s.Severity, s.Title, s.Advice, s.Since}
}

const (
	// listenersMost is many times the tabs and scripts one host's daemon is looked at with. Each costs a goroutine and a
	// connection, of which a page left open by mistake must not take all.
	listenersMost = 100

	// remembered verdicts are what a laptop that slept or a proxy that restarted has missed.
	remembered = 256

	// queued is how far a client may be behind: ten thousand services that fail in one moment are moved by a snapshot.
	queued = 64

	// heartbeat is under the 30 s after which the most impatient proxies cut a silent connection.
	heartbeat = 10 * time.Second

	// takeWait is how long a client may take to take an event, beyond what the kernel's buffers hold.
	takeWait = 5 * time.Second

	// reconnect is how soon a browser tries again.
	reconnect = 2 * time.Second
)

// Events tells its clients of verdicts that move. It is an observer of the watcher, which never waits for any of them.
type Events struct {
	watch.Indifferent

	epoch string // tells the ids of this run from those of another

	mu      sync.Mutex
	last    uint64  // the number of the latest verdict
	recent  []moved // the last of them, in order
	clients map[*client]bool
}

// A moved is a verdict with its number.
type moved struct {
	number uint64
	verdictEvent
}

// A client is one connection. What it does not take in time ends it.
type client struct {
	news chan moved
	gone chan struct{} // closed: it was too slow
}

// NewEvents returns one without clients.
func NewEvents() *Events {
	return &Events{epoch: strconv.FormatInt(time.Now().UnixMilli(), 36), clients: make(map[*client]bool)}
}

// Judged tells of a verdict that moved.
func (e *Events) Judged(now watch.Standing, was diagnose.Cause) {
	if now.Cause == was {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.last++
	t := moved{e.last, verdictEvent{time.Now(), was, standingOf(now)}}
	if len(e.recent) == remembered {
		e.recent = slices.Delete(e.recent, 0, 1)
	}
	e.recent = append(e.recent, t)
	for c := range e.clients {
		select {
		case c.news <- t:
		default:
			close(c.gone)
			delete(e.clients, c)
		}
	}
}

// join adds a client that has seen everything up to an id, and returns it with what it has missed and the number of the
// latest verdict; known is false if what it has missed is not known. The client is nil if there are too many.
func (e *Events) join(seen string) (c *client, missed []moved, last uint64, known bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.clients) >= listenersMost {
		return nil, nil, 0, false
	}
	c = &client{news: make(chan moved, queued), gone: make(chan struct{})}
	e.clients[c] = true
	if epoch, text, ok := strings.Cut(seen, "-"); ok && epoch == e.epoch {
		number, err := strconv.ParseUint(text, 10, 64)
		known = err == nil && number <= e.last && e.last-number <= uint64(len(e.recent))
		if known {
			missed = append(missed, e.recent[uint64(len(e.recent))-(e.last-number):]...)
		}
	}
	return c, missed, e.last, known
}

func (e *Events) leave(c *client) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.clients, c)
}

func (e *Events) id(number uint64) string { return fmt.Sprintf("%s-%d", e.epoch, number) }

// apiEvents streams until the client goes, is too slow, or the server stops.
func (s *Server) apiEvents(w http.ResponseWriter, r *http.Request) {
	if !(parameters{}).read(w, r) {
		return
	}
	c, missed, last, known := s.Events.join(r.Header.Get("Last-Event-ID"))
	if c == nil {
		w.Header().Set("Retry-After", "10")
		refuse(w, r, http.StatusServiceUnavailable, "unavailable", "there are enough clients of this stream: try again")
		return
	}
	defer s.Events.leave(c)
	// Asked after joining: what moves from here on is in the queue. What is both in the snapshot and in the queue is moved once.
	status, err := s.status(r)
	if err != nil {
		refuse(w, r, http.StatusServiceUnavailable, "unavailable", "the watcher does not answer: "+err.Error())
		return
	}
	out := &stream{w: w, control: http.NewResponseController(w)}
	out.open()
	if !known {
		out.send("snapshot", s.Events.id(last), snapshotOf(status))
	}
	for _, t := range missed {
		out.send("verdict", s.Events.id(t.number), t.verdictEvent)
	}
	out.send("heartbeat", "", heartbeatEvent{status.At})
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for out.err == nil {
		select {
		case t := <-c.news:
			if known || t.At.After(status.At) {
				out.send("verdict", s.Events.id(t.number), t.verdictEvent)
			}
		case now := <-beat.C:
			out.send("heartbeat", "", heartbeatEvent{now})
		case <-c.gone:
			return
		case <-r.Context().Done():
			return
		}
	}
}

func snapshotOf(status *watch.Status) snapshotEvent {
	e := snapshotEvent{At: status.At, Version: status.Version, Services: make([]standing, len(status.Services))}
	for i, s := range status.Services {
		e.Services[i] = standingOf(s)
	}
	return e
}

// A stream is an answer that goes on. After an error it says nothing more.
type stream struct {
	w       http.ResponseWriter
	control *http.ResponseController
	err     error
}

func (o *stream) open() {
	// The server's own deadlines are for answers that end.
	o.err = o.control.SetReadDeadline(time.Time{})
	h := o.w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("X-Accel-Buffering", "no") // nginx would keep events until it has 4 KB of them
	o.write(fmt.Sprintf("retry: %d\n\n", reconnect.Milliseconds()))
}

func (o *stream) send(event, id string, data any) {
	body, err := json.Marshal(data) // on one line
	if err != nil {
		o.err = err
		return
	}
	text := "event: " + event + "\n"
	if id != "" {
		text += "id: " + id + "\n"
	}
	o.write(text + "data: " + string(body) + "\n\n")
}

func (o *stream) write(text string) {
	if o.err == nil {
		o.err = o.control.SetWriteDeadline(time.Now().Add(takeWait))
	}
	if o.err == nil {
		_, o.err = o.w.Write([]byte(text))
	}
	if o.err == nil {
		o.err = o.control.Flush()
	}
}
