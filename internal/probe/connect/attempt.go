// Package connect makes one connection: it resolves the name, races its addresses, goes through a proxy, makes the TLS
// handshake, and finds out who refused if it fails.
package connect

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/http/httpproxy"
	"golang.org/x/net/proxy"

	"netwatchd/internal/probe"
	"netwatchd/internal/redact"
)

// Options says how a server is reached and which certificate it must show. The zero value is what a browser would do.
type Options struct {
	CAFile     string // PEM, read at each attempt, so that a rotated file needs no reload; empty: the system's roots
	Issuer     string // part of an issuer's name that must be in the chain, whatever the case; empty: any
	ServerName string // asked for and verified instead of the URL's host

	Family      string           // "ipv4", "ipv6"; empty or "any": both
	Nameservers []netip.AddrPort // asked instead of the system's

	// Address is connected to instead of what the URL's host resolves to, past every resolver and every proxy. The Host
	// header and the name asked for in the handshake stay the URL's.
	Address netip.Addr

	Proxy string           // "none", a URL (http, https, socks5), or "environment", which is also what "" means
	Now   func() time.Time `json:"-"` // against which certificates are judged; nil: time.Now
}

// A Attempt makes the connections of one attempt, each for one request, and keeps what was learned. It connects before
// net/http is involved and hands it a connection that stands: net/http would dial in a goroutine that outlives a
// cancelled request, and would not say where it was. It is used by one goroutine.
type Attempt struct {
	Options
	Progress  *Progress
	Origin    *url.URL // whose host Address stands for
	Protocols []string // ALPN
	Conns     []*http.ClientConn
	Response  Response    // the last one
	KeepOpen  func() bool // lets a connection that changed its protocol outlive its request's context
}

// An Response is what a server said.
type Response struct {
	*http.Response
	Content []byte // as much as was read
	ReadErr error  // why the body ended early
	Proxied bool   // a proxy passed it on in plain text, or made it up
}

// bodyLimit is how much of a body is read: a challenge page says who it is within its first few kilobytes, and a health
// answer is shorter still; a probe is no download.
const bodyLimit = 64 << 10

// QuoteLimit is enough to recognise a page or an error message by.
const QuoteLimit = 200

// UserAgent says who asks: an operator who finds us in a log should be able to find out why.
const UserAgent = "netwatchd"

// RoundTrip makes one request on a connection of its own: a probe that rides on a warm connection measures yesterday's
// network. The response's body has been read.
func (l *Attempt) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := l.open(r.Context(), r.URL); err != nil {
		return nil, err
	}
	return l.ask(r)
}

// ask makes a request on the last connection opened.
func (l *Attempt) ask(r *http.Request) (*http.Response, error) {
	l.Progress.Enter(probe.Request)
	ctx := httptrace.WithClientTrace(r.Context(), &httptrace.ClientTrace{
		WroteRequest: func(httptrace.WroteRequestInfo) { l.Progress.advance(probe.Request, probe.Response) },
	})
	r = r.Clone(ctx)
	r.Header.Set("User-Agent", UserAgent)
	response, err := l.Conns[len(l.Conns)-1].RoundTrip(r)
	if err != nil {
		return nil, l.askFailed(err)
	}
	l.Progress.advance(probe.Request, probe.Response)
	l.heard(r, response)
	return response, nil
}

func (l *Attempt) heard(r *http.Request, response *http.Response) {
	l.Response = Response{Response: response, Proxied: l.Response.Proxied}
	if response.StatusCode == http.StatusSwitchingProtocols {
		// net/http leaves such a connection to its user, and that one reads on for three seconds if it does not like it.
		body := response.Body
		l.KeepOpen = context.AfterFunc(r.Context(), func() { body.Close() })
	} else {
		l.Response.Content, l.Response.ReadErr = io.ReadAll(io.LimitReader(response.Body, bodyLimit))
		response.Body.Close()
		response.Body = io.NopCloser(strings.NewReader(string(l.Response.Content)))
	}
	l.Progress.Learn(func(f *probe.Facts) {
		f.Status = response.StatusCode
		f.RequestID = redact.Quote(cmp.Or(response.Header.Get("X-Request-Id"), response.Header.Get("Cf-Ray")), QuoteLimit)
		f.Date, _ = http.ParseTime(response.Header.Get("Date")) // zero if there is none
	})
}

// askFailed classifies what net/http says in words alone. Past the handshake it complains of what it read.
func (l *Attempt) askFailed(err error) error {
	var peer string
	l.Progress.Learn(func(f *probe.Facts) { peer = f.Peer })
	said := probe.During("request to "+peer, err)
	if probe.Classify(l.Progress.phase(), err) != probe.Unknown {
		return said
	}
	for _, end := range []string{"server closed idle connection", "GOAWAY", "client connection lost", "received from peer"} {
		if strings.Contains(err.Error(), end) {
			return probe.Fail(probe.HTTPClosed, said)
		}
	}
	return probe.Fail(probe.HTTPProtocolError, said)
}

// Close ends every connection of the attempt.
func (l *Attempt) Close() {
	if l.KeepOpen != nil {
		l.KeepOpen()
	}
	for _, c := range l.Conns {
		c.Close()
	}
}

// open connects to u's server, through a proxy if there is one, up to the point where a request can be made.
func (l *Attempt) open(ctx context.Context, u *url.URL) error {
	security, err := l.security()
	if err != nil {
		return err
	}
	via, err := l.proxyFor(u)
	if err != nil {
		return err
	}
	conn, err := l.connect(ctx, u, via, security)
	if err != nil {
		return err
	}
	// net/http writes the request of a plain http URL so that a proxy understands it, if it knows of the proxy; every
	// other proxy is behind us by now.
	l.Response.Proxied = u.Scheme == "http" && via != nil && !isSOCKS(via)
	stands := func(context.Context, string, string) (net.Conn, error) { return conn, nil }
	t := &http.Transport{DialContext: stands, DialTLSContext: stands, ForceAttemptHTTP2: true, DisableCompression: true}
	if l.Response.Proxied {
		// It has been connected to, by TLS or not: what is left of it here is its name and its credentials.
		t.Proxy = http.ProxyURL(&url.URL{Scheme: "http", Host: via.Host, User: via.User})
	}
	client, err := t.NewClientConn(ctx, u.Scheme, hostPort(u))
	if err != nil {
		conn.Close()
		return err
	}
	l.Conns = append(l.Conns, client)
	return nil
}

func (l *Attempt) connect(ctx context.Context, u, via *url.URL, security *security) (conn net.Conn, err error) {
	if via == nil {
		conn, err = l.dial(ctx, u)
	} else {
		conn, err = l.dialThrough(ctx, via, u, security)
	}
	if err != nil || u.Scheme != "https" {
		return conn, err
	}
	l.Progress.Enter(probe.Handshake)
	secured, err := security.shake(ctx, conn, cmp.Or(l.ServerName, u.Hostname()), l.Protocols, func(shown *probe.TLS) {
		l.Progress.Learn(func(f *probe.Facts) { f.TLS = shown })
	})
	if err != nil {
		conn.Close()
		return nil, err
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
	d := &dialer{nameservers: l.Nameservers, family: l.Family, progress: l.Progress}
	return d.dial(ctx, host, uint16(port))
}

// proxyFor reads the environment at each attempt, unlike net/http, which remembers the first it saw.
func (l *Attempt) proxyFor(u *url.URL) (*url.URL, error) {
	var via *url.URL
	var err error
	switch {
	case l.Proxy == "none", l.Address.IsValid():
		return nil, nil
	case l.Proxy == "", l.Proxy == "environment":
		via, err = proxyOfEnvironment(u)
	default:
		via, err = url.Parse(l.Proxy)
	}
	if err != nil {
		// The error quotes the URL, and that may hold a password.
		return nil, probe.Failf(probe.Internal, "the proxy's address is no URL: use http://host:port in the configuration or HTTPS_PROXY")
	}
	if via != nil {
		l.Progress.Learn(func(f *probe.Facts) { f.Proxy = naked(via) })
	}
	return via, nil
}

// proxyOfEnvironment is what codex takes from the environment: what net/http knows and, where that names none, ALL_PROXY
// (measured with 0.104.0 and 0.169.0), as curl(1) does.
func proxyOfEnvironment(u *url.URL) (*url.URL, error) {
	c := httpproxy.FromEnvironment()
	all := cmp.Or(os.Getenv("ALL_PROXY"), os.Getenv("all_proxy"))
	c.HTTPProxy, c.HTTPSProxy = cmp.Or(c.HTTPProxy, all), cmp.Or(c.HTTPSProxy, all)
	return c.ProxyFunc()(u)
}

// dialThrough connects to a proxy and asks it for a way to u's server. All of that is Connect: to the one behind it, a
// proxy is part of the way.
func (l *Attempt) dialThrough(ctx context.Context, via, u *url.URL, security *security) (net.Conn, error) {
	conn, err := l.dial(ctx, via)
	if err != nil {
		return nil, proxyUnreached(l.Progress.phase(), via, err)
	}
	if via.Scheme == "https" {
		secured, err := security.anyIssuer().shake(ctx, conn, via.Hostname(), nil, func(*probe.TLS) {})
		if err != nil {
			conn.Close()
			return nil, probe.Fail(probe.ProxyFailed, probe.During("proxy "+naked(via), err))
		}
		conn = secured
	}
	if isSOCKS(via) {
		err = askSOCKS(ctx, conn, via, u)
	} else if u.Scheme == "https" {
		err = l.askTunnel(ctx, conn, via, u)
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

// proxyUnreached leaves to this host what is this host's: without a route, no proxy is to blame.
func proxyUnreached(phase probe.Phase, via *url.URL, err error) error {
	c := probe.Classify(phase, err)
	err = probe.During("proxy "+naked(via), err)
	switch {
	case c.Layer() == "local", c == probe.Internal:
		return err
	case c == probe.TCPRefused:
		return probe.Fail(probe.ProxyRefused, err)
	}
	return probe.Fail(probe.ProxyUnreachable, err)
}

// askTunnel asks an HTTP proxy to CONNECT to u's server.
func (l *Attempt) askTunnel(ctx context.Context, conn net.Conn, via, u *url.URL) error {
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
	doing := fmt.Sprintf("CONNECT %s by proxy %s", hostPort(u), naked(via))
	if err := r.Write(conn); err != nil {
		return probe.Fail(probe.ProxyFailed, probe.During(doing, err))
	}
	// What is read too much is nothing: a TLS server does not speak until it is spoken to.
	response, err := http.ReadResponse(bufio.NewReader(io.LimitReader(conn, bodyLimit)), r)
	if err != nil {
		return probe.Fail(probe.ProxyFailed, probe.During(doing, err))
	}
	switch response.StatusCode {
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		l.Progress.Learn(func(f *probe.Facts) { f.Warnings = append(f.Warnings, "proxy_got_nowhere") })
	}
	return ProxyRefusal(doing, response)
}

// ProxyRefusal is nil if a proxy did as it was asked.
func ProxyRefusal(doing string, r *http.Response) error {
	switch reason := r.Header.Get("X-Proxy-Error"); {
	case r.StatusCode == http.StatusProxyAuthRequired:
		return probe.Failf(probe.ProxyAuthRequired, "%s: got 407 (%s): put user:password@ into the proxy's URL", doing,
			cmp.Or(r.Header.Get("Proxy-Authenticate"), "no scheme named"))
	case reason != "":
		// Codex's managed proxy says so when its policy blocks a host, as in "blocked-by-allowlist".
		return probe.Failf(probe.ProxyFailed, "%s: got %d (x-proxy-error: %s)", doing, r.StatusCode, reason)
	case r.StatusCode/100 != 2:
		return probe.Failf(probe.ProxyFailed, "%s: got %d", doing, r.StatusCode)
	}
	return nil
}

// standing hands out a connection that has been made.
type standing struct{ net.Conn }

func (s standing) Dial(string, string) (net.Conn, error) { return s.Conn, nil }
func (s standing) DialContext(context.Context, string, string) (net.Conn, error) {
	return s.Conn, nil
}

func askSOCKS(ctx context.Context, conn net.Conn, via, u *url.URL) error {
	var auth *proxy.Auth
	if via.User != nil {
		password, _ := via.User.Password()
		auth = &proxy.Auth{User: via.User.Username(), Password: password}
	}
	d, err := proxy.SOCKS5("tcp", hostPort(via), auth, standing{conn})
	if err != nil {
		return probe.Fail(probe.ProxyFailed, err)
	}
	// The connection it returns is ours in a wrapper without a use.
	if _, err := d.(proxy.ContextDialer).DialContext(ctx, "tcp", hostPort(u)); err != nil {
		inner, ok := errors.AsType[*net.OpError](err)
		if ok {
			err = inner.Err
		}
		return probe.Fail(probe.ProxyFailed, probe.During(fmt.Sprintf("%s by proxy %s", hostPort(u), naked(via)), err))
	}
	return nil
}

func isSOCKS(u *url.URL) bool { return strings.HasPrefix(u.Scheme, "socks5") }

// naked is a proxy's URL without credentials.
func naked(u *url.URL) string { return (&url.URL{Scheme: u.Scheme, Host: u.Host}).String() }

func hostPort(u *url.URL) string { return net.JoinHostPort(u.Hostname(), portOf(u)) }

func portOf(u *url.URL) string {
	byScheme := map[string]string{"http": "80", "https": "443", "socks5": "1080", "socks5h": "1080"}
	return cmp.Or(u.Port(), byScheme[u.Scheme])
}
