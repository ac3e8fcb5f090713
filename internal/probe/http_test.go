package probe

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
)

const quick = time.Second // enough on loopback, and soon over where the point is that nothing comes

// TestAnswers judges what a server that can be reached says, over plain HTTP and over HTTP/2.
func TestAnswers(t *testing.T) {
	const page = "<!DOCTYPE html><html><head><title>Just a moment...</title>"
	html := []string{"Content-Type", "text/html; charset=UTF-8"}
	cloudflare := append([]string{"Server", "cloudflare", "Cf-Ray", "8c1-FRA"}, html...)
	allowPOST := []HeaderToken{{"Allow", "POST"}}
	for _, tt := range []struct {
		name   string
		probe  HTTP
		answer http.HandlerFunc
		class  Class
		why    string
	}{
		{"any 2xx", HTTP{}, answering(204, ""), OK, ""},
		{"the service", HTTP{Method: "HEAD", Status: []int{405}, Headers: allowPOST},
			answering(405, "", "Allow", "POST"), OK, ""},
		{"one of a list", HTTP{Status: []int{401, 405}, Headers: allowPOST},
			answering(405, "", "Allow", "GET, post", "Allow", "PUT"), OK, ""},
		{"a token with parameters", HTTP{Headers: []HeaderToken{{"Content-Type", "text/html"}}}, answering(200, "", html...), OK, ""},
		{"body", HTTP{Body: regexp.MustCompile(`^OK$`)}, answering(200, "OK"), OK, ""},

		{"another status", HTTP{Status: []int{405}}, answering(200, "hello"), HTTPUnexpectedStatus, "got 200, want 405"},
		{"a captive portal", HTTP{Status: []int{204}}, answering(200, page, html...), HTTPUnexpectedStatus, "got 200, want 204"},
		{"a captive portal's redirect", HTTP{Status: []int{204}}, answering(302, "", "Location", "http://portal.test/login"),
			HTTPRedirected, `got 302, want 204: it points to "http://portal.test/login"`},
		{"gone", HTTP{}, answering(404, "", html...), HTTPUnexpectedStatus, "got 404, want 2xx"},
		{"server error", HTTP{Status: []int{405, 401}}, answering(502, ""), HTTPServerError, "got 502, want 405 or 401"},
		{"unauthorized", HTTP{}, answering(401, ""), HTTPUnauthorized, "got 401, want 2xx"},
		{"rate limited", HTTP{}, answering(429, "", "Retry-After", "120"), HTTPRateLimited, "Retry-After is 120"},

		{"no header", HTTP{Status: []int{405}, Headers: allowPOST}, answering(405, ""), HTTPUnexpectedHeader, "no Allow header, want POST"},
		{"another header", HTTP{Status: []int{405}, Headers: allowPOST}, answering(405, "", "Allow", "GET"),
			HTTPUnexpectedHeader, `Allow is "GET", want POST among them`},
		{"part of a token", HTTP{Status: []int{405}, Headers: allowPOST}, answering(405, "", "Allow", "POSTAL"),
			HTTPUnexpectedHeader, `Allow is "POSTAL"`},
		{"another body", HTTP{Body: regexp.MustCompile(`^OK$`)}, answering(200, "KO"), HTTPUnexpectedBody, "the body does not match /^OK$/"},
		{"what is sought comes too late", HTTP{Body: regexp.MustCompile(`end$`)}, answering(200, strings.Repeat(" ", 64<<10)+"end"),
			HTTPUnexpectedBody, ""},

		{"challenge", HTTP{Status: []int{405}}, answering(403, page, append(cloudflare, "Cf-Mitigated", "challenge")...),
			HTTPEdgeBlocked, "got 403, want 405: Cloudflare refuses this address (cf-mitigated: challenge)"},
		{"challenge, no body", HTTP{Method: "HEAD", Status: []int{405}}, answering(403, "", cloudflare...), HTTPEdgeBlocked, "cf-ray 8c1-FRA"},
		{"challenge page with 503", HTTP{}, answering(503, page, cloudflare...), HTTPEdgeBlocked, ""},
		{"the service is down behind its CDN", HTTP{}, answering(503, "<html>Service Unavailable", cloudflare...), HTTPServerError, ""},
		{"the service is down, no body", HTTP{Method: "HEAD"}, answering(503, "", cloudflare...), HTTPServerError, ""},
		{"refused by a rule of its CDN, no HTML wanted", HTTP{Method: "HEAD", Status: []int{405}}, answering(403, "", "Server", "cloudflare",
			"Cf-Ray", "8c1-FRA", "Content-Type", "text/plain; charset=UTF-8"), HTTPEdgeBlocked, "cf-ray 8c1-FRA"},
		{"a network wants a sign-in", HTTP{}, answering(511, ""), HTTPUnexpectedStatus, "got 511, want 2xx: a network on the way wants a sign-in"},
		{"a proxy that nobody configured", HTTP{}, answering(407, ""), HTTPUnexpectedStatus, "got 407, want 2xx: a proxy on the way"},
		{"Akamai", HTTP{}, answering(403, "<H1>Access Denied</H1> Reference&#32;&#35;18&#46;2d", html...), HTTPEdgeBlocked, "Akamai"},
		{"CloudFront", HTTP{}, answering(403, "<H1>403 ERROR</H1>", append(html, "X-Amz-Cf-Id", "x1")...), HTTPEdgeBlocked, "CloudFront"},
		{"the application's own 403", HTTP{}, answering(403, `{"detail":"no"}`, "Content-Type", "application/json", "Server", "cloudflare",
			"Cf-Ray", "8c1-FRA"), HTTPUnexpectedStatus, "got 403, want 2xx"},
	} {
		ca := newAuthority(t, "Test Root")
		cert := ca.issue(t, nil)
		for _, scheme := range []string{"http", "https"} {
			t.Run(tt.name+"/"+scheme, func(t *testing.T) {
				p := tt.probe
				shown := &cert
				if scheme == "http" {
					shown = nil
				}
				p.URL, p.Reach = at(t, scheme, serving(t, shown, tt.answer), "/")
				p.CAFile = ca.file
				r := attempt(t, &p, 5*time.Second)
				wantEnd(t, r, tt.class, Response, tt.why)
			})
		}
	}
}

func TestFactsOfAnAnswer(t *testing.T) {
	ca := newAuthority(t, "Test Root")
	cert := ca.issue(t, nil)
	var asked http.Request
	server := serving(t, &cert, func(w http.ResponseWriter, r *http.Request) {
		asked = *r
		answering(405, "POST only, please", "X-Request-Id", "req-7", "Cf-Ray", "8c1-FRA", "Date", "Fri, 20 Feb 2026 02:22:45 GMT")(w, r)
	})
	p := &HTTP{Method: "GET"}
	p.URL, p.Reach = at(t, "https", server, "/backend-api?x=1")
	p.CAFile = ca.file
	got := attempt(t, p, 5*time.Second)
	for _, phase := range []Phase{Connect, Handshake, Request, Response} {
		if got.Phases[phase] <= 0 {
			t.Errorf("phase %s is not timed: %v", phase, got.Phases)
		}
	}
	got.Phases = Phases{}
	want := Facts{Phase: Response, Peer: server.String(), Status: 405, RequestID: "req-7", Output: "POST only, please",
		Date: time.Date(2026, 2, 20, 2, 22, 45, 0, time.UTC),
		TLS: &TLS{Version: "TLS 1.3", Subject: "CN=service.test", Issuer: "CN=Test Root",
			NotAfter: cert.Leaf.NotAfter}}
	if diff := cmp.Diff(want, got.Facts); diff != "" {
		t.Errorf("facts (-want +got):\n%s", diff)
	}
	if asked.Host != p.URL.Host || asked.ProtoMajor != 2 || asked.UserAgent() != userAgent || asked.RequestURI != "/backend-api?x=1" {
		t.Errorf("asked %s for %s in %s as %q", asked.Host, asked.RequestURI, asked.Proto, asked.UserAgent())
	}
}

func TestCertificates(t *testing.T) {
	known, stranger := newAuthority(t, "Known Root"), newAuthority(t, "Corporate Inspection")
	good := known.issue(t, nil)
	expired := known.issue(t, func(c *x509.Certificate) {
		c.NotBefore, c.NotAfter = time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	})
	other := known.issue(t, func(c *x509.Certificate) { c.DNSNames = []string{"portal.test", "www.portal.test"} })
	forged := stranger.issue(t, nil)
	for _, tt := range []struct {
		name   string
		cert   tls.Certificate
		reach  Reach
		class  Class
		why    string
		issuer string
	}{
		{"good", good, Reach{}, OK, "", "CN=Known Root"},
		{"good, of the issuer expected", good, Reach{Issuer: "known root"}, OK, "", "CN=Known Root"},
		{"good, by another name", other, Reach{ServerName: "portal.test"}, OK, "", "CN=Known Root"},
		{"expired", expired, Reach{}, TLSDateInvalid, `certificate expired on 2026-01-01 (issuer "CN=Known Root")`, "CN=Known Root"},
		{"this clock is slow", good, Reach{Now: func() time.Time { return time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC) }},
			TLSDateInvalid, "this host's clock says 2020-01-01", "CN=Known Root"},
		{"this clock sees the expired one in its time", expired,
			Reach{Now: func() time.Time { return time.Date(2025, 6, 1, 0, 0, 0, 0, time.UTC) }}, TLSDateInvalid, "not valid before", "CN=Known Root"},
		{"wrong name", other, Reach{}, TLSNameInvalid, "certificate is for portal.test, www.portal.test, not for service.test", "CN=Known Root"},
		{"unknown authority", forged, Reach{}, TLSAuthorityInvalid, `unknown authority (issuer "CN=Corporate Inspection")`, "CN=Corporate Inspection"},
		{"unknown authority, and not the expected one", forged, Reach{Issuer: "Known"}, TLSUnexpectedIssuer,
			`issued by "CN=Corporate Inspection", want "Known"`, "CN=Corporate Inspection"},
		{"unknown authority, named as expected", forged, Reach{Issuer: "Inspection"}, TLSAuthorityInvalid, "", "CN=Corporate Inspection"},
		{"trusted, and not the expected issuer", good, Reach{Issuer: "Google Trust"}, TLSUnexpectedIssuer, `issued by "CN=Known Root"`, "CN=Known Root"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := &HTTP{}
			server := serving(t, &tt.cert, answering(200, ""))
			p.URL, p.Reach = at(t, "https", server, "/")
			tt.reach.Address, tt.reach.CAFile = p.Address, known.file
			p.Reach = tt.reach
			r := attempt(t, p, 5*time.Second)
			phase := Handshake
			if tt.class == OK {
				phase = Response
			}
			wantEnd(t, r, tt.class, phase, tt.why)
			if r.TLS == nil || r.TLS.Issuer != tt.issuer {
				t.Errorf("TLS = %+v, want the issuer %s kept", r.TLS, tt.issuer)
			}
		})
	}
}

func TestCAFile(t *testing.T) {
	ca := newAuthority(t, "Test Root")
	cert := ca.issue(t, nil)
	p := &HTTP{}
	p.URL, p.Reach = at(t, "https", serving(t, &cert, answering(200, "")), "/")
	p.CAFile = filepath.Join(t.TempDir(), "ca.pem")
	wantEnd(t, attempt(t, p, quick), Internal, NoPhase, "no such file", "tls.ca_file")
	write := func(text []byte) {
		if err := os.WriteFile(p.CAFile, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write([]byte("no certificate"))
	wantEnd(t, attempt(t, p, quick), Internal, NoPhase, "must be PEM")
	text, err := os.ReadFile(ca.file)
	if err != nil {
		t.Fatal(err)
	}
	write(text) // a rotation: the same prober reads it
	wantEnd(t, attempt(t, p, 5*time.Second), OK, Response)
}

// TestMisbehaviour meets servers that speak no HTTP.
func TestMisbehaviour(t *testing.T) {
	for _, tt := range []struct {
		name, scheme string
		script       func(net.Conn)
		class        Class
		phase        Phase
		why          string
	}{
		{"silent in the handshake", "https", silent, TLSTimedOut, Handshake, "no answer in time"},
		{"closes in the handshake", "https", closes, TLSClosed, Handshake, "closed by the other side"},
		{"resets in the handshake", "https", resets, TLSClosed, Handshake, "connection reset by peer"},
		{"plain HTTP on a TLS port", "https", says("HTTP/1.1 400 Bad Request\r\n\r\n"), TLSProtocolError, Handshake, ""},
		{"a TLS alert", "https", says("\x15\x03\x03\x00\x02\x02\x28"), TLSProtocolError, Handshake, "handshake failure"},
		{"silent after the request", "http", silent, HTTPTimedOut, Response, "no answer in time"},
		{"closes after the request", "http", closes, HTTPClosed, Response, "closed by the other side"},
		{"resets after the request", "http", resets, HTTPClosed, Response, "connection reset by peer"},
		{"closes within the header", "http", says("HTTP/1.1 200 OK\r\nServer: x\r\n"), HTTPClosed, Response, ""},
		{"speaks something else", "http", says("SSH-2.0-OpenSSH_9.2\r\n"), HTTPProtocolError, Response, "malformed HTTP"},
		{"closes within the body", "http", says("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"), HTTPClosed, Response, "body: closed by the other side"},
		{"stalls within the body", "http", func(c net.Conn) {
			hears(c)
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
			silent(c)
		}, HTTPTimedOut, Response, "body: no answer in time"},
		{"cuts the body of an error", "http", says("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 100\r\n\r\nhalf"), HTTPServerError, Response, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := &HTTP{}
			p.URL, p.Reach = at(t, tt.scheme, listening(t, tt.script), "/")
			wantEnd(t, attempt(t, p, quick), tt.class, tt.phase, tt.why)
		})
	}
}

func TestHTTP2Misbehaviour(t *testing.T) {
	ca := newAuthority(t, "Test Root")
	cert := ca.issue(t, nil)
	late := make(chan struct{})
	t.Cleanup(func() { close(late) })
	for _, tt := range []struct {
		name   string
		answer http.HandlerFunc
		class  Class
	}{
		{"silent", func(_ http.ResponseWriter, r *http.Request) {
			select {
			case <-r.Context().Done():
			case <-late:
			}
		}, HTTPTimedOut},
		{"aborts the stream", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, HTTPClosed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := &HTTP{}
			p.URL, p.Reach = at(t, "https", serving(t, &cert, tt.answer), "/")
			p.CAFile = ca.file
			wantEnd(t, attempt(t, p, quick), tt.class, Response)
		})
	}
}

// TestRefusedClientCertificate meets a refusal that TLS 1.3 delivers after the client's part of the handshake is over.
func TestRefusedClientCertificate(t *testing.T) {
	ca := newAuthority(t, "Test Root")
	cert := ca.issue(t, nil)
	s := httptest.NewUnstartedServer(answering(200, ""))
	s.Config.ErrorLog = quietLog
	s.TLS = &tls.Config{Certificates: []tls.Certificate{cert}, ClientAuth: tls.RequireAnyClientCert}
	s.StartTLS()
	defer s.Close()
	p := &HTTP{}
	p.URL, p.Reach = at(t, "https", s.Listener.Addr().(*net.TCPAddr), "/")
	p.CAFile = ca.file
	r := attempt(t, p, quick)
	if r.Class != TLSProtocolError || !strings.Contains(r.Why, "certificate required") {
		t.Errorf("class = %s, want %s: %s", r.Class, TLSProtocolError, r.Why)
	}
}

func TestRedirects(t *testing.T) {
	server := serving(t, nil, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/" {
			http.Redirect(w, r, "/there", http.StatusFound)
		}
	})
	p := &HTTP{}
	p.URL, p.Reach = at(t, "http", server, "/")
	wantEnd(t, attempt(t, p, quick), HTTPRedirected, Response, `"/there"`)
	p.Status = []int{302}
	wantEnd(t, attempt(t, p, quick), OK, Response)
	p.Status, p.FollowRedirects = nil, true
	r := attempt(t, p, quick)
	wantEnd(t, r, OK, Response)
	if r.Status != 200 {
		t.Errorf("status = %d, want the last answer's", r.Status)
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
	ca := newAuthority(t, "Test Root")
	cert := ca.issue(t, nil)
	wantAuth := answering(407, "", "Proxy-Authenticate", `Basic realm="corp"`)
	policy := answering(403, "blocked", "X-Proxy-Error", "blocked-by-allowlist")
	for _, tt := range []struct {
		name, scheme string
		refuse       http.HandlerFunc
		class        Class
		phase        Phase
		why          string
	}{
		{"passes TLS", "https", nil, OK, Response, ""},
		{"passes plain HTTP", "http", nil, OK, Response, ""},
		{"wants credentials for a tunnel", "https", wantAuth, ProxyAuthRequired, Connect, `got 407 (Basic realm="corp")`},
		{"wants credentials for plain HTTP", "http", wantAuth, ProxyAuthRequired, Response, `407 (Basic realm="corp")`},
		{"policy against a tunnel", "https", policy, ProxyFailed, Connect, "got 403 (x-proxy-error: blocked-by-allowlist)"},
		{"policy against plain HTTP", "http", policy, ProxyFailed, Response, "403 (x-proxy-error: blocked-by-allowlist)"},
		{"cannot reach the server", "https", answering(502, ""), ProxyFailed, Connect, "got 502"},
		{"cannot reach the server, plain HTTP", "http", answering(502, ""), HTTPServerError, Response, "got 502, want 200"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			shown := &cert
			if tt.scheme == "http" {
				shown = nil
			}
			server := serving(t, shown, answering(200, ""))
			way := &testProxy{refuse: tt.refuse, to: server.String()}
			address := serving(t, nil, way.ServeHTTP).String()
			p := &HTTP{URL: mustURL(t, tt.scheme+"://service.test/path"), Status: []int{200}}
			p.Reach = Reach{Proxy: "http://user:secret@" + address, CAFile: ca.file}
			r := attempt(t, p, 5*time.Second)
			wantEnd(t, r, tt.class, tt.phase, tt.why)
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
	hole := blackHole(t, "127.0.0.1").String()
	for _, tt := range []struct {
		name, proxy string
		class       Class
		phase       Phase
	}{
		{"refused", "http://127.0.0.1:1", ProxyRefused, Connect},
		{"black hole", "http://" + hole, ProxyUnreachable, Connect},
		{"no such name", "http://proxy.test:3128", ProxyUnreachable, Resolve},
		{"silent", "http://" + listening(t, silent).String(), ProxyFailed, Connect},
		{"closes", "http://" + listening(t, closes).String(), ProxyFailed, Connect},
		{"resets", "http://" + listening(t, resets).String(), ProxyFailed, Connect},
		{"speaks something else", "http://" + listening(t, says("SSH-2.0-OpenSSH_9.2\r\n")).String(), ProxyFailed, Connect},
		{"no TLS where there should be", "https://" + listening(t, says("HTTP/1.1 400 Bad Request\r\n\r\n")).String(), ProxyFailed, Connect},
		{"no SOCKS where there should be", "socks5://" + listening(t, says("HTTP/1.1 400 Bad Request\r\n\r\n")).String(), ProxyFailed, Connect},
		{"SOCKS refuses", "socks5://" + listening(t, socks(5)).String(), ProxyFailed, Connect},
		{"refused SOCKS", "socks5h://127.0.0.1:1", ProxyRefused, Connect},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := &HTTP{URL: mustURL(t, "https://service.test/")}
			p.Reach = Reach{Proxy: tt.proxy, Nameservers: naming(t)}
			r := attempt(t, p, quick)
			wantEnd(t, r, tt.class, tt.phase, mustURL(t, tt.proxy).Host)
			if r.Proxy != tt.proxy {
				t.Errorf("proxy = %q, want %q", r.Proxy, tt.proxy)
			}
		})
	}
}

// socks is a SOCKS5 server (RFC 1928) that ends the first request with this reply.
func socks(reply byte) func(net.Conn) {
	return func(c net.Conn) {
		hears(c)
		c.Write([]byte{5, 0})
		hears(c)
		c.Write([]byte{5, reply, 0, 1, 0, 0, 0, 0, 0, 0})
		if reply == 0 {
			says("HTTP/1.1 204 No Content\r\n\r\n")(c)
		}
	}
}

func TestSOCKSProxy(t *testing.T) {
	p := &HTTP{URL: mustURL(t, "http://service.test/")}
	p.Proxy = "socks5h://" + listening(t, socks(0)).String()
	wantEnd(t, attempt(t, p, quick), OK, Response)
}

func TestProxyFromEnvironment(t *testing.T) {
	way := &testProxy{refuse: answering(403, "")}
	p := &HTTP{URL: mustURL(t, "https://service.test/")}
	p.Nameservers = naming(t)
	t.Setenv("ALL_PROXY", "http://"+serving(t, nil, way.ServeHTTP).String())
	wantEnd(t, attempt(t, p, quick), ProxyFailed, Connect)
	t.Setenv("https_proxy", "http://"+nobody(t).String()) // is the one for it
	wantEnd(t, attempt(t, p, quick), ProxyRefused, Connect)
	t.Setenv("NO_PROXY", "service.test")
	if r := attempt(t, p, quick); r.Proxy != "" {
		t.Errorf("by way of %q, want past the proxy", r.Proxy)
	}
	t.Setenv("NO_PROXY", "")
	p.Proxy = "none"
	r := attempt(t, p, quick)
	if r.Phase != Resolve || r.Proxy != "" {
		t.Errorf("ended in %s by way of %q, want past the proxy", r.Phase, r.Proxy)
	}
	p.Proxy = "http://user:secret%zz@proxy.test"
	r = attempt(t, p, quick)
	wantEnd(t, r, Internal, NoPhase, "no URL")
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
	ca := newAuthority(t, "Test Root")
	dir := t.TempDir()
	listener := startNginx(t, binary, dir, ca.issue(t, nil))
	p := &HTTP{Method: "HEAD", Status: []int{405}, Headers: []HeaderToken{{"Allow", "POST"}}}
	p.URL, p.Reach = at(t, "https", listener, "/backend-api/codex/responses")
	p.CAFile, p.Issuer = ca.file, "Test Root"
	r := attempt(t, p, 10*time.Second)
	wantEnd(t, r, OK, Response)
	if r.Status != 405 || r.Date.IsZero() || r.TLS.Version != "TLS 1.3" {
		t.Errorf("facts = %+v", r.Facts)
	}
	s := &Stream{URL: new(url.URL), Hold: 50 * time.Millisecond, Timeout: 5 * time.Second, Reach: p.Reach}
	*s.URL = *p.URL
	s.URL.Scheme = "wss"
	r = attempt(t, s, 10*time.Second)
	wantEnd(t, r, OK, Streaming)
	wantWarnings(t, r, "stream_not_upgraded")
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
