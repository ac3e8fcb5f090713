package web

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"netwatchd/internal/causes"
	"netwatchd/internal/diagnose"
	"netwatchd/internal/watch"
)

// A listener is a client of the stream.
type listener struct {
	t     *testing.T
	lines *bufio.Scanner
	body  io.Closer
}

// received is one event.
type received struct {
	event, id string
	data      map[string]any
}

func listen(t *testing.T, base, lastID string) *listener {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), "GET", base+"/api/v1/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	if lastID != "" {
		request.Header.Set("Last-Event-ID", lastID)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { response.Body.Close() })
	if got := response.Header.Get("Content-Type"); response.StatusCode != 200 || got != "text/event-stream" {
		t.Fatalf("%s, %s", response.Status, got)
	}
	lines := bufio.NewScanner(response.Body)
	lines.Buffer(nil, 1<<20)
	return &listener{t, lines, response.Body}
}

// next returns the next event, false at the end of the stream.
func (l *listener) next() (h received, ok bool) {
	l.t.Helper()
	for l.lines.Scan() {
		name, value, _ := strings.Cut(l.lines.Text(), ": ")
		switch name {
		case "event":
			h.event = value
		case "id":
			h.id = value
		case "data":
			if err := json.Unmarshal([]byte(value), &h.data); err != nil {
				l.t.Fatal(err)
			}
		case "":
			if h.event != "" {
				return h, true
			}
		}
	}
	return h, false
}

// wants returns the next event; a heartbeat may come before any other.
func (l *listener) wants(event string) received {
	l.t.Helper()
	h, ok := l.next()
	for ok && h.event == "heartbeat" && event != "heartbeat" {
		h, ok = l.next()
	}
	if !ok || h.event != event {
		l.t.Fatalf("got %+v, %v; want %s", h, ok, event)
	}
	return h
}

func moves(e *Events, service string, was, is causes.Cause) {
	e.Judged(watch.ServiceStatus{Verdict: diagnose.Verdict{Service: service, Cause: is, Title: service + ": " + is.About().Title}, Since: time.Now()}, was)
}

func TestEvents(t *testing.T) {
	s := newTestServer(t)
	base := at(t, s)
	moves(s.Events, "codex", causes.Healthy, causes.Upstream) // before: it is in the snapshot

	first := listen(t, base, "")
	snapshot := first.wants("snapshot")
	if services := snapshot.data["services"].([]any); len(services) != 2 || services[1].(map[string]any)["cause"] != "upstream" || snapshot.id == "" {
		t.Errorf("snapshot: %+v", snapshot)
	}
	first.wants("heartbeat")
	moves(s.Events, "codex", causes.Upstream, causes.Upstream) // it stays: nothing to tell
	moves(s.Events, "codex", causes.Upstream, causes.Resolver)
	if v := first.wants("verdict"); v.data["was"] != "upstream" || v.data["cause"] != "resolver" || v.data["title"] != "codex: DNS does not work on this host" || v.id == "" {
		t.Errorf("verdict: %+v", v)
	}
	first.body.Close()

	// A client that reconnects gets what it missed.
	moves(s.Events, "codex", causes.Resolver, causes.Healthy)
	back := listen(t, base, snapshot.id)
	for _, want := range []string{"resolver", "healthy"} {
		if v := back.wants("verdict"); v.data["cause"] != want {
			t.Errorf("missed: %+v, want %s", v, want)
		}
	}
	back.wants("heartbeat")

	// An id that is forgotten, or from another process, cannot be resumed.
	for range remembered {
		moves(s.Events, "shop", causes.Healthy, causes.Stream)
	}
	for _, id := range []string{snapshot.id, "another-1", s.Events.epoch + "-99999", s.Events.epoch + "-x", "-", "\u00ff"} {
		listen(t, base, id).wants("snapshot")
	}
}

// A change that is in the snapshot is not sent again.
func TestEventsInOrder(t *testing.T) {
	s := newTestServer(t)
	change := &moving{source: s.Source.(*source), events: s.Events}
	s.Source = change
	l := listen(t, at(t, s), "")
	l.wants("snapshot")
	l.wants("heartbeat")
	moves(s.Events, "codex", causes.Resolver, causes.Healthy)
	if v := l.wants("verdict"); v.data["cause"] != "healthy" {
		t.Errorf("got %+v, want the one after the snapshot", v)
	}
}

// moving is a source whose verdict changes just before it responds.
type moving struct {
	*source
	events *Events
}

func (m *moving) Status(context.Context) (*watch.Status, error) {
	moves(m.events, "codex", causes.Upstream, causes.Resolver)
	status := *m.status
	status.At = time.Now()
	return &status, nil
}

// A stream outlives the deadlines of other responses.
func TestEventsOutliveDeadlines(t *testing.T) {
	s := newTestServer(t)
	server := httptest.NewUnstartedServer(s.Handler())
	const deadline = time.Second
	server.Config.ReadTimeout, server.Config.WriteTimeout = deadline, deadline
	server.Start()
	defer server.Close()
	l := listen(t, server.URL, "")
	l.wants("snapshot")
	l.wants("heartbeat")
	for start := time.Now(); time.Since(start) < 3*deadline/2; {
		moves(s.Events, "codex", causes.Healthy, causes.Upstream)
		l.wants("verdict")
	}
	l.body.Close()
}

func (e *Events) count() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.clients)
}

// empty waits until no client is left.
func empty(t *testing.T, e *Events) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); e.count() > 0; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d clients are still there", e.count())
		}
	}
}

// A client that does not read is disconnected, and the observer does not wait for it.
func TestSlowClientsAreDisconnected(t *testing.T) {
	s := newTestServer(t)
	base := at(t, s)
	conn, err := net.Dial("tcp", strings.TrimPrefix(base, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
	attentive := listen(t, base, "")
	attentive.wants("snapshot")
	attentive.wants("heartbeat")
	long := diagnose.Verdict{Service: "codex", Cause: causes.Upstream, Title: strings.Repeat("x", 64<<10)}
	for n := 0; s.Events.count() > 1; n++ {
		if n > 10_000 {
			t.Fatal("the slow client is still connected")
		}
		s.Events.Judged(watch.ServiceStatus{Verdict: long}, causes.Healthy)
		attentive.wants("verdict")
	}
}

func TestEventsAreBounded(t *testing.T) {
	s := newTestServer(t)
	base := at(t, s)
	var all []*listener
	for range maxClients {
		l := listen(t, base, "")
		l.wants("snapshot")
		all = append(all, l)
	}
	got := get(t, http.DefaultClient, base+"/api/v1/events")
	if got.status != 503 || got.header.Get("Retry-After") == "" || !strings.Contains(got.body, `"code":"unavailable"`) {
		t.Errorf("one too many: %d %s", got.status, got.body)
	}
	other := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
	elsewhere := &http.Client{Transport: &http.Transport{DialContext: other.DialContext}}
	response, err := elsewhere.Get(base + "/api/v1/events")
	if err != nil || response.StatusCode != 200 {
		t.Fatalf("a client of another address: %v, %v; want it served", response, err)
	}
	response.Body.Close()
	for _, l := range all {
		l.body.Close()
	}
	empty(t, s.Events)
	listen(t, base, "").wants("snapshot")
}

// A stream ends with the server and leaves no goroutine behind.
func TestEventsEndWithTheServer(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	s := newTestServer(t)
	ctx, stop := context.WithCancel(t.Context())
	listeners, err := Listen(Config{Listen: []string{"127.0.0.1:0"}})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() { done <- Serve(ctx, listeners, Config{}, s.Handler(), s.Log) }()
	l := listen(t, "http://"+listeners[0].Addr().String(), "")
	l.wants("snapshot")
	l.wants("heartbeat")
	stop()
	if _, ok := l.next(); ok {
		t.Error("the stream continues")
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	empty(t, s.Events)
	l.body.Close()
	http.DefaultClient.CloseIdleConnections()
}
