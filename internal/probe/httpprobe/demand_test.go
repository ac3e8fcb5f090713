package httpprobe

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"netwatchd/internal/probe"
	"netwatchd/internal/probe/probetest"
)

// servingTLS serves 200 with this configuration, over HTTP/1.1 or HTTP/2.
func servingTLS(t *testing.T, c *tls.Config, h2 bool) *net.TCPAddr {
	t.Helper()
	s := httptest.NewUnstartedServer(probetest.Answering(200, ""))
	s.Config.ErrorLog, s.TLS, s.EnableHTTP2 = probetest.QuietLog, c, h2
	s.StartTLS()
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	return s.Listener.Addr().(*net.TCPAddr)
}

// keyPair writes a certificate and its key, as tls.cert_file and tls.key_file name them.
func keyPair(t *testing.T, c tls.Certificate) (certFile, keyFile string) {
	t.Helper()
	key, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for path, block := range map[string]*pem.Block{
		certFile: {Type: "CERTIFICATE", Bytes: c.Certificate[0]}, keyFile: {Type: "PRIVATE KEY", Bytes: key},
	} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return certFile, keyFile
}

func TestClientCertificates(t *testing.T) {
	ca, clients, others := probetest.NewAuthority(t, "Test Root"), probetest.NewAuthority(t, "Client Root"), probetest.NewAuthority(t, "Other Root")
	cert := ca.Issue(t, nil)
	forClients := func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }
	good, foreign := clients.Issue(t, forClients), others.Issue(t, forClients)
	expired := clients.Issue(t, func(c *x509.Certificate) {
		forClients(c)
		c.NotBefore, c.NotAfter = time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	})
	pool := x509.NewCertPool()
	text, err := os.ReadFile(clients.File)
	if err != nil || !pool.AppendCertsFromPEM(text) {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name    string
		own     *tls.Certificate
		auth    tls.ClientAuthType
		class   probe.Class
		why     string
		warning string
	}{
		{"required, none given", nil, tls.RequireAndVerifyClientCert, probe.TLSClientCertificate, "requires a client certificate", ""},
		{"required and given", &good, tls.RequireAndVerifyClientCert, probe.OK, "", ""},
		{"required, of another authority", &foreign, tls.RequireAndVerifyClientCert, probe.TLSClientCertificate,
			`refuses the client certificate "CN=service.test"`, probe.WarnClientCertificate},
		{"required, expired", &expired, tls.RequireAndVerifyClientCert, probe.TLSClientCertificate, "which expired on 2026-01-01",
			probe.WarnClientCertificate},
		{"optional, none given", nil, tls.RequestClientCert, probe.OK, "", ""},
		{"not requested, given", &good, tls.NoClientCert, probe.OK, "", ""},
	} {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			for _, h2 := range []bool{false, true} {
				t.Run(tt.name+"/"+tls.VersionName(version)+map[bool]string{true: "/h2"}[h2], func(t *testing.T) {
					server := servingTLS(t, &tls.Config{Certificates: []tls.Certificate{cert}, ClientAuth: tt.auth, ClientCAs: pool,
						MaxVersion: version}, h2)
					p := &Request{}
					p.URL, p.Options = at(t, "https", server, "/")
					p.CAFile = ca.File
					if tt.own != nil {
						p.CertFile, p.KeyFile = keyPair(t, *tt.own)
					}
					r := probetest.Attempt(t, p, 5*time.Second)
					phase := probe.Handshake
					if tt.class == probe.OK {
						phase = probe.Response
					}
					probetest.WantEnd(t, r, tt.class, phase, tt.why)
					if got := strings.Join(r.Warnings, ","); got != tt.warning {
						t.Errorf("warnings = %q, want %q", got, tt.warning)
					}
					if r.TLS == nil || !r.TLS.NotAfter.Equal(cert.Leaf.NotAfter) {
						t.Errorf("TLS = %+v, want the server's certificate kept", r.TLS)
					}
				})
			}
		}
	}
}

// Servers that check the certificate themselves end the connection without an alert.
func TestClientCertificateDemandedWithoutAnAlert(t *testing.T) {
	ca := probetest.NewAuthority(t, "Test Root")
	cert := ca.Issue(t, nil)
	for name, end := range map[string]func(net.Conn){
		"reset":  func(c net.Conn) { c.(*tls.Conn).NetConn().(*net.TCPConn).SetLinger(0) },
		"closed": func(net.Conn) {},
	} {
		for asked, want := range map[tls.ClientAuthType]probe.Class{tls.RequestClientCert: probe.TLSClientCertificate,
			tls.NoClientCert: probe.HTTPClosed} {
			t.Run(name+"/"+asked.String(), func(t *testing.T) {
				server := probetest.Listening(t, func(c net.Conn) {
					s := tls.Server(c, &tls.Config{Certificates: []tls.Certificate{cert}, ClientAuth: asked})
					if s.Handshake() == nil {
						end(s)
					}
				})
				p := &Request{}
				p.URL, p.Options = at(t, "https", server, "/")
				p.CAFile = ca.File
				if r := probetest.Attempt(t, p, 5*time.Second); r.Class != want {
					t.Errorf("ended as %s, want %s: %s", r.Class, want, r.Why)
				}
			})
		}
	}
}

func TestClientCertificateThatCannotBeRead(t *testing.T) {
	ca := probetest.NewAuthority(t, "Test Root")
	cert := ca.Issue(t, nil)
	certFile, keyFile := keyPair(t, cert)
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct{ cert, key, why string }{
		"no such file": {certFile + ".absent", keyFile, "tls.cert_file"},
		"no key":       {certFile, certFile, "tls.key_file"},
		"a named pipe": {certFile, pipe, "not a regular file"},
	} {
		t.Run(name, func(t *testing.T) {
			p := &Request{}
			p.URL, p.Options = at(t, "https", probetest.Serving(t, &cert, probetest.Answering(200, "")), "/")
			p.CAFile, p.CertFile, p.KeyFile = ca.File, tt.cert, tt.key
			probetest.WantEnd(t, probetest.Attempt(t, p, quick), probe.Internal, probe.NoPhase, tt.why)
		})
	}
}

// Old devices (prometheus/blackbox_exporter#1437) offer what Go's client does not offer by default any more.
func TestOutdatedTLS(t *testing.T) {
	if !probetest.InOwnProcess(t) {
		return
	}
	ca := probetest.NewAuthority(t, "Test Root")
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	cert := ca.IssueFor(t, key, nil)
	ecdsa := ca.Issue(t, nil)
	for _, tt := range []struct {
		name     string
		c        *tls.Config
		cipher   string
		warnings []string
	}{
		{"RSA key exchange, AES-GCM", &tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_RSA_WITH_AES_128_GCM_SHA256}},
			"TLS_RSA_WITH_AES_128_GCM_SHA256", []string{probe.WarnOutdatedTLS}},
		{"RSA key exchange, 3DES", &tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_RSA_WITH_3DES_EDE_CBC_SHA}},
			"TLS_RSA_WITH_3DES_EDE_CBC_SHA", []string{probe.WarnOutdatedTLS}},
		{"TLS 1.0", &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS10}, "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA",
			[]string{probe.WarnOutdatedTLS}},
		{"TLS 1.1", &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}, "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA",
			[]string{probe.WarnOutdatedTLS}},
		{"TLS 1.2", &tls.Config{MaxVersion: tls.VersionTLS12}, "", nil},
		{"TLS 1.3", &tls.Config{}, "", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.c.Certificates = []tls.Certificate{cert}
			p := &Request{}
			p.URL, p.Options = at(t, "https", servingTLS(t, tt.c, false), "/")
			p.CAFile = ca.File
			r := probetest.Attempt(t, p, 5*time.Second)
			probetest.WantEnd(t, r, probe.OK, probe.Response)
			probetest.WantWarnings(t, r, tt.warnings...)
			if r.TLS == nil || r.TLS.Cipher != tt.cipher {
				t.Errorf("TLS = %+v, want the cipher suite %q", r.TLS, tt.cipher)
			}
		})
	}

	alert := func(c net.Conn) { // handshake_failure
		probetest.Hears(c)
		c.Write([]byte{21, 3, 3, 0, 2, 2, 40})
	}
	modern := func(c net.Conn) {
		s := tls.Server(c, &tls.Config{Certificates: []tls.Certificate{ecdsa}})
		if s.Handshake() == nil {
			probetest.Says("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")(s)
		}
	}
	for _, tt := range []struct {
		name          string
		first, second func(net.Conn)
		class         probe.Class
		connections   int32
	}{
		{"nothing helps", alert, alert, probe.TLSProtocolError, 2},
		{"closed, whatever is offered", probetest.Closes, probetest.Closes, probe.TLSClosed, 2},
		{"it failed by chance: then the failure stands", alert, modern, probe.TLSProtocolError, 2},
		{"not TLS", probetest.Says("HTTP/1.1 400 Bad Request\r\n\r\n"), modern, probe.TLSProtocolError, 1},
		{"silent", probetest.Silent, modern, probe.TLSTimedOut, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var n atomic.Int32
			server := probetest.Listening(t, func(c net.Conn) {
				if n.Add(1) == 1 {
					tt.first(c)
				} else {
					tt.second(c)
				}
			})
			p := &Request{}
			p.URL, p.Options = at(t, "https", server, "/")
			p.CAFile = ca.File
			r := probetest.Attempt(t, p, quick)
			probetest.WantEnd(t, r, tt.class, probe.Handshake)
			probetest.WantWarnings(t, r)
			if n.Load() != tt.connections {
				t.Errorf("%d connections, want %d", n.Load(), tt.connections)
			}
		})
	}
}
