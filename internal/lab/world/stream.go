package world

import (
	"context"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
)

// A Streaming is what the service does with a request for a WebSocket.
type Streaming int32

const (
	Streams Streaming = iota // upgrades it, and answers pings as long as the client stays
	Refuses                  // 426: it upgrades nobody who is not signed in
	Hangs                    // does not answer the request
	HangsUp                  // upgrades, and answers the first ping by hanging up
	Mute                     // upgrades, and answers nothing
)

type streams struct{ atomic.Int32 }

// ServiceStreams changes what the service does with requests for a WebSocket; all else goes on.
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
		return // the client has been told
	}
	defer conn.CloseNow()
	<-conn.CloseRead(context.Background()).Done()
}

// UpgradesGet has the service's nginx answer requests for a WebSocket itself, as "501".
func (w *World) UpgradesGet(answer string) {
	w.t.Helper()
	w.bend(w.serveService, func(s *site) { s.Upgrade = answer })
}

// ServiceCutsIdle has the service's nginx end streams that are idle for so long.
func (w *World) ServiceCutsIdle(after time.Duration) {
	w.t.Helper()
	w.bend(w.serveService, func(s *site) { s.Idle = after })
}

// Forget has the gateway keep track of connections to the service as a NAT does, forget those that are idle for a second,
// and do with what then comes along as said: "drop", "reject with tcp reset".
func (w *World) Forget(then string) {
	w.t.Helper()
	const sysctls = "/proc/sys/net/netfilter/nf_conntrack_tcp_"
	set := func(timeout, loose string) {
		w.must(w.Beyond.Run("", "sh", "-ec", "echo "+timeout+" >"+sysctls+"timeout_established; echo "+loose+" >"+sysctls+"loose"))
	}
	w.t.Cleanup(func() { set("432000", "1") })
	for _, to := range []string{dropsForgotten, dropsForgotten6} {
		w.filter(w.Beyond, "type filter hook input priority 0", "iif "+gatewayEnd+" ", []string{to}, " "+then)
	}
	set("1", "0") // seconds; and a connection it does not know is not taken up in the middle
}

const (
	dropsForgotten  = "ip daddr " + ServiceIPv4 + " tcp dport 443 ct state invalid"
	dropsForgotten6 = "ip6 daddr " + ServiceIPv6 + " tcp dport 443 ct state invalid"
)

// CutIdle has the proxy end tunnels in which nothing was said for so long.
func (p *Proxy) CutIdle(after time.Duration) {
	p.w.t.Cleanup(func() { p.idle.Store(0) })
	p.idle.Store(int64(after))
}

// patient is a connection that is read as long as something comes in time.
type patient struct {
	net.Conn
	idle *atomic.Int64 // zero: there is time
}

func (p patient) Read(b []byte) (int, error) {
	if idle := time.Duration(p.idle.Load()); idle > 0 {
		p.SetReadDeadline(time.Now().Add(idle))
	}
	return p.Conn.Read(b)
}
