package httpprobe

import (
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"netwatchd/internal/probe"
	"netwatchd/internal/probe/probetest"
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

func readsOn(r *http.Request, c *websocket.Conn) { discard(r.Context(), c) }

func TestStreamGranted(t *testing.T) {
	if !probetest.InOwnProcess(t) {
		return
	}
	ca := probetest.NewAuthority(t, "Test Root")
	cert := ca.Issue(t, nil)
	over := make(chan struct{})
	t.Cleanup(func() { close(over) })
	for _, tt := range []struct {
		name   string
		hold   time.Duration
		script func(*http.Request, *websocket.Conn)
		class  probe.Class
		why    string
	}{
		{"well", hold, readsOn, probe.OK, ""},
		{"well, held longer than the timeout", quick + hold, readsOn, probe.OK, ""},
		{"well, not held", 0, readsOn, probe.OK, ""},
		{"speaks meanwhile", hold, func(r *http.Request, c *websocket.Conn) {
			c.Write(r.Context(), websocket.MessageText, []byte("hello"))
			readsOn(r, c)
		}, probe.OK, ""},
		{"closes politely", time.Minute, func(_ *http.Request, c *websocket.Conn) { c.Close(websocket.StatusGoingAway, "idle") },
			probe.StreamIdleCut, "idle"},
		{"cut", time.Minute, func(_ *http.Request, c *websocket.Conn) {}, probe.StreamIdleCut, "idle: closed by the other side"},
		{"leaves the ping unanswered", hold, func(*http.Request, *websocket.Conn) { <-over }, probe.StreamStalled, "a ping after 100 ms idle: no answer in time"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := &Stream{Hold: tt.hold, Timeout: quick}
			s.URL, s.Options = at(t, "wss", probetest.Serving(t, &cert, granting(tt.script)), "/")
			s.CAFile = ca.File
			r := probetest.Attempt(t, s, quick+tt.hold)
			probetest.WantEnd(t, r, tt.class, probe.Streaming, tt.why)
			if r.Status != http.StatusSwitchingProtocols || r.TLS == nil {
				t.Errorf("status = %d, TLS = %v, want 101 by TLS", r.Status, r.TLS)
			}
			if tt.class == probe.OK && r.Phases[probe.Streaming].Duration() < tt.hold {
				t.Errorf("held for %s, want %s", r.Phases[probe.Streaming].Duration(), tt.hold)
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
			probetest.Converse(c, end)
		}
	}
	for _, tt := range []struct {
		name  string
		hold  time.Duration
		end   func(net.Conn)
		class probe.Class
	}{
		{"closed", hold, probetest.Closes, probe.StreamCut},
		{"reset", 0, probetest.Resets, probe.StreamCut},
		{"reset after a hold", hold, probetest.Resets, probe.StreamIdleCut},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := &Stream{Hold: tt.hold, Timeout: quick}
			s.URL, s.Options = at(t, "ws", probetest.Serving(t, nil, torn(tt.end)), "/")
			probetest.WantEnd(t, probetest.Attempt(t, s, quick+tt.hold), tt.class, probe.Streaming, "a ping after")
		})
	}
}

// TestStreamRefused meets servers that answer the upgrade with something else.
func TestStreamRefused(t *testing.T) {
	if !probetest.InOwnProcess(t) {
		return
	}
	cloudflare := []string{"Server", "cloudflare", "Cf-Ray", "8c1-FRA", "Content-Type", "text/html"}
	for _, tt := range []struct {
		name     string
		status   []int
		Response http.HandlerFunc
		class    probe.Class
		why      string
	}{
		{"by the application: 426", nil, probetest.Answering(426, ""), probe.OK, ""},
		{"by the application: 405", nil, probetest.Answering(405, ""), probe.OK, ""},
		{"by the application: 401", nil, probetest.Answering(401, `{"detail":"Unauthorized"}`, "Content-Type", "application/json"), probe.OK, ""},
		{"by the application: 403", nil, probetest.Answering(403, `{}`, "Content-Type", "application/json", "Cf-Ray", "8c1-FRA"), probe.OK, ""},
		{"by the application, long", nil, probetest.Answering(405, strings.Repeat("no ", 10_000)), probe.OK, ""},
		{"as expected", []int{404}, probetest.Answering(404, ""), probe.OK, ""},
		{"by the edge", nil, probetest.Answering(403, "<title>Just a moment...", cloudflare...), probe.HTTPEdgeBlocked, "Cloudflare"},
		{"limited", nil, probetest.Answering(429, ""), probe.HTTPRateLimited, ""},
		{"down", nil, probetest.Answering(503, ""), probe.HTTPServerError, ""},
		{"ignored", nil, probetest.Answering(200, "hello"), probe.StreamUpgradeRefused, "got 200, want 101 or 400 or 401 or 403 or 404 or 405 or 426"},
		{"gone", nil, probetest.Answering(410, ""), probe.StreamUpgradeRefused, ""},
		{"redirected", nil, probetest.Answering(302, "", "Location", "http://portal.test/"), probe.StreamUpgradeRefused, "portal.test"},
		{"only 101 will do", []int{101}, probetest.Answering(426, ""), probe.StreamUpgradeRefused, "got 426"},
		{"101 in name only", nil, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Upgrade", "websocket")
			w.Header().Set("Connection", "Upgrade")
			w.WriteHeader(http.StatusSwitchingProtocols)
		}, probe.StreamUpgradeRefused, "got 101, but not a WebSocket's"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := &Stream{Status: tt.status, Hold: hold, Timeout: quick}
			s.URL, s.Options = at(t, "ws", probetest.Serving(t, nil, tt.Response), "/")
			r := probetest.Attempt(t, s, quick+hold)
			phase := probe.Response
			if tt.class == probe.OK {
				phase = probe.Streaming
				probetest.WantWarnings(t, r, "stream_not_upgraded")
			}
			probetest.WantEnd(t, r, tt.class, phase, tt.why)
		})
	}
}

// TestStreamHeldWithoutUpgrade holds the connection on which a refusal came and asks once more on it.
func TestStreamHeldWithoutUpgrade(t *testing.T) {
	if !probetest.InOwnProcess(t) {
		return
	}
	const refusal = "HTTP/1.1 426 Upgrade Required\r\nContent-Length: 0\r\n\r\n"
	then := func(next func(net.Conn)) func(net.Conn) {
		return func(c net.Conn) {
			probetest.Says(refusal)(c)
			next(c)
		}
	}
	for _, tt := range []struct {
		name     string
		hold     time.Duration
		script   func(net.Conn)
		class    probe.Class
		warnings []string
		why      string
	}{
		{"answers again", hold, then(probetest.Says(refusal)), probe.OK, []string{"stream_not_upgraded"}, ""},
		{"closes while idle", time.Minute, then(func(net.Conn) {}), probe.OK, []string{"stream_not_upgraded", "stream_closed_idle"}, ""},
		{"says that it will close", time.Minute, probetest.Says(strings.Replace(refusal, "\r\n\r\n", "\r\nConnection: close\r\n\r\n", 1)), probe.OK,
			[]string{"stream_not_upgraded", "stream_closed_idle"}, ""},
		{"says that the time is up", time.Minute, then(func(c net.Conn) {
			io.WriteString(c, "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n")
		}), probe.OK, []string{"stream_not_upgraded", "stream_closed_idle"}, ""},
		{"resets while idle", time.Minute, then(func(c net.Conn) { c.(*net.TCPConn).SetLinger(0) }), probe.StreamIdleCut,
			[]string{"stream_not_upgraded"}, "connection reset by peer"},
		{"resets when spoken to", hold, then(probetest.Resets), probe.StreamIdleCut, []string{"stream_not_upgraded"}, "a request after 100 ms idle: connection reset"},
		{"closes when spoken to", hold, then(probetest.Closes), probe.StreamCut, []string{"stream_not_upgraded"}, "a request after 100 ms idle: closed"},
		{"says nothing more", hold, then(probetest.Silent), probe.StreamStalled, []string{"stream_not_upgraded"}, "no answer in time"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := &Stream{Hold: tt.hold, Timeout: quick}
			s.URL, s.Options = at(t, "ws", probetest.Listening(t, tt.script), "/")
			r := probetest.Attempt(t, s, quick+tt.hold)
			probetest.WantEnd(t, r, tt.class, probe.Streaming, tt.why)
			probetest.WantWarnings(t, r, tt.warnings...)
		})
	}
}

func TestStreamThatNeverBegins(t *testing.T) {
	for _, tt := range []struct {
		name   string
		script func(net.Conn)
		class  probe.Class
	}{
		{"silent", probetest.Silent, probe.HTTPTimedOut},
		{"closes", probetest.Closes, probe.HTTPClosed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := &Stream{Hold: time.Minute, Timeout: 200 * time.Millisecond}
			s.URL, s.Options = at(t, "ws", probetest.Listening(t, tt.script), "/")
			r := probetest.Attempt(t, s, s.Hold+s.Timeout)
			probetest.WantEnd(t, r, tt.class, probe.Response)
			if r.Elapsed.Duration() > 2*time.Second {
				t.Errorf("took %s: the hold is not for a stream that never began", r.Elapsed.Duration())
			}
		})
	}
}

func TestStreamMisused(t *testing.T) {
	s := &Stream{Hold: time.Minute}
	s.URL, s.Options = at(t, "ws", probetest.Serving(t, nil, granting(readsOn)), "/")
	probetest.WantEnd(t, probetest.Attempt(t, s, hold), probe.Internal, probe.Streaming, "set it to more than hold and timeout")
	s.URL = probetest.MustURL(t, "https://service.test/")
	probetest.WantEnd(t, probetest.Attempt(t, s, hold), probe.Internal, probe.NoPhase, "use ws:// or wss://")
}
