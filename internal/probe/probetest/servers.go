// Package probetest has the servers and checks that the tests of several probers share.
package probetest

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"netwatchd/internal/probe"
)

// Attempt makes one attempt and holds against the test what every attempt owes: an end in time, the last phase timed,
// and no goroutine left behind.
func Attempt(t *testing.T, p probe.Prober, timeout time.Duration) probe.Result {
	t.Helper()
	running := goleak.IgnoreCurrent()
	r, ok := probe.Do(t.Context(), &probe.Probe{Spec: probe.Spec{Timeout: timeout}, Prober: p})
	if !ok {
		t.Fatal("Do reported no result")
	}
	if late := r.Elapsed.Duration() - timeout; late > time.Second {
		t.Errorf("the attempt ended %s past its deadline", late)
	}
	if r.Phase != probe.NoPhase && r.Phases[r.Phase] <= 0 {
		t.Errorf("the last phase, %s, is not timed: %v", r.Phase, r.Phases)
	}
	// What serves the attempt may wind down while we look: it is not ours.
	if err := goleak.Find(running, goleak.IgnoreAnyFunction("net/http.(*conn).serve"),
		goleak.IgnoreAnyFunction("netwatchd/internal/probe/probetest.Converse")); err != nil {
		t.Error(err)
	}
	return r
}

// WantEnd holds a result against the end expected; every text of why must be in it.
func WantEnd(t *testing.T, got probe.Result, class probe.Class, phase probe.Phase, why ...string) {
	t.Helper()
	if got.Class != class || got.Phase != phase {
		t.Errorf("ended as %s in %q, want %s in %q: %s", got.Class, got.Phase, class, phase, got.Why)
	}
	for _, w := range why {
		if !strings.Contains(got.Why, w) {
			t.Errorf("why = %q, want %q in it", got.Why, w)
		}
	}
}

func WantWarnings(t *testing.T, got probe.Result, want ...string) {
	t.Helper()
	if !slices.Equal(got.Warnings, want) {
		t.Errorf("warnings = %q, want %q", got.Warnings, want)
	}
}

// Converse is a scripted side of a connection, by name so that goleak can tell it.
func Converse(conn net.Conn, script func(net.Conn)) {
	defer conn.Close()
	script(conn)
}

// Listening serves every connection by script and ends with the test.
func Listening(t *testing.T, script func(net.Conn)) *net.TCPAddr {
	t.Helper()
	return ListeningAt(t, "127.0.0.1:0", script)
}

func ListeningAt(t *testing.T, addr string, script func(net.Conn)) *net.TCPAddr {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	var open sync.Map
	all.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			open.Store(conn, true)
			all.Go(func() { Converse(conn, script) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		open.Range(func(conn, _ any) bool { conn.(net.Conn).Close(); return true })
		all.Wait()
	})
	return l.Addr().(*net.TCPAddr)
}

// Ways to misbehave.

func Silent(c net.Conn) { io.Copy(io.Discard, c) }
func Closes(c net.Conn) { Hears(c) }
func Hears(c net.Conn)  { c.Read(make([]byte, 4096)) }

func Resets(c net.Conn) {
	Hears(c)
	c.(*net.TCPConn).SetLinger(0)
}

func Says(text string) func(net.Conn) {
	return func(c net.Conn) {
		Hears(c)
		io.WriteString(c, text)
	}
}

// BlackHole drops what asks to connect to host, as a kernel does whose accept queue is full, and returns its address.
func BlackHole(t *testing.T, host string) *net.TCPAddr {
	t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	raw, err := l.(*net.TCPListener).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if err := raw.Control(func(fd uintptr) { err = unix.Listen(int(fd), 0) }); err != nil {
		t.Fatal(err)
	}
	// A queue of length 0 holds one; the next is dropped.
	held, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { held.Close() })
	return l.Addr().(*net.TCPAddr)
}

type authority struct {
	File string // its certificate, PEM
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func NewAuthority(t *testing.T, name string) *authority {
	t.Helper()
	a := &authority{File: filepath.Join(t.TempDir(), "ca.pem")}
	a.key = newKey(t)
	a.cert = certify(t, a.key, &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}, nil)
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})
	if err := os.WriteFile(a.File, block, 0o600); err != nil {
		t.Fatal(err)
	}
	return a
}

// Intermediate makes an authority below a, changed as told.
func (a *authority) Intermediate(t *testing.T, name string, change func(*x509.Certificate)) *authority {
	t.Helper()
	below := &authority{key: newKey(t)}
	below.cert = a.CrossSign(t, below, name, change)
	return below
}

// CrossSign makes a certificate of a for the key of below.
func (a *authority) CrossSign(
	t *testing.T, below *authority, name string, change func(*x509.Certificate),
) *x509.Certificate {
	t.Helper()
	template := &x509.Certificate{Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign}
	if change != nil {
		change(template)
	}
	return certify(t, below.key, template, a)
}

// Certificate returns the authority's own certificate.
func (a *authority) Certificate() *x509.Certificate { return a.cert }

// Issue makes a certificate for service.test, changed as told.
func (a *authority) Issue(t *testing.T, change func(*x509.Certificate)) tls.Certificate {
	t.Helper()
	return a.IssueFor(t, newKey(t), change)
}

// IssueFor is Issue for a key of any kind.
func (a *authority) IssueFor(t *testing.T, key crypto.Signer, change func(*x509.Certificate)) tls.Certificate {
	t.Helper()
	template := &x509.Certificate{Subject: pkix.Name{CommonName: "service.test"}, DNSNames: []string{"service.test"}}
	if change != nil {
		change(template)
	}
	cert := certify(t, key, template, a)
	return tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key, Leaf: cert}
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func certify(t *testing.T, key crypto.Signer, template *x509.Certificate, by *authority) *x509.Certificate {
	t.Helper()
	if template.NotAfter.IsZero() {
		template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	}
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	parent, signer := template, key
	if by != nil {
		parent, signer = by.cert, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// Serving answers over HTTP; with a certificate, over TLS and HTTP/2.
func Serving(t *testing.T, cert *tls.Certificate, handler http.HandlerFunc) *net.TCPAddr {
	t.Helper()
	s := httptest.NewUnstartedServer(handler)
	s.Config.ErrorLog = QuietLog
	if cert != nil {
		s.TLS = &tls.Config{Certificates: []tls.Certificate{*cert}}
		s.EnableHTTP2 = true
		s.StartTLS()
	} else {
		s.Start()
	}
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	return s.Listener.Addr().(*net.TCPAddr)
}

func Answering(status int, body string, headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(headers); i += 2 {
			w.Header().Add(headers[i], headers[i+1])
		}
		w.WriteHeader(status)
		io.WriteString(w, body)
	}
}

func PortText(addr *net.TCPAddr) string {
	_, port, _ := net.SplitHostPort(addr.String())
	return port
}

func MustURL(t *testing.T, text string) *url.URL {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// Naming is a nameserver that gives service.test these addresses.
func Naming(t *testing.T, addrs ...string) []netip.AddrPort {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ready := make(chan struct{})
	s := &dns.Server{PacketConn: conn, NotifyStartedFunc: func() { close(ready) }, Handler: dns.HandlerFunc(
		func(w dns.ResponseWriter, q *dns.Msg) {
			m := new(dns.Msg).SetReply(q)
			for _, a := range addrs {
				kind := map[bool]string{true: "A", false: "AAAA"}[netip.MustParseAddr(a).Is4()]
				if rr, _ := dns.NewRR("service.test. 0 IN " + kind + " " + a); rr.Header().Rrtype == q.Question[0].Qtype {
					m.Answer = append(m.Answer, rr)
				}
			}
			w.WriteMsg(m)
		})}
	var serve sync.WaitGroup
	serve.Go(func() { s.ActivateAndServe() })
	<-ready
	t.Cleanup(func() {
		s.ShutdownContext(context.Background())
		serve.Wait()
	})
	return []netip.AddrPort{netip.MustParseAddrPort(conn.LocalAddr().String())}
}

var QuietLog = log.New(io.Discard, "", 0)

// Nobody is an address whose port is closed.
func Nobody(tb testing.TB) netip.AddrPort {
	tb.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer conn.Close()
	return netip.MustParseAddrPort(conn.LocalAddr().String())
}
