package world

import (
	"context"
	"io"
	"maps"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// OddService puts a server of few words in the service's place: handle gets every connection.
func (w *World) OddService(handle func(net.Conn)) {
	w.t.Helper()
	w.CloseService()
	for _, address := range []string{ServiceIPv4, ServiceIPv6} {
		listener := w.Listen(net.JoinHostPort(address, "443"))
		go func() {
			for {
				conn, err := listener.Accept()
				if err != nil {
					return
				}
				go handle(conn)
			}
		}()
	}
}

// SayNothing accepts, and lets the client talk to itself.
func SayNothing(conn net.Conn) {
	io.Copy(io.Discard, conn)
	conn.Close()
}

// Reset hears the client's first words, and resets the connection.
func Reset(conn net.Conn) {
	conn.Read(make([]byte, 1))
	conn.(*net.TCPConn).SetLinger(0)
	conn.Close()
}

// HalfShake begins a handshake and does not go on.
func HalfShake(conn net.Conn) {
	conn.Read(make([]byte, 1))
	conn.Write([]byte{22, 3, 3, 0, 122, 2}) // the head of a ServerHello that does not come
	SayNothing(conn)
}

// A Proxy is a forward proxy beyond the host's gateway.
type Proxy struct {
	w         *World
	listener  net.Listener
	open      func() // its port
	demanding atomic.Bool
	posing    atomic.Bool
	idle      atomic.Int64 // see CutIdle
	mu        sync.Mutex
	conns     []net.Conn
}

// UseProxy starts a proxy, w.Proxy, and sends netwatchd through it, by its environment.
func (w *World) UseProxy() {
	w.t.Helper()
	p := &Proxy{w: w}
	w.Env = append(w.Env, "HTTPS_PROXY=http://"+ProxyAddress, "HTTP_PROXY=http://"+ProxyAddress)
	server := &http.Server{Handler: p}
	p.open = func() {
		p.listener = w.listen(ProxyAddress)
		go server.Serve(p.listener)
	}
	p.open()
	w.t.Cleanup(func() { server.Close(); p.hangUp() })
	w.Proxy = p
}

// Stop closes the proxy's port.
func (p *Proxy) Stop() {
	p.w.t.Cleanup(p.open)
	p.listener.Close()
}

// Demand has the proxy ask for a password.
func (p *Proxy) Demand() {
	p.w.t.Cleanup(func() { p.demanding.Store(false) })
	p.demanding.Store(true)
}

// Pose has the proxy answer for everyone itself.
func (p *Proxy) Pose() {
	p.w.t.Cleanup(func() { p.posing.Store(false) })
	p.posing.Store(true)
}

// hangUp ends what it passes on.
func (p *Proxy) hangUp() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, conn := range p.conns {
		conn.Close()
	}
}

func (p *Proxy) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	switch {
	case p.demanding.Load():
		rw.Header().Set("Proxy-Authenticate", `Basic realm="office"`)
		http.Error(rw, "who are you?", http.StatusProxyAuthRequired)
	case p.posing.Load():
		io.WriteString(rw, "<html>The office wishes you a good day.</html>")
	case r.Method == http.MethodConnect:
		p.tunnel(rw, r)
	default:
		p.forward(rw, r)
	}
}

// dial connects beyond the gateway, where a proxy stands.
func (p *Proxy) dial(_ context.Context, network, address string) (conn net.Conn, err error) {
	host, port, _ := net.SplitHostPort(address)
	for _, site := range append([]Site{{Name: ServiceName, IPv4: ServiceIPv4}}, Controls...) {
		if site.Name == host {
			address = net.JoinHostPort(site.IPv4, port)
		}
	}
	err = p.w.Beyond.Do(func() error {
		conn, err = net.DialTimeout(network, address, time.Second)
		return err
	})
	if err == nil {
		p.mu.Lock()
		p.conns = append(p.conns, conn)
		p.mu.Unlock()
	}
	return conn, err
}

func (p *Proxy) tunnel(rw http.ResponseWriter, r *http.Request) {
	there, err := p.dial(r.Context(), "tcp", r.Host)
	if err != nil {
		http.Error(rw, err.Error(), http.StatusBadGateway)
		return
	}
	here, _, err := http.NewResponseController(rw).Hijack()
	if err != nil {
		there.Close()
		return
	}
	io.WriteString(here, "HTTP/1.1 200 Connection established\r\n\r\n")
	go func() { io.Copy(there, here); there.Close() }()
	io.Copy(here, patient{there, &p.idle})
	here.Close()
}

func (p *Proxy) forward(rw http.ResponseWriter, r *http.Request) {
	transport := &http.Transport{DialContext: p.dial, DisableKeepAlives: true}
	answer, err := transport.RoundTrip(r)
	if err != nil {
		http.Error(rw, err.Error(), http.StatusBadGateway)
		return
	}
	defer answer.Body.Close()
	maps.Copy(rw.Header(), answer.Header)
	rw.WriteHeader(answer.StatusCode)
	io.Copy(rw, answer.Body)
}
