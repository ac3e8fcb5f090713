package world

import (
	"context"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
)

// Streaming is how the service handles WebSocket requests.
type Streaming int32

const (
	Streams Streaming = iota // upgrades and answers pings
	Refuses                  // answers 426, as to a client that is not signed in
	Hangs                    // never answers the request
	HangsUp                  // upgrades and closes the connection at the first ping
	Mute                     // upgrades and answers nothing
)

type streams struct{ atomic.Int32 }

// ServiceStreams changes how the service handles WebSocket requests, and nothing else.
func (w *World) ServiceStreams(how Streaming) {
	w.t.Cleanup(func() { w.streams.Store(int32(Streams)) })
	w.streams.Store(int32(how))
}

// answer is the service behind nginx.
func (w *World) answer(rw http.ResponseWriter, r *http.Request) {
	how := Streaming(w.streams.Load())
	switch {
	case r.Header.Get("Upgrade") == "" || how == Refuses:
		w.Mock.ServeHTTP(rw, r)
	case how == Hangs:
		<-r.Context().Done()
	default:
		stream(rw, r, how)
	}
}

// stream upgrades the connection and holds it until the client goes.
func stream(rw http.ResponseWriter, r *http.Request, how Streaming) {
	var conn *websocket.Conn
	conn, err := websocket.Accept(rw, r, &websocket.AcceptOptions{OnPingReceived: func(context.Context, []byte) bool {
		if how == HangsUp {
			conn.CloseNow()
		}
		return how == Streams
	}})
	if err != nil {
		return // the client has its error
	}
	defer conn.CloseNow()
	<-conn.CloseRead(context.Background()).Done()
}

// AnswerUpgrades makes the service's nginx answer WebSocket requests itself: "501".
func (w *World) AnswerUpgrades(answer string) {
	w.t.Helper()
	w.change(w.serveService, func(s *site) { s.Upgrade = answer })
}

// ServiceDropsIdle makes the service's nginx close streams that were idle for this long.
func (w *World) ServiceDropsIdle(after time.Duration) {
	w.t.Helper()
	w.change(w.serveService, func(s *site) { s.Idle = after })
}

// ForgetIdle makes the gateway track connections to the service as a NAT does and forget them after one idle second.
// Later packets of a forgotten connection get this verdict: "drop", "reject with tcp reset".
func (w *World) ForgetIdle(then string) {
	w.t.Helper()
	const sysctls = "/proc/sys/net/netfilter/nf_conntrack_tcp_"
	set := func(timeout, loose string) {
		w.must(w.Beyond.Run("", "sh", "-ec", "echo "+timeout+" >"+sysctls+"timeout_established; echo "+loose+" >"+sysctls+"loose"))
	}
	w.t.Cleanup(func() { set("432000", "1") })
	for _, to := range []string{dropsForgotten, dropsForgotten6} {
		w.filter(w.Beyond, "type filter hook input priority 0", "iif "+gatewayEnd+" ", []string{to}, " "+then)
	}
	set("1", "0") // seconds; and an unknown connection is not picked up in the middle
}

const (
	dropsForgotten  = "ip daddr " + ServiceIPv4 + " tcp dport 443 ct state invalid"
	dropsForgotten6 = "ip6 daddr " + ServiceIPv6 + " tcp dport 443 ct state invalid"
)

// DropIdle makes the proxy close tunnels that were idle for this long.
func (p *Proxy) DropIdle(after time.Duration) {
	p.w.t.Cleanup(func() { p.idle.Store(0) })
	p.idle.Store(int64(after))
}

// idleLimited is a connection whose reads time out when it is idle.
type idleLimited struct {
	net.Conn
	idle *atomic.Int64 // zero: no limit
}

func (p idleLimited) Read(b []byte) (int, error) {
	if idle := time.Duration(p.idle.Load()); idle > 0 {
		p.SetReadDeadline(time.Now().Add(idle))
	}
	return p.Conn.Read(b)
}
