package probe

import (
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
)

const hold = 100 * time.Millisecond

// granting upgrades to a WebSocket and leaves it to script.
func granting(script func(r *http.Request, c *websocket.Conn)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer c.CloseNow()
		script(r, c)
	}
}

func readsOn(r *http.Request, c *websocket.Conn) { readOn(r.Context(), c) }

func TestStreamGranted(t *testing.T) {
	ca := newAuthority(t, "Test Root")
	cert := ca.issue(t, nil)
	over := make(chan struct{})
	t.Cleanup(func() { close(over) })
	for _, tt := range []struct {
		name   string
		hold   time.Duration
		script func(*http.Request, *websocket.Conn)
		class  Class
		why    string
	}{
		{"well", hold, readsOn, OK, ""},
		{"well, held longer than the timeout", quick + hold, readsOn, OK, ""},
		{"well, not held", 0, readsOn, OK, ""},
		{"speaks meanwhile", hold, func(r *http.Request, c *websocket.Conn) {
			c.Write(r.Context(), websocket.MessageText, []byte("hello"))
			readsOn(r, c)
		}, OK, ""},
		{"closes politely", time.Minute, func(_ *http.Request, c *websocket.Conn) { c.Close(websocket.StatusGoingAway, "idle") },
			StreamIdleCut, "idle"},
		{"cut", time.Minute, func(_ *http.Request, c *websocket.Conn) {}, StreamIdleCut, "idle: closed by the other side"},
		{"leaves the ping unanswered", hold, func(*http.Request, *websocket.Conn) { <-over }, StreamStalled, "a ping after 100ms idle: no answer in time"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := &Stream{Hold: tt.hold, Timeout: quick}
			s.URL, s.Reach = at(t, "wss", serving(t, &cert, granting(tt.script)), "/")
			s.CAFile = ca.file
			r := attempt(t, s, quick+tt.hold)
			wantEnd(t, r, tt.class, Streaming, tt.why)
			if r.Status != http.StatusSwitchingProtocols || r.TLS == nil {
				t.Errorf("status = %d, TLS = %v, want 101 by TLS", r.Status, r.TLS)
			}
			if tt.class == OK && r.Phases[Streaming].Duration() < tt.hold {
				t.Errorf("held for %s, want %s", r.Phases[Streaming].Duration(), tt.hold)
			}
		})
	}
}

// TestStreamTornAtThePing has the server end the connection as soon as something follows the upgrade.
func TestStreamTornAtThePing(t *testing.T) {
	torn := func(end func(net.Conn)) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Upgrade", "websocket")
			w.Header().Set("Connection", "Upgrade")
			w.Header().Set("Sec-WebSocket-Accept", acceptKey(r.Header.Get("Sec-WebSocket-Key")))
			w.WriteHeader(http.StatusSwitchingProtocols)
			c, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				panic(err)
			}
			converse(c, end)
		}
	}
	for _, tt := range []struct {
		name  string
		hold  time.Duration
		end   func(net.Conn)
		class Class
	}{
		{"closed", hold, closes, StreamCut},
		{"reset", 0, resets, StreamCut},
		{"reset after a hold", hold, resets, StreamIdleCut},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := &Stream{Hold: tt.hold, Timeout: quick}
			s.URL, s.Reach = at(t, "ws", serving(t, nil, torn(tt.end)), "/")
			wantEnd(t, attempt(t, s, quick+tt.hold), tt.class, Streaming, "a ping after")
		})
	}
}

// TestStreamRefused meets servers that answer the upgrade with something else.
func TestStreamRefused(t *testing.T) {
	cloudflare := []string{"Server", "cloudflare", "Cf-Ray", "8c1-FRA", "Content-Type", "text/html"}
	for _, tt := range []struct {
		name   string
		status []int
		answer http.HandlerFunc
		class  Class
		why    string
	}{
		{"by the application: 426", nil, answering(426, ""), OK, ""},
		{"by the application: 405", nil, answering(405, ""), OK, ""},
		{"by the application: 401", nil, answering(401, `{"detail":"Unauthorized"}`, "Content-Type", "application/json"), OK, ""},
		{"by the application: 403", nil, answering(403, `{}`, "Content-Type", "application/json", "Cf-Ray", "8c1-FRA"), OK, ""},
		{"by the application, long", nil, answering(405, strings.Repeat("no ", 10_000)), OK, ""},
		{"as expected", []int{404}, answering(404, ""), OK, ""},
		{"by the edge", nil, answering(403, "<title>Just a moment...", cloudflare...), HTTPEdgeBlocked, "Cloudflare"},
		{"limited", nil, answering(429, ""), HTTPRateLimited, ""},
		{"down", nil, answering(503, ""), HTTPServerError, ""},
		{"ignored", nil, answering(200, "hello"), StreamUpgradeRefused, "got 200, want 101 or 400 or 401 or 403 or 404 or 405 or 426"},
		{"gone", nil, answering(410, ""), StreamUpgradeRefused, ""},
		{"redirected", nil, answering(302, "", "Location", "http://portal.test/"), StreamUpgradeRefused, "portal.test"},
		{"only 101 will do", []int{101}, answering(426, ""), StreamUpgradeRefused, "got 426"},
		{"101 in name only", nil, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Upgrade", "websocket")
			w.Header().Set("Connection", "Upgrade")
			w.WriteHeader(http.StatusSwitchingProtocols)
		}, StreamUpgradeRefused, "got 101, but not a WebSocket's"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := &Stream{Status: tt.status, Hold: hold, Timeout: quick}
			s.URL, s.Reach = at(t, "ws", serving(t, nil, tt.answer), "/")
			r := attempt(t, s, quick+hold)
			phase := Response
			if tt.class == OK {
				phase = Streaming
				wantWarnings(t, r, "stream_not_upgraded")
			}
			wantEnd(t, r, tt.class, phase, tt.why)
		})
	}
}

// TestStreamHeldWithoutUpgrade holds the connection on which a refusal came and asks once more on it.
func TestStreamHeldWithoutUpgrade(t *testing.T) {
	const refusal = "HTTP/1.1 426 Upgrade Required\r\nContent-Length: 0\r\n\r\n"
	then := func(next func(net.Conn)) func(net.Conn) {
		return func(c net.Conn) {
			says(refusal)(c)
			next(c)
		}
	}
	for _, tt := range []struct {
		name     string
		hold     time.Duration
		script   func(net.Conn)
		class    Class
		warnings []string
		why      string
	}{
		{"answers again", hold, then(says(refusal)), OK, []string{"stream_not_upgraded"}, ""},
		{"closes while idle", time.Minute, then(func(net.Conn) {}), OK, []string{"stream_not_upgraded", "stream_closed_idle"}, ""},
		{"says that it will close", time.Minute, says(strings.Replace(refusal, "\r\n\r\n", "\r\nConnection: close\r\n\r\n", 1)), OK,
			[]string{"stream_not_upgraded", "stream_closed_idle"}, ""},
		{"says that the time is up", time.Minute, then(func(c net.Conn) {
			io.WriteString(c, "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n")
		}), OK, []string{"stream_not_upgraded", "stream_closed_idle"}, ""},
		{"resets while idle", time.Minute, then(func(c net.Conn) { c.(*net.TCPConn).SetLinger(0) }), StreamIdleCut,
			[]string{"stream_not_upgraded"}, "connection reset by peer"},
		{"resets when spoken to", hold, then(resets), StreamIdleCut, []string{"stream_not_upgraded"}, "a request after 100ms idle: connection reset"},
		{"closes when spoken to", hold, then(closes), StreamCut, []string{"stream_not_upgraded"}, "a request after 100ms idle: closed"},
		{"says nothing more", hold, then(silent), StreamStalled, []string{"stream_not_upgraded"}, "no answer in time"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := &Stream{Hold: tt.hold, Timeout: quick}
			s.URL, s.Reach = at(t, "ws", listening(t, tt.script), "/")
			r := attempt(t, s, quick+tt.hold)
			wantEnd(t, r, tt.class, Streaming, tt.why)
			wantWarnings(t, r, tt.warnings...)
		})
	}
}

func TestStreamThatNeverBegins(t *testing.T) {
	for _, tt := range []struct {
		name   string
		script func(net.Conn)
		class  Class
	}{
		{"silent", silent, HTTPTimedOut},
		{"closes", closes, HTTPClosed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := &Stream{Hold: time.Minute, Timeout: 200 * time.Millisecond}
			s.URL, s.Reach = at(t, "ws", listening(t, tt.script), "/")
			r := attempt(t, s, s.Hold+s.Timeout)
			wantEnd(t, r, tt.class, Response)
			if r.Elapsed.Duration() > 2*time.Second {
				t.Errorf("took %s: the hold is not for a stream that never began", r.Elapsed.Duration())
			}
		})
	}
}

func TestStreamMisused(t *testing.T) {
	s := &Stream{Hold: time.Minute}
	s.URL, s.Reach = at(t, "ws", serving(t, nil, granting(readsOn)), "/")
	wantEnd(t, attempt(t, s, hold), Internal, Streaming, "allow it more than hold and timeout")
	s.URL = mustURL(t, "https://service.test/")
	wantEnd(t, attempt(t, s, hold), Internal, NoPhase, "use ws:// or wss://")
}
