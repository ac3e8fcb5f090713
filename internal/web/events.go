package web

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"netwatchd/internal/causes"
	"netwatchd/internal/watch"
)

// /api/v1/events is a stream of server-sent events (WHATWG HTML, 9.2). Each event has JSON in its data:
//
//	event: snapshot     after connecting: the verdict on every service
//	event: verdict      when a verdict changes: the new verdict and the previous cause
//	event: heartbeat    every ten seconds: if it does not come, the connection is lost
//
// Snapshots and verdicts have an id. A client that reconnects with Last-Event-ID gets the verdicts it missed instead
// of a snapshot, if they are among the last 256 since netwatchd started. A client that does not read its events is
// disconnected. Beyond a hundred clients of one address the response is 503 unavailable, with Retry-After.
type (
	snapshotEvent struct {
		At       time.Time `json:"at"`
		Version  string    `json:"version"`
		Services []brief   `json:"services"`
	}
	verdictEvent struct {
		At  time.Time    `json:"at"`
		Was causes.Cause `json:"was"`
		brief
	}
	heartbeatEvent struct {
		At time.Time `json:"at"`
	}
)

// A brief is the short form of a verdict; /api/v1/status has all of it.
type brief struct {
	Service  string          `json:"service"`
	Cause    causes.Cause    `json:"cause"`
	Severity causes.Severity `json:"severity"`
	Title    string          `json:"title"`
	Advice   string          `json:"advice"`
	Since    time.Time       `json:"since"`
}

func briefOf(s watch.ServiceStatus) brief {
	return brief{s.Service, s.Cause, s.Severity, s.Title, s.Advice, s.Since}
}

const (
	// maxClients limits the clients of one address. It is many times the tabs and scripts that follow one daemon. Each
	// costs a goroutine and a connection, and pages left open by mistake on one host must not use them all.
	maxClients = 100

	// remembered verdicts cover what a client misses while a laptop is suspended or a proxy restarts.
	remembered = 256

	// queued is how many events a client may be behind. If ten thousand services fail at once, a snapshot serves
	// better.
	queued = 64

	// heartbeat is less than 30 s, after which the strictest proxies close an idle connection.
	heartbeat = 10 * time.Second

	// sendTimeout is how long a client may take to read an event once the kernel's buffers are full.
	sendTimeout = 5 * time.Second

	// reconnect is the delay before a browser connects again.
	reconnect = 2 * time.Second
)

// Events sends changed verdicts to its clients. It observes the watcher, which never waits for a client.
type Events struct {
	watch.NopObserver

	epoch string // separates the ids of this process from those of an earlier one

	mu      sync.Mutex
	last    uint64   // the number of the latest verdict
	recent  []change // the latest, in order
	clients map[*client]bool
}

// A change is a changed verdict with its number.
type change struct {
	number uint64
	verdictEvent
}

// A client is one connection. It is closed if it does not read in time.
type client struct {
	host string // its address without the port
	news chan change
	gone chan struct{} // closed if it was too slow
}

// NewEvents returns an Events without clients.
func NewEvents() *Events {
	return &Events{epoch: strconv.FormatInt(time.Now().UnixMilli(), 36), clients: make(map[*client]bool)}
}

// Judged sends a verdict if its cause changed.
func (e *Events) Judged(now watch.ServiceStatus, was causes.Cause) {
	if now.Cause == was {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.last++
	t := change{e.last, verdictEvent{time.Now(), was, briefOf(now)}}
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

// join adds a client that has seen everything up to an id, and returns it with the changes it missed and the number of
// the latest one. Known is false if the missed changes are no longer known. The client is nil if its host has too many.
func (e *Events) join(host, seen string) (c *client, missed []change, last uint64, known bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	sameHost := 0
	for other := range e.clients {
		if other.host == host {
			sameHost++
		}
	}
	if sameHost >= maxClients {
		return nil, nil, 0, false
	}
	c = &client{host: host, news: make(chan change, queued), gone: make(chan struct{})}
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

// apiEvents streams until the client disconnects, is too slow, or the server stops.
func (s *Server) apiEvents(w http.ResponseWriter, r *http.Request) {
	if !(parameters{}).read(w, r) {
		return
	}
	host, _, _ := net.SplitHostPort(r.RemoteAddr) // empty for all clients of a Unix socket
	c, missed, last, known := s.Events.join(host, r.Header.Get("Last-Event-ID"))
	if c == nil {
		w.Header().Set("Retry-After", "10")
		writeError(w, r, http.StatusServiceUnavailable, "unavailable", "too many clients of this address on this stream: try again later")
		return
	}
	defer s.Events.leave(c)
	// Read after joining, so that no change is lost; one that is in the snapshot and in the queue is sent once.
	status, err := s.status(r)
	if err != nil {
		writeError(w, r, http.StatusServiceUnavailable, "unavailable", "the watcher does not respond: "+err.Error())
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
	e := snapshotEvent{At: status.At, Version: status.Version, Services: make([]brief, len(status.Services))}
	for i, s := range status.Services {
		e.Services[i] = briefOf(s)
	}
	return e
}

// A stream is a response that does not end. After an error it writes nothing more.
type stream struct {
	w       http.ResponseWriter
	control *http.ResponseController
	err     error
}

func (o *stream) open() {
	// The server's own deadlines are for responses that end.
	o.err = o.control.SetReadDeadline(time.Time{})
	h := o.w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("X-Accel-Buffering", "no") // nginx would buffer 4 KB of events
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
		o.err = o.control.SetWriteDeadline(time.Now().Add(sendTimeout))
	}
	if o.err == nil {
		_, o.err = o.w.Write([]byte(text))
	}
	if o.err == nil {
		o.err = o.control.Flush()
	}
}
