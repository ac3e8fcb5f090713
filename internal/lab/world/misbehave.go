package world

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	"maps"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// MisbehavingService replaces the service by a server that passes every connection to handle.
func (w *World) MisbehavingService(handle func(net.Conn)) {
	w.t.Helper()
	w.CloseService()
	for _, address := range []string{ServiceIPv4, ServiceIPv6} {
		w.Misbehaving(net.JoinHostPort(address, "443"), handle)
	}
}

// SecondServer adds a second address to the service's name, before the one that works, and passes every connection
// there to handle. Without it the port is closed.
func (w *World) SecondServer(handle func(net.Conn)) {
	w.t.Helper()
	w.ScriptResolver(ServiceAt(SecondIPv4, ServiceIPv4))
	if handle != nil {
		w.Misbehaving(net.JoinHostPort(SecondIPv4, "443"), handle)
	}
}

// Misbehaving opens a port beyond the gateway and passes every connection to handle.
func (w *World) Misbehaving(address string, handle func(net.Conn)) {
	w.t.Helper()
	w.misbehaving(address, handle)
}

// misbehaving also returns the address, whose port may be 0.
func (w *World) misbehaving(address string, handle func(net.Conn)) string {
	w.t.Helper()
	listener := w.Listen(address)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go handle(conn)
		}
	}()
	return listener.Addr().String()
}

// ServiceOverTLS replaces the service by a server with the same certificate and this change to what it demands of a
// TLS client. It answers as the service does.
func (w *World) ServiceOverTLS(change func(*tls.Config)) {
	w.t.Helper()
	w.MisbehavingService(w.OverTLS("service", change, "405 Method Not Allowed", "Allow: POST"))
}

// OverTLS answers every request over TLS, with the certificate of the "service" or the "portal", by this status and
// headers. Change may change what it demands of a client; it may be nil.
func (w *World) OverTLS(whose string, change func(*tls.Config), status string, headers ...string) func(net.Conn) {
	w.t.Helper()
	certificate, err := tls.LoadX509KeyPair(w.file(whose+".pem"), w.file(whose+".key"))
	w.must(err)
	config := &tls.Config{Certificates: []tls.Certificate{certificate}, NextProtos: []string{"http/1.1"}}
	if change != nil {
		change(config)
	}
	answer := "HTTP/1.1 " + strings.Join(append([]string{status}, headers...), "\r\n") +
		"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
	return func(conn net.Conn) {
		secure := tls.Server(conn, config)
		defer secure.Close()
		if _, err := http.ReadRequest(bufio.NewReader(secure)); err == nil {
			io.WriteString(secure, answer)
		}
	}
}

// AcceptOnly reads and never answers.
func AcceptOnly(conn net.Conn) {
	io.Copy(io.Discard, conn)
	conn.Close()
}

// Reset resets the connection after the client's first byte.
func Reset(conn net.Conn) {
	conn.Read(make([]byte, 1))
	conn.(*net.TCPConn).SetLinger(0)
	conn.Close()
}

// HalfHandshake sends the start of a TLS handshake and stops.
func HalfHandshake(conn net.Conn) {
	conn.Read(make([]byte, 1))
	conn.Write([]byte{22, 3, 3, 0, 122, 2}) // the header of a ServerHello that never follows
	AcceptOnly(conn)
}

// A Proxy is a forward proxy beyond the gateway.
type Proxy struct {
	w          *World
	listener   net.Listener
	open       func()                   // its port
	needsLogin atomic.Pointer[[]string] // the schemes of Proxy-Authenticate; nil: it needs none
	tunnels    atomic.Int32             // see TunnelAs
	answersAll atomic.Bool
	idle       atomic.Int64 // see DropIdle
	mu         sync.Mutex
	conns      []net.Conn
}

// UseProxy starts w.Proxy and configures netwatchd's environment to use it.
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

// RequireLogin makes the proxy reject all requests, and offer these authentication schemes.
func (p *Proxy) RequireLogin(schemes ...string) {
	p.w.t.Cleanup(func() { p.needsLogin.Store(nil) })
	p.needsLogin.Store(&schemes)
}

// Tunneling is what the proxy does when it is asked for a tunnel to the service.
type Tunneling int32

const (
	Tunnels  Tunneling = iota // forwards it
	Swallows                  // reports that the connection is established, reads, and never answers
	Resets                    // reports that the connection is established, and resets at the first byte
	Forbids                   // answers 403
)

// TunnelAs changes what the proxy does with tunnels to the service. Those to controls are forwarded.
func (p *Proxy) TunnelAs(how Tunneling) {
	p.w.t.Cleanup(func() { p.tunnels.Store(int32(Tunnels)) })
	p.tunnels.Store(int32(how))
}

// AnswerAll makes the proxy answer every request itself.
func (p *Proxy) AnswerAll() {
	p.w.t.Cleanup(func() { p.answersAll.Store(false) })
	p.answersAll.Store(true)
}

// hangUp closes the connections that it forwards.
func (p *Proxy) hangUp() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, conn := range p.conns {
		conn.Close()
	}
}

func (p *Proxy) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	switch {
	case p.needsLogin.Load() != nil:
		rw.Header()["Proxy-Authenticate"] = *p.needsLogin.Load()
		http.Error(rw, "who are you?", http.StatusProxyAuthRequired)
	case p.answersAll.Load():
		io.WriteString(rw, "<html>The office wishes you a good day.</html>")
	case r.Method == http.MethodConnect:
		p.tunnel(rw, r)
	default:
		p.forward(rw, r)
	}
}

// dial connects from beyond the gateway.
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
		p.track(conn)
	}
	return conn, err
}

// track has hangUp close the connection.
func (p *Proxy) track(conn net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns = append(p.conns, conn)
}

func (p *Proxy) tunnel(rw http.ResponseWriter, r *http.Request) {
	how := Tunnels
	if r.URL.Hostname() == ServiceName {
		how = Tunneling(p.tunnels.Load())
	}
	if how == Forbids {
		http.Error(rw, "this site is not allowed", http.StatusForbidden)
		return
	}
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
	if how != Tunnels {
		there.Close()
		p.track(here)
		map[Tunneling]func(net.Conn){Swallows: AcceptOnly, Resets: Reset}[how](here)
		return
	}
	go func() { io.Copy(there, here); there.Close() }()
	io.Copy(here, idleLimited{there, &p.idle})
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
