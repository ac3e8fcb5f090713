package httpprobe

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"netwatchd/internal/probe"
	"netwatchd/internal/probe/connect"
	"netwatchd/internal/probe/probetest"
)

const quick = time.Second // enough on loopback, and soon over where the point is that nothing comes

// TestAnswers judges what a server that can be reached says, over plain HTTP and over HTTP/2.
func TestAnswers(t *testing.T) {
	const page = "<!DOCTYPE html><html><head><title>Just a moment...</title>"
	html := []string{"Content-Type", "text/html; charset=UTF-8"}
	cloudflare := append([]string{"Server", "cloudflare", "Cf-Ray", "8c1-FRA"}, html...)
	allowPOST := []HeaderToken{{"Allow", "POST"}}
	for _, tt := range []struct {
		name     string
		probe    Request
		Response http.HandlerFunc
		class    probe.Class
		why      string
	}{
		{"any 2xx", Request{}, probetest.Answering(204, ""), probe.OK, ""},
		{"the service", Request{Method: "HEAD", Status: []int{405}, Headers: allowPOST},
			probetest.Answering(405, "", "Allow", "POST"), probe.OK, ""},
		{"one of a list", Request{Status: []int{401, 405}, Headers: allowPOST},
			probetest.Answering(405, "", "Allow", "GET, post", "Allow", "PUT"), probe.OK, ""},
		{"a token with parameters", Request{Headers: []HeaderToken{{"Content-Type", "text/html"}}}, probetest.Answering(200, "", html...), probe.OK, ""},
		{"body", Request{Body: regexp.MustCompile(`^OK$`)}, probetest.Answering(200, "OK"), probe.OK, ""},

		{"another status", Request{Status: []int{405}}, probetest.Answering(200, "hello"), probe.HTTPUnexpectedStatus, "got 200, want 405"},
		{"a captive portal", Request{Status: []int{204}}, probetest.Answering(200, page, html...), probe.HTTPUnexpectedStatus, "got 200, want 204"},
		{"a captive portal's redirect", Request{Status: []int{204}}, probetest.Answering(302, "", "Location", "http://portal.test/login"),
			probe.HTTPRedirected, `got 302, want 204: redirects to "http://portal.test/login"`},
		{"gone", Request{}, probetest.Answering(404, "", html...), probe.HTTPUnexpectedStatus, "got 404, want 2xx"},
		{"server error", Request{Status: []int{405, 401}}, probetest.Answering(502, ""), probe.HTTPServerError, "got 502, want 405 or 401"},
		{"unauthorized", Request{}, probetest.Answering(401, ""), probe.HTTPUnauthorized, "got 401, want 2xx"},
		{"rate limited", Request{}, probetest.Answering(429, "", "Retry-After", "120"), probe.HTTPRateLimited, "Retry-After is 120"},

		{"no header", Request{Status: []int{405}, Headers: allowPOST}, probetest.Answering(405, ""), probe.HTTPUnexpectedHeader, "no Allow header, want POST"},
		{"another header", Request{Status: []int{405}, Headers: allowPOST}, probetest.Answering(405, "", "Allow", "GET"),
			probe.HTTPUnexpectedHeader, `Allow is "GET", want POST among them`},
		{"part of a token", Request{Status: []int{405}, Headers: allowPOST}, probetest.Answering(405, "", "Allow", "POSTAL"),
			probe.HTTPUnexpectedHeader, `Allow is "POSTAL"`},
		{"another body", Request{Body: regexp.MustCompile(`^OK$`)}, probetest.Answering(200, "KO"), probe.HTTPUnexpectedBody, "the body does not match /^OK$/"},
		{"what is sought comes too late", Request{Body: regexp.MustCompile(`end$`)}, probetest.Answering(200, strings.Repeat(" ", 64<<10)+"end"),
			probe.HTTPUnexpectedBody, ""},

		{"challenge", Request{Status: []int{405}}, probetest.Answering(403, page, append(cloudflare, "Cf-Mitigated", "challenge")...),
			probe.HTTPEdgeBlocked, "got 403, want 405: Cloudflare refuses this address (cf-mitigated: challenge)"},
		{"challenge, no body", Request{Method: "HEAD", Status: []int{405}}, probetest.Answering(403, "", cloudflare...), probe.HTTPEdgeBlocked, "cf-ray 8c1-FRA"},
		{"challenge page with 503", Request{}, probetest.Answering(503, page, cloudflare...), probe.HTTPEdgeBlocked, ""},
		{"the service is down behind its CDN", Request{}, probetest.Answering(503, "<html>Service Unavailable", cloudflare...), probe.HTTPServerError, ""},
		{"the service is down, no body", Request{Method: "HEAD"}, probetest.Answering(503, "", cloudflare...), probe.HTTPServerError, ""},
		{"refused by a rule of its CDN, no HTML wanted", Request{Method: "HEAD", Status: []int{405}}, probetest.Answering(403, "", "Server", "cloudflare",
			"Cf-Ray", "8c1-FRA", "Content-Type", "text/plain; charset=UTF-8"), probe.HTTPEdgeBlocked, "cf-ray 8c1-FRA"},
		{"a network wants a sign-in", Request{}, probetest.Answering(511, ""), probe.HTTPUnexpectedStatus, "got 511, want 2xx: a network on the path requires a sign-in"},
		{"a proxy that nobody configured", Request{}, probetest.Answering(407, ""), probe.HTTPUnexpectedStatus, "got 407, want 2xx: a proxy on the network path"},
		{"Akamai", Request{}, probetest.Answering(403, "<H1>Access Denied</H1> Reference&#32;&#35;18&#46;2d", html...), probe.HTTPEdgeBlocked, "Akamai"},
		{"CloudFront", Request{}, probetest.Answering(403, "<H1>403 ERROR</H1>", append(html, "X-Amz-Cf-Id", "x1")...), probe.HTTPEdgeBlocked, "CloudFront"},
		{"the application's own 403", Request{}, probetest.Answering(403, `{"detail":"no"}`, "Content-Type", "application/json", "Server", "cloudflare",
			"Cf-Ray", "8c1-FRA"), probe.HTTPUnexpectedStatus, "got 403, want 2xx"},
	} {
		ca := probetest.NewAuthority(t, "Test Root")
		cert := ca.Issue(t, nil)
		for _, scheme := range []string{"http", "https"} {
			t.Run(tt.name+"/"+scheme, func(t *testing.T) {
				p := tt.probe
				shown := &cert
				if scheme == "http" {
					shown = nil
				}
				p.URL, p.Options = at(t, scheme, probetest.Serving(t, shown, tt.Response), "/")
				p.CAFile = ca.File
				r := probetest.Attempt(t, &p, 5*time.Second)
				probetest.WantEnd(t, r, tt.class, probe.Response, tt.why)
			})
		}
	}
}

func TestFactsOfAnAnswer(t *testing.T) {
	ca := probetest.NewAuthority(t, "Test Root")
	cert := ca.Issue(t, nil)
	var asked http.Request
	server := probetest.Serving(t, &cert, func(w http.ResponseWriter, r *http.Request) {
		asked = *r
		probetest.Answering(405, "POST only, please", "X-Request-Id", "req-7", "Cf-Ray", "8c1-FRA", "Date", "Fri, 20 Feb 2026 02:22:45 GMT")(w, r)
	})
	p := &Request{Method: "GET"}
	p.URL, p.Options = at(t, "https", server, "/backend-api?x=1")
	p.CAFile = ca.File
	got := probetest.Attempt(t, p, 5*time.Second)
	for _, phase := range []probe.Phase{probe.Connect, probe.Handshake, probe.Request, probe.Response} {
		if got.Phases[phase] <= 0 {
			t.Errorf("phase %s is not timed: %v", phase, got.Phases)
		}
	}
	got.Phases = probe.Phases{}
	want := probe.Facts{Phase: probe.Response, Peer: server.String(), Route: &probe.Route{Own: true}, Status: 405, RequestID: "req-7", Output: "POST only, please",
		Date: time.Date(2026, 2, 20, 2, 22, 45, 0, time.UTC),
		TLS: &probe.TLS{Version: "TLS 1.3", Subject: "CN=service.test", Issuer: "CN=Test Root",
			NotAfter: cert.Leaf.NotAfter}}
	if diff := cmp.Diff(want, got.Facts); diff != "" {
		t.Errorf("facts (-want +got):\n%s", diff)
	}
	if asked.Host != p.URL.Host || asked.ProtoMajor != 2 || asked.UserAgent() != connect.UserAgent || asked.RequestURI != "/backend-api?x=1" {
		t.Errorf("asked %s for %s in %s as %q", asked.Host, asked.RequestURI, asked.Proto, asked.UserAgent())
	}
}

func TestCertificates(t *testing.T) {
	known, stranger := probetest.NewAuthority(t, "Known Root"), probetest.NewAuthority(t, "Corporate Inspection")
	good := known.Issue(t, nil)
	expired := known.Issue(t, func(c *x509.Certificate) {
		c.NotBefore, c.NotAfter = time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	})
	other := known.Issue(t, func(c *x509.Certificate) { c.DNSNames = []string{"portal.test", "www.portal.test"} })
	forged := stranger.Issue(t, nil)
	for _, tt := range []struct {
		name   string
		cert   tls.Certificate
		reach  connect.Options
		class  probe.Class
		why    string
		issuer string
	}{
		{"good", good, connect.Options{}, probe.OK, "", "CN=Known Root"},
		{"good, of the issuer expected", good, connect.Options{Issuer: "known root"}, probe.OK, "", "CN=Known Root"},
		{"good, by another name", other, connect.Options{ServerName: "portal.test"}, probe.OK, "", "CN=Known Root"},
		{"expired", expired, connect.Options{}, probe.TLSDateInvalid, `certificate expired on 2026-01-01 (issuer "CN=Known Root")`, "CN=Known Root"},
		{"this clock is slow", good, connect.Options{Now: func() time.Time { return time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC) }},
			probe.TLSDateInvalid, "this host's clock says 2020-01-01", "CN=Known Root"},
		{"this clock sees the expired one in its time", expired,
			connect.Options{Now: func() time.Time { return time.Date(2025, 6, 1, 0, 0, 0, 0, time.UTC) }}, probe.TLSDateInvalid, "not valid before", "CN=Known Root"},
		{"wrong name", other, connect.Options{}, probe.TLSNameInvalid, "certificate is for portal.test, www.portal.test, not for service.test", "CN=Known Root"},
		{"unknown authority", forged, connect.Options{}, probe.TLSAuthorityInvalid, `unknown authority (issuer "CN=Corporate Inspection")`, "CN=Corporate Inspection"},
		{"unknown authority, and not the expected one", forged, connect.Options{Issuer: "Known"}, probe.TLSUnexpectedIssuer,
			`issued by "CN=Corporate Inspection", want "Known"`, "CN=Corporate Inspection"},
		{"unknown authority, named as expected", forged, connect.Options{Issuer: "Inspection"}, probe.TLSAuthorityInvalid, "", "CN=Corporate Inspection"},
		{"trusted, and not the expected issuer", good, connect.Options{Issuer: "Google Trust"}, probe.TLSUnexpectedIssuer, `issued by "CN=Known Root"`, "CN=Known Root"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := &Request{}
			server := probetest.Serving(t, &tt.cert, probetest.Answering(200, ""))
			p.URL, p.Options = at(t, "https", server, "/")
			tt.reach.Address, tt.reach.CAFile = p.Address, known.File
			p.Options = tt.reach
			r := probetest.Attempt(t, p, 5*time.Second)
			phase := probe.Handshake
			if tt.class == probe.OK {
				phase = probe.Response
			}
			probetest.WantEnd(t, r, tt.class, phase, tt.why)
			if r.TLS == nil || r.TLS.Issuer != tt.issuer {
				t.Errorf("TLS = %+v, want the issuer %s kept", r.TLS, tt.issuer)
			}
		})
	}
}

func TestCAFile(t *testing.T) {
	ca := probetest.NewAuthority(t, "Test Root")
	cert := ca.Issue(t, nil)
	p := &Request{}
	p.URL, p.Options = at(t, "https", probetest.Serving(t, &cert, probetest.Answering(200, "")), "/")
	p.CAFile = filepath.Join(t.TempDir(), "ca.pem")
	probetest.WantEnd(t, probetest.Attempt(t, p, quick), probe.Internal, probe.NoPhase, "no such file", "tls.ca_file")
	write := func(text []byte) {
		if err := os.WriteFile(p.CAFile, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write([]byte("no certificate"))
	probetest.WantEnd(t, probetest.Attempt(t, p, quick), probe.Internal, probe.NoPhase, "must be PEM")
	text, err := os.ReadFile(ca.File)
	if err != nil {
		t.Fatal(err)
	}
	write(text) // a rotation: the same prober reads it
	probetest.WantEnd(t, probetest.Attempt(t, p, 5*time.Second), probe.OK, probe.Response)
}

// TestMisbehaviour meets servers that speak no HTTP.
func TestMisbehaviour(t *testing.T) {
	if !probetest.InOwnProcess(t) {
		return
	}
	for _, tt := range []struct {
		name, scheme string
		script       func(net.Conn)
		class        probe.Class
		phase        probe.Phase
		why          string
	}{
		{"silent in the handshake", "https", probetest.Silent, probe.TLSTimedOut, probe.Handshake, "no answer in time"},
		{"closes in the handshake", "https", probetest.Closes, probe.TLSClosed, probe.Handshake, "closed by the other side"},
		{"resets in the handshake", "https", probetest.Resets, probe.TLSClosed, probe.Handshake, "connection reset by peer"},
		{"plain HTTP on a TLS port", "https", probetest.Says("HTTP/1.1 400 Bad Request\r\n\r\n"), probe.TLSProtocolError, probe.Handshake, ""},
		{"a TLS alert", "https", probetest.Says("\x15\x03\x03\x00\x02\x02\x28"), probe.TLSProtocolError, probe.Handshake, "handshake failure"},
		{"silent after the request", "http", probetest.Silent, probe.HTTPTimedOut, probe.Response, "no answer in time"},
		{"closes after the request", "http", probetest.Closes, probe.HTTPClosed, probe.Response, "closed by the other side"},
		{"resets after the request", "http", probetest.Resets, probe.HTTPClosed, probe.Response, "connection reset by peer"},
		{"closes within the header", "http", probetest.Says("HTTP/1.1 200 OK\r\nServer: x\r\n"), probe.HTTPClosed, probe.Response, ""},
		{"speaks something else", "http", probetest.Says("SSH-2.0-OpenSSH_9.2\r\n"), probe.HTTPProtocolError, probe.Response, "malformed HTTP"},
		{"closes within the body", "http", probetest.Says("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"), probe.HTTPClosed, probe.Response, "body: closed by the other side"},
		{"stalls within the body", "http", func(c net.Conn) {
			probetest.Hears(c)
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
			probetest.Silent(c)
		}, probe.HTTPTimedOut, probe.Response, "body: no answer in time"},
		{"cuts the body of an error", "http", probetest.Says("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 100\r\n\r\nhalf"), probe.HTTPServerError, probe.Response, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := &Request{}
			p.URL, p.Options = at(t, tt.scheme, probetest.Listening(t, tt.script), "/")
			probetest.WantEnd(t, probetest.Attempt(t, p, quick), tt.class, tt.phase, tt.why)
		})
	}
}

func TestHTTP2Misbehaviour(t *testing.T) {
	if !probetest.InOwnProcess(t) {
		return
	}
	ca := probetest.NewAuthority(t, "Test Root")
	cert := ca.Issue(t, nil)
	late := make(chan struct{})
	t.Cleanup(func() { close(late) })
	for _, tt := range []struct {
		name     string
		Response http.HandlerFunc
		class    probe.Class
	}{
		{"silent", func(_ http.ResponseWriter, r *http.Request) {
			select {
			case <-r.Context().Done():
			case <-late:
			}
		}, probe.HTTPTimedOut},
		{"aborts the stream", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, probe.HTTPClosed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := &Request{}
			p.URL, p.Options = at(t, "https", probetest.Serving(t, &cert, tt.Response), "/")
			p.CAFile = ca.File
			probetest.WantEnd(t, probetest.Attempt(t, p, quick), tt.class, probe.Response)
		})
	}
}

// TestRefusedClientCertificate meets a refusal that TLS 1.3 delivers after the client's part of the handshake is over.
func TestRefusedClientCertificate(t *testing.T) {
	ca := probetest.NewAuthority(t, "Test Root")
	cert := ca.Issue(t, nil)
	s := httptest.NewUnstartedServer(probetest.Answering(200, ""))
	s.Config.ErrorLog = probetest.QuietLog
	s.TLS = &tls.Config{Certificates: []tls.Certificate{cert}, ClientAuth: tls.RequireAnyClientCert}
	s.StartTLS()
	defer s.Close()
	p := &Request{}
	p.URL, p.Options = at(t, "https", s.Listener.Addr().(*net.TCPAddr), "/")
	p.CAFile = ca.File
	r := probetest.Attempt(t, p, quick)
	probetest.WantEnd(t, r, probe.TLSClientCertificate, probe.Handshake, "certificate required")
	if r.TLS == nil || !r.TLS.NotAfter.Equal(cert.Leaf.NotAfter) {
		t.Errorf("TLS = %+v, want the server's certificate kept", r.TLS)
	}
}

func TestRedirects(t *testing.T) {
	server := probetest.Serving(t, nil, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/" {
			http.Redirect(w, r, "/there", http.StatusFound)
		}
	})
	p := &Request{}
	p.URL, p.Options = at(t, "http", server, "/")
	probetest.WantEnd(t, probetest.Attempt(t, p, quick), probe.HTTPRedirected, probe.Response, `"/there"`)
	p.Status = []int{302}
	probetest.WantEnd(t, probetest.Attempt(t, p, quick), probe.OK, probe.Response)
	p.Status, p.FollowRedirects = nil, true
	r := probetest.Attempt(t, p, quick)
	probetest.WantEnd(t, r, probe.OK, probe.Response)
	if r.Status != 200 {
		t.Errorf("status = %d, want the last answer's", r.Status)
	}
}

// A redirect that cannot be followed is the server's: one to an invalid address, and one to itself.
func TestBadRedirects(t *testing.T) {
	for location, why := range map[string]string{"::": "Location", "/": "stopped after 10 redirects"} {
		p := &Request{}
		p.URL, p.Options = at(t, "http", probetest.Serving(t, nil, probetest.Answering(302, "", "Location", location)), "/")
		probetest.WantEnd(t, probetest.Attempt(t, p, quick), probe.HTTPRedirected, probe.Response)
		p.FollowRedirects = true
		probetest.WantEnd(t, probetest.Attempt(t, p, quick), probe.HTTPRedirected, probe.Response, "cannot follow the redirect", why)
	}
}

// A testProxy speaks CONNECT and absolute URLs, and notes what it was asked.
type testProxy struct {
	refuse http.HandlerFunc // instead of passing on
	to     string           // where it connects, whatever the name asked for
	asked  []string
	auth   string
}

func (p *testProxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.asked, p.auth = append(p.asked, r.Method+" "+r.RequestURI), r.Header.Get("Proxy-Authorization")
	if p.refuse != nil {
		p.refuse(w, r)
		return
	}
	server, err := net.Dial("tcp", p.to)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	client, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(err)
	}
	defer client.Close()
	defer server.Close()
	if r.Method == http.MethodConnect {
		io.WriteString(client, "HTTP/1.1 200 Connection established\r\n\r\n")
	} else {
		r.Write(server)
	}
	go io.Copy(server, client)
	io.Copy(client, server)
}

func TestProxy(t *testing.T) {
	ca := probetest.NewAuthority(t, "Test Root")
	cert := ca.Issue(t, nil)
	wantAuth := probetest.Answering(407, "", "Proxy-Authenticate", `Basic realm="corp"`)
	policy := probetest.Answering(403, "blocked", "X-Proxy-Error", "blocked-by-allowlist")
	for _, tt := range []struct {
		name, scheme string
		refuse       http.HandlerFunc
		class        probe.Class
		phase        probe.Phase
		why          string
	}{
		{"passes TLS", "https", nil, probe.OK, probe.Response, ""},
		{"passes plain HTTP", "http", nil, probe.OK, probe.Response, ""},
		{"wants credentials for a tunnel", "https", wantAuth, probe.ProxyAuthRequired, probe.Connect, `got 407 (Basic realm="corp")`},
		{"wants credentials for plain HTTP", "http", wantAuth, probe.ProxyAuthRequired, probe.Response, `407 (Basic realm="corp")`},
		{"policy against a tunnel", "https", policy, probe.LocalDenied, probe.Connect, "got 403 (x-proxy-error: blocked-by-allowlist): the sandbox's rules"},
		{"policy against plain HTTP", "http", policy, probe.LocalDenied, probe.Response, "403 (x-proxy-error: blocked-by-allowlist): the sandbox's rules"},
		{"another reason", "https", probetest.Answering(403, "", "X-Proxy-Error", "too-many-tunnels"), probe.ProxyFailed, probe.Connect,
			"got 403 (x-proxy-error: too-many-tunnels)"},
		{"cannot reach the server", "https", probetest.Answering(502, ""), probe.ProxyFailed, probe.Connect, "got 502"},
		{"cannot reach the server, plain HTTP", "http", probetest.Answering(502, ""), probe.HTTPServerError, probe.Response, "got 502, want 200"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			shown := &cert
			if tt.scheme == "http" {
				shown = nil
			}
			server := probetest.Serving(t, shown, probetest.Answering(200, ""))
			way := &testProxy{refuse: tt.refuse, to: server.String()}
			address := probetest.Serving(t, nil, way.ServeHTTP).String()
			p := &Request{URL: probetest.MustURL(t, tt.scheme+"://service.test/path"), Status: []int{200}}
			p.Options = connect.Options{Proxy: "http://user:secret@" + address, CAFile: ca.File}
			r := probetest.Attempt(t, p, 5*time.Second)
			probetest.WantEnd(t, r, tt.class, tt.phase, tt.why)
			if r.Proxy != "http://"+address || r.Peer != address || strings.Contains(r.Why, "secret") {
				t.Errorf("proxy = %s, peer = %s, why = %s, want %s, without credentials", r.Proxy, r.Peer, r.Why, address)
			}
			asked := map[string][]string{"https": {"CONNECT service.test:443"}, "http": {"GET http://service.test/path"}}
			if diff := cmp.Diff(asked[tt.scheme], way.asked); diff != "" {
				t.Errorf("the proxy was asked (-want +got):\n%s", diff)
			}
			if gotNowhere := slices.Contains(r.Warnings, "proxy_got_nowhere"); gotNowhere != (tt.name == "cannot reach the server") {
				t.Errorf("warnings = %q", r.Warnings)
			}
			if way.auth != "Basic dXNlcjpzZWNyZXQ=" {
				t.Errorf("the proxy was shown %q, want the URL's credentials", way.auth)
			}
		})
	}
}

func TestDeadProxy(t *testing.T) {
	if !probetest.InOwnProcess(t) {
		return
	}
	hole := probetest.BlackHole(t, "127.0.0.1").String()
	for _, tt := range []struct {
		name, proxy string
		class       probe.Class
		phase       probe.Phase
	}{
		{"refused", "http://127.0.0.1:1", probe.ProxyRefused, probe.Connect},
		{"black hole", "http://" + hole, probe.ProxyUnreachable, probe.Connect},
		{"no such name", "http://proxy.test:3128", probe.ProxyUnreachable, probe.Resolve},
		{"silent", "http://" + probetest.Listening(t, probetest.Silent).String(), probe.ProxyFailed, probe.Connect},
		{"closes", "http://" + probetest.Listening(t, probetest.Closes).String(), probe.ProxyFailed, probe.Connect},
		{"resets", "http://" + probetest.Listening(t, probetest.Resets).String(), probe.ProxyFailed, probe.Connect},
		{"speaks something else", "http://" + probetest.Listening(t, probetest.Says("SSH-2.0-OpenSSH_9.2\r\n")).String(), probe.ProxyFailed, probe.Connect},
		{"no TLS where there should be", "https://" + probetest.Listening(t, probetest.Says("HTTP/1.1 400 Bad Request\r\n\r\n")).String(), probe.ProxyFailed, probe.Connect},
		{"no SOCKS where there should be", "socks5://" + probetest.Listening(t, probetest.Says("HTTP/1.1 400 Bad Request\r\n\r\n")).String(), probe.ProxyFailed, probe.Connect},
		{"SOCKS refuses", "socks5://" + probetest.Listening(t, socks(5)).String(), probe.ProxyFailed, probe.Connect},
		{"refused SOCKS", "socks5h://127.0.0.1:1", probe.ProxyRefused, probe.Connect},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := &Request{URL: probetest.MustURL(t, "https://service.test/")}
			p.Options = connect.Options{Proxy: tt.proxy, Nameservers: probetest.Naming(t)}
			r := probetest.Attempt(t, p, quick)
			probetest.WantEnd(t, r, tt.class, tt.phase, probetest.MustURL(t, tt.proxy).Host)
			if r.Proxy != tt.proxy {
				t.Errorf("proxy = %q, want %q", r.Proxy, tt.proxy)
			}
		})
	}
}

// socks is a SOCKS5 server (RFC 1928) that ends the first request with this reply.
func socks(reply byte) func(net.Conn) {
	return func(c net.Conn) {
		probetest.Hears(c)
		c.Write([]byte{5, 0})
		probetest.Hears(c)
		c.Write([]byte{5, reply, 0, 1, 0, 0, 0, 0, 0, 0})
		if reply == 0 {
			probetest.Says("HTTP/1.1 204 No Content\r\n\r\n")(c)
		}
	}
}

func TestSOCKSProxy(t *testing.T) {
	p := &Request{URL: probetest.MustURL(t, "http://service.test/")}
	p.Proxy = "socks5h://" + probetest.Listening(t, socks(0)).String()
	probetest.WantEnd(t, probetest.Attempt(t, p, quick), probe.OK, probe.Response)
}

func TestProxyFromEnvironment(t *testing.T) {
	way := &testProxy{refuse: probetest.Answering(403, "")}
	p := &Request{URL: probetest.MustURL(t, "https://service.test/")}
	p.Nameservers = probetest.Naming(t)
	t.Setenv("ALL_PROXY", "http://"+probetest.Serving(t, nil, way.ServeHTTP).String())
	probetest.WantEnd(t, probetest.Attempt(t, p, quick), probe.ProxyFailed, probe.Connect)
	t.Setenv("https_proxy", "http://"+probetest.Nobody(t).String()) // is the one for it
	probetest.WantEnd(t, probetest.Attempt(t, p, quick), probe.ProxyRefused, probe.Connect)
	t.Setenv("NO_PROXY", "service.test")
	if r := probetest.Attempt(t, p, quick); r.Proxy != "" {
		t.Errorf("by way of %q, want past the proxy", r.Proxy)
	}
	t.Setenv("NO_PROXY", "")
	p.Proxy = "none"
	r := probetest.Attempt(t, p, quick)
	if r.Phase != probe.Resolve || r.Proxy != "" {
		t.Errorf("ended in %s by way of %q, want past the proxy", r.Phase, r.Proxy)
	}
	p.Proxy = "http://user:secret%zz@proxy.test"
	r = probetest.Attempt(t, p, quick)
	probetest.WantEnd(t, r, probe.Internal, probe.NoPhase, "not a valid URL")
	if strings.Contains(r.Why, "secret") {
		t.Errorf("why = %q, without the password", r.Why)
	}
}

// TestNginx asks a server that others wrote for what the real service answers.
func TestNginx(t *testing.T) {
	binary, err := exec.LookPath("nginx")
	if err != nil {
		t.Skip("needs nginx: apt-get install nginx-light")
	}
	ca := probetest.NewAuthority(t, "Test Root")
	dir := t.TempDir()
	listener := startNginx(t, binary, dir, ca.Issue(t, nil))
	p := &Request{Method: "HEAD", Status: []int{405}, Headers: []HeaderToken{{"Allow", "POST"}}}
	p.URL, p.Options = at(t, "https", listener, "/backend-api/codex/responses")
	p.CAFile, p.Issuer = ca.File, "Test Root"
	r := probetest.Attempt(t, p, 10*time.Second)
	probetest.WantEnd(t, r, probe.OK, probe.Response)
	if r.Status != 405 || r.Date.IsZero() || r.TLS.Version != "TLS 1.3" {
		t.Errorf("facts = %+v", r.Facts)
	}
	s := &Stream{URL: new(url.URL), Hold: 50 * time.Millisecond, Timeout: 5 * time.Second, Options: p.Options}
	*s.URL = *p.URL
	s.URL.Scheme = "wss"
	r = probetest.Attempt(t, s, 10*time.Second)
	probetest.WantEnd(t, r, probe.OK, probe.Streaming)
	probetest.WantWarnings(t, r, "stream_not_upgraded")
	log, err := os.ReadFile(filepath.Join(dir, "access.log"))
	if err != nil {
		t.Fatal(err)
	}
	for _, asked := range []string{"HEAD /backend-api/codex/responses HTTP/2.0", "GET /backend-api/codex/responses HTTP/1.1"} {
		if !strings.Contains(string(log), asked) {
			t.Errorf("nginx was not asked %q but\n%s", asked, log)
		}
	}
}

// With master_process off, nginx 1.22 crashes on a socket that it was handed.
const nginxConfig = `
daemon off; pid nginx.pid; error_log stderr;
events {}
http {
  access_log access.log; keepalive_timeout 60s;
  client_body_temp_path t1; proxy_temp_path t2; fastcgi_temp_path t3; uwsgi_temp_path t4; scgi_temp_path t5;
  server {
    listen ADDRESS ssl http2; ssl_protocols TLSv1.3; ssl_certificate cert.pem; ssl_certificate_key key.pem;
    location = /backend-api/codex/responses {
      if ($request_method != POST) { add_header Allow POST always; return 405; }
      return 401;
    }
  }
}`

// The headers that a probe expects are kept as evidence, whether they are right or not; others are not.
func TestHeadersAreKept(t *testing.T) {
	for _, test := range []struct {
		answer []string
		want   []string
	}{
		{[]string{"Allow", "GET", "Allow", "POST", "Set-Cookie", "session=1"}, []string{"Allow: GET, POST"}},
		{[]string{"Allow", "GET"}, []string{"Allow: GET"}},
		{[]string{"X-Other", "1"}, nil},
	} {
		server := httptest.NewServer(probetest.Answering(405, "", test.answer...))
		at, err := url.Parse(server.URL)
		if err != nil {
			t.Fatal(err)
		}
		p := &Request{URL: at, Method: "HEAD", Status: []int{405}, Headers: []HeaderToken{{"Allow", "POST"}}}
		facts, _ := p.Probe(t.Context())
		server.Close()
		if diff := cmp.Diff(test.want, facts.Headers); diff != "" {
			t.Errorf("%v (-want +got):\n%s", test.answer, diff)
		}
	}
}
