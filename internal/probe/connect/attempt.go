// Package connect makes one connection. It resolves the name, races the addresses, connects through a proxy, makes
// the TLS handshake and, when the connection fails, finds out who refused it.
package connect

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/proxy"

	"netwatchd/internal/clientrules"
	"netwatchd/internal/probe"
	"netwatchd/internal/probe/dnsprobe"
	"netwatchd/internal/redact"
)

// Options selects how a server is reached and which certificate it must present. The zero value does what a browser
// would.
type Options struct {
	CAFile     string // PEM, read again when it has changed, because files are rotated; empty: the system's roots
	ExtraCA    string // PEM, read like CAFile; trusted in addition to CAFile or to the system's roots
	Issuer     string // case-insensitive part of an issuer's name that must be in the chain; empty: any
	ServerName string // sent and verified instead of the URL's host
	CertFile   string // PEM, a client certificate with its chain, read like CAFile; empty: none
	KeyFile    string // PEM, its private key

	Family      string           // "ipv4", "ipv6"; empty or "any": both
	Nameservers []netip.AddrPort // queried instead of the system's
	Client      *dnsprobe.Client // resolves what the system's resolver cannot; may be nil

	// Address is connected to directly, without resolver or proxy. The Host header and the name in the TLS handshake are
	// still the URL's.
	Address netip.Addr

	// SmallPackets limits the TCP segments of both directions to 536 octets, and SmallHello leaves the post-quantum key
	// share out of the TLS ClientHello, so that it fits into one packet. Where only one of them gets an answer, the
	// network path loses large packets or large ClientHellos.
	SmallPackets, SmallHello bool

	NoteRoute bool // look up the route also if the attempt succeeds

	Proxy string // "none", a URL (http, https, socks5), or "environment", which is also what "" means

	// Rules choose the proxy of the environment, and the roots if CAFile is empty; zero: Go's.
	Rules clientrules.Client
	// Env is what their client reads besides this process's environment, name=value; EnvFile is where, for people.
	Env     []string
	EnvFile string

	Now func() time.Time `json:"-"` // the clock that certificates are verified with; nil: time.Now
}

// An Attempt makes the connections of one attempt, one per request, and records what it learns. It connects first and
// gives net/http the established connection: net/http itself would dial in a goroutine that outlives a cancelled
// request, and would not report which phase it was in. An Attempt is used by one goroutine.
type Attempt struct {
	Options
	Progress  *Progress
	Origin    *url.URL // the first URL; Address replaces its host
	Protocols []string // ALPN
	WebSocket bool     // the requests are upgrades
	clients   []client
	Response  Response    // to the latest request
	KeepOpen  func() bool // after a protocol upgrade: keeps the connection when the request's context ends

	// ReadOn, if set, is called for a body of probe.BodyLimit bytes or more, with what follows the content. Up to
	// ReadLimit bytes of the body are received.
	ReadOn    func(a Response, rest io.Reader)
	ReadLimit int64

	demand *clientDemand                            // of the connection opened last
	again  func(context.Context) (*tls.Conn, error) // makes another one like it
}

// A Response is what a server answered.
type Response struct {
	*http.Response
	Content []byte // the part of the body that was read, decoded
	ReadErr error  // why the body ended early
	Encoded string // the encoding that Content still has, because it cannot be decoded; empty: none
	Proxied bool   // over plain HTTP by a proxy, which may have made it up

	Credentials bool // the proxy got the credentials in its URL
	localProxy  bool // the proxy is on this host
}

// QuoteLimit bounds a quoted body: enough to recognize a page or an error message.
const QuoteLimit = 200

// UserAgent lets an operator who finds the requests in a log find out who sends them.
const UserAgent = "netwatchd"

// RoundTrip makes one request on a new connection, because a warm connection measures yesterday's network. It returns
// with the body read.
func (l *Attempt) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := l.open(r.Context(), r.URL); err != nil {
		return nil, err
	}
	return l.send(r)
}

// send makes a request on the connection opened last.
func (l *Attempt) send(r *http.Request) (*http.Response, error) {
	l.Progress.Enter(probe.Request)
	c := l.clients[len(l.clients)-1]
	ctx := r.Context()
	if single, is := c.(*singleRequest); is {
		single.wrote = l.wroteRequest
	} else {
		ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
			WroteRequest: func(httptrace.WroteRequestInfo) { l.wroteRequest() },
		})
	}
	r = r.WithContext(ctx) // the caller's request stays as it is
	r.Header = maps.Clone(r.Header)
	r.Header.Set("User-Agent", UserAgent)
	response, err := c.RoundTrip(r)
	if err != nil {
		return nil, l.requestError(ctx, err)
	}
	l.wroteRequest()
	l.readResponse(r, response)
	return response, nil
}

func (l *Attempt) wroteRequest() { l.Progress.advance(probe.Request, probe.Response) }

// Kept returns the connection of the latest request, for further ones; only a WebSocket's attempt has one.
func (l *Attempt) Kept() *http.ClientConn { return l.clients[len(l.clients)-1].(*http.ClientConn) }

func (l *Attempt) readResponse(r *http.Request, response *http.Response) {
	l.Response = Response{Response: response, Proxied: l.Response.Proxied, Credentials: l.Response.Credentials,
		localProxy: l.Response.localProxy}
	if l.Response.Proxied {
		l.learnRefusal(l.Response)
	}
	if response.StatusCode == http.StatusSwitchingProtocols {
		// net/http hands over an upgraded connection. Its new owner may read for three more seconds after an error.
		body := response.Body
		l.KeepOpen = context.AfterFunc(r.Context(), func() { body.Close() })
	} else {
		if err := l.readBody(response); err != nil {
			l.Response.ReadErr = l.transportError("reading the body", err)
		}
		response.Body.Close()
		response.Body = io.NopCloser(bytes.NewReader(l.Response.Content))
	}
	l.Progress.Learn(func(f *probe.Facts) {
		f.Status = response.StatusCode
		f.RequestID = redact.Quote(cmp.Or(response.Header.Get("X-Request-Id"), response.Header.Get("Cf-Ray")), QuoteLimit)
		f.Date, _ = http.ParseTime(response.Header.Get("Date")) // zero if there is none
	})
}

func (l *Attempt) requestError(ctx context.Context, err error) error {
	var peer string
	l.Progress.Learn(func(f *probe.Facts) { peer = f.Peer })
	err = l.transportError("request to "+peer, err)
	refusal := l.refusal(l.Progress.phase(), err)
	if refusal == nil {
		refusal = l.lateRefusal(ctx, err)
	}
	if refusal != nil {
		// With TLS 1.3 the server rejects the client after the client's part of the handshake, but it is part of it.
		l.Progress.Enter(probe.Handshake)
		return refusal
	}
	return err
}

// transportError classifies the errors that net/http reports as text only, from the request to the end of the body.
// After the handshake they are about what it read.
func (l *Attempt) transportError(doing string, err error) error {
	said := probe.During(doing, err)
	if probe.Classify(l.Progress.phase(), err) != probe.Unknown {
		return said
	}
	for _, end := range []string{"server closed idle connection", "GOAWAY", "client connection lost", "received from peer",
		"client conn could not be established"} {
		if strings.Contains(err.Error(), end) {
			return probe.Fail(probe.HTTPClosed, said)
		}
	}
	return probe.Fail(probe.HTTPProtocolError, said)
}

// End ends the attempt with err, and returns its facts.
func (l *Attempt) End(err error) probe.Facts {
	facts := l.Progress.End()
	if err != nil || l.NoteRoute {
		if peer, parsed := netip.ParseAddrPort(facts.Peer); parsed == nil {
			facts.Route = describeRoute(peer.Addr().Unmap())
		}
	}
	return facts
}

// Close ends every connection of the attempt.
func (l *Attempt) Close() {
	if l.KeepOpen != nil {
		l.KeepOpen()
	}
	for _, c := range l.clients {
		c.Close()
	}
}

// open connects to u's server, through a proxy if there is one, so that a request can be sent.
func (l *Attempt) open(ctx context.Context, u *url.URL) error {
	security, err := l.verifier()
	if err != nil {
		return err
	}
	security.learn = l.remark
	via, err := l.proxyFor(u)
	if err != nil {
		return err
	}
	conn, err := l.connect(ctx, u, via, security)
	if err != nil {
		return err
	}
	// For a plain http URL, net/http must know of the proxy to write the request in the proxy's form. All other kinds of
	// proxy have done their part by now.
	l.Response.Proxied = u.Scheme == "http" && via != nil && !isSOCKS(via)
	l.Response.localProxy = via != nil && isLoopback(via.Hostname())
	l.Response.Credentials = via != nil && via.User != nil
	if l.takesOneRequest(conn) {
		l.clients = append(l.clients, &singleRequest{Conn: conn, left: probe.HeaderLimit})
		return nil
	}
	kept, err := l.transport(conn, via).NewClientConn(ctx, u.Scheme, hostPort(u))
	if err != nil {
		conn.Close()
		return cmp.Or(l.refusal(probe.Handshake, err), err)
	}
	l.clients = append(l.clients, kept)
	return nil
}

// transport returns one that uses the established connection.
func (l *Attempt) transport(conn net.Conn, via *url.URL) *http.Transport {
	stands := func(context.Context, string, string) (net.Conn, error) { return conn, nil }
	t := &http.Transport{
		DialContext:            stands,
		DialTLSContext:         stands,
		ForceAttemptHTTP2:      true,
		DisableCompression:     true,
		MaxResponseHeaderBytes: probe.HeaderLimit,
		HTTP2: &http.HTTP2Config{
			MaxReceiveBufferPerStream:     probe.BodyLimit,
			MaxReceiveBufferPerConnection: probe.BodyLimit,
		},
	}
	if l.Response.Proxied {
		// The connection to it exists already; only its name and credentials are needed here.
		t.Proxy = http.ProxyURL(&url.URL{Scheme: "http", Host: via.Host, User: via.User})
	}
	return t
}

func (l *Attempt) connect(ctx context.Context, u, via *url.URL, security *verifier) (conn net.Conn, err error) {
	l.demand, l.again = nil, nil
	if via == nil {
		conn, err = l.dial(ctx, u)
	} else {
		conn, err = l.dialProxy(ctx, via, u, security)
	}
	if err != nil || u.Scheme != "https" {
		return conn, err
	}
	l.again = func(ctx context.Context) (*tls.Conn, error) {
		return l.secureAgain(ctx, conn.RemoteAddr(), u, via, security, false)
	}
	secured, err := l.secure(ctx, conn, u, security, false)
	if err == nil {
		return secured, nil
	}
	conn.Close()
	if again := l.secureOutdated(ctx, conn.RemoteAddr(), u, via, security, err); again != nil {
		return again, nil
	}
	return nil, err
}

// secure makes the TLS handshake with u's server.
func (l *Attempt) secure(
	ctx context.Context, conn net.Conn, u *url.URL, security *verifier, outdated bool,
) (*tls.Conn, error) {
	l.Progress.Enter(probe.Handshake)
	l.demand = new(clientDemand)
	secured, err := security.handshake(ctx, conn, handshake{
		name: cmp.Or(l.ServerName, u.Hostname()), protocols: l.Protocols, outdated: outdated, demand: l.demand,
		seen: func(shown *probe.TLS) { l.Progress.Learn(func(f *probe.Facts) { f.TLS = shown }) },
	})
	if err != nil {
		return nil, cmp.Or(l.refusal(probe.Handshake, err), err)
	}
	return secured, nil
}

func (l *Attempt) dial(ctx context.Context, u *url.URL) (net.Conn, error) {
	port, err := strconv.ParseUint(portOf(u), 10, 16)
	if err != nil {
		return nil, probe.Failf(probe.Internal, "port of %s: %w: use 1 to 65535", u.Redacted(), err)
	}
	host := u.Hostname()
	if l.Address.IsValid() && host == l.Origin.Hostname() {
		host = l.Address.String()
	}
	d := &dialer{nameservers: l.Nameservers, client: l.Client, family: l.Family, smallPackets: l.SmallPackets,
		progress: l.Progress}
	return d.dial(ctx, host, uint16(port))
}

func (l *Attempt) proxyFor(u *url.URL) (*url.URL, error) {
	var via *url.URL
	var err error
	switch {
	case l.Proxy == "none", l.Address.IsValid():
		return nil, nil
	case l.Proxy == "", l.Proxy == "environment":
		return l.proxyOfClient(u)
	default:
		via, err = url.Parse(l.Proxy)
	}
	if err != nil {
		return nil, errNotAProxy
	}
	l.learnProxy(via, "")
	return via, nil
}

// dialProxy connects to a proxy and has it connect to u's server. All of that counts as the phase Connect: the proxy is
// part of the network path.
func (l *Attempt) dialProxy(ctx context.Context, via, u *url.URL, security *verifier) (net.Conn, error) {
	conn, err := l.dial(ctx, via)
	if err != nil {
		return nil, proxyError(l.Progress.phase(), via, err)
	}
	if via.Scheme == "https" {
		secured, err := security.anyIssuer().handshake(ctx, conn,
			handshake{name: via.Hostname(), seen: func(*probe.TLS) {}, demand: new(clientDemand)})
		if err != nil {
			conn.Close()
			return nil, probe.Fail(probe.ProxyFailed, probe.During("proxy "+withoutCredentials(via), err))
		}
		conn = secured
	}
	if isSOCKS(via) {
		err = connectSOCKS(ctx, conn, via, u)
	} else if u.Scheme == "https" {
		err = l.connectHTTP(ctx, conn, via, u)
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

// proxyError blames the proxy unless this host is at fault: without a route, no proxy can be reached.
func proxyError(phase probe.Phase, via *url.URL, err error) error {
	c := probe.Classify(phase, err)
	err = probe.During("proxy "+withoutCredentials(via), err)
	switch {
	case c.Layer() == "local", c == probe.Internal:
		return err
	case c == probe.TCPRefused:
		return probe.Fail(probe.ProxyRefused, err)
	}
	return probe.Fail(probe.ProxyUnreachable, err)
}

// connectHTTP has an HTTP proxy CONNECT to u's server.
func (l *Attempt) connectHTTP(ctx context.Context, conn net.Conn, via, u *url.URL) error {
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	r := &http.Request{Method: http.MethodConnect, URL: &url.URL{Opaque: hostPort(u)}, Host: hostPort(u),
		Header: http.Header{"User-Agent": {UserAgent}}}
	if via.User != nil {
		password, _ := via.User.Password()
		basic := http.Request{Header: http.Header{}}
		basic.SetBasicAuth(via.User.Username(), password)
		r.Header.Set("Proxy-Authorization", basic.Header.Get("Authorization"))
	}
	doing := fmt.Sprintf("CONNECT %s by proxy %s", hostPort(u), withoutCredentials(via))
	if err := r.Write(conn); err != nil {
		return probe.Fail(probe.ProxyFailed, probe.During(doing, err))
	}
	// The buffered reader cannot swallow data of the tunnel: a TLS server sends nothing before the client does.
	response, err := http.ReadResponse(bufio.NewReader(io.LimitReader(conn, probe.HeaderLimit)), r)
	if err != nil {
		return probe.Fail(probe.ProxyFailed, probe.During(doing, err))
	}
	switch response.StatusCode {
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		l.Progress.Learn(func(f *probe.Facts) { f.Warnings = append(f.Warnings, probe.WarnProxyGotNowhere) })
	}
	refused := Response{Response: response, Credentials: via.User != nil, localProxy: isLoopback(via.Hostname())}
	l.learnRefusal(refused)
	return ProxyRefusal(doing, refused)
}

// establishedConn is a proxy.Dialer that returns an existing connection.
type establishedConn struct{ net.Conn }

func (s establishedConn) Dial(string, string) (net.Conn, error) { return s.Conn, nil }
func (s establishedConn) DialContext(context.Context, string, string) (net.Conn, error) {
	return s.Conn, nil
}

func connectSOCKS(ctx context.Context, conn net.Conn, via, u *url.URL) error {
	var auth *proxy.Auth
	if via.User != nil {
		password, _ := via.User.Password()
		auth = &proxy.Auth{User: via.User.Username(), Password: password}
	}
	d, err := proxy.SOCKS5("tcp", hostPort(via), auth, establishedConn{conn})
	if err != nil {
		return probe.Fail(probe.ProxyFailed, err)
	}
	// The connection it returns only wraps ours.
	if _, err := d.(proxy.ContextDialer).DialContext(ctx, "tcp", hostPort(u)); err != nil {
		inner, ok := errors.AsType[*net.OpError](err)
		if ok {
			err = inner.Err
		}
		return probe.Fail(
			probe.ProxyFailed,
			probe.During(fmt.Sprintf("%s by proxy %s", hostPort(u), withoutCredentials(via)), err),
		)
	}
	return nil
}

func isSOCKS(u *url.URL) bool { return strings.HasPrefix(u.Scheme, "socks5") }

// withoutCredentials formats a proxy's URL without its credentials.
func withoutCredentials(u *url.URL) string {
	return (&url.URL{Scheme: u.Scheme, Host: u.Host}).String()
}

func hostPort(u *url.URL) string { return net.JoinHostPort(u.Hostname(), portOf(u)) }

func portOf(u *url.URL) string {
	return cmp.Or(u.Port(), portOfScheme[u.Scheme])
}

var portOfScheme = map[string]string{"http": "80", "https": "443", "socks5": "1080", "socks5h": "1080"}
