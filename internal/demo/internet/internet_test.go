package internet

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"go.uber.org/goleak"
)

// A visitor uses the internet with Go's own clients.
type visitor struct {
	*Internet
	t      *testing.T
	client *http.Client
}

func visit(t *testing.T) *visitor {
	t.Helper()
	dir := t.TempDir()
	n, err := Start(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Close)
	pem, err := os.ReadFile(filepath.Join(dir, AuthorityFile))
	roots := x509.NewCertPool()
	if err != nil || !roots.AppendCertsFromPEM(pem) {
		t.Fatalf("no authority: %v", err)
	}
	dialer := &net.Dialer{Resolver: &net.Resolver{PreferGo: true,
		Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, n.Resolver)
		}}}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{DialContext: dialer.DialContext, DisableKeepAlives: true,
			TLSClientConfig: &tls.Config{RootCAs: roots}}}
	return &visitor{n, t, client}
}

func (v *visitor) head() (*http.Response, error) {
	response, err := v.client.Head("https://" + v.Service + "/")
	if err == nil {
		response.Body.Close()
	}
	return response, err
}

func TestConditions(t *testing.T) {
	t.Parallel()
	v := visit(t)
	for _, address := range v.Controls {
		response, err := v.client.Get("http://" + address + "/generate_204")
		if err != nil || response.StatusCode != http.StatusNoContent {
			t.Errorf("control: got %v, %v", response, err)
		}
	}
	r, err := v.head()
	if err != nil || r.StatusCode != http.StatusMethodNotAllowed || r.Header.Get("Allow") != "POST" {
		t.Fatalf("got %v, %v", r, err)
	}
	if issuer := r.TLS.PeerCertificates[0].Issuer.CommonName; issuer != Issuer {
		t.Errorf("issuer %q", issuer)
	}
	v.Set(Conditions{Status: http.StatusServiceUnavailable})
	if r, err = v.head(); err != nil || r.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("got %v, %v", r, err)
	}
	v.Set(Conditions{Inspected: true})
	if r, err = v.head(); err != nil || r.TLS.PeerCertificates[0].Issuer.CommonName == Issuer {
		t.Errorf("not inspected: %v, %v", r, err)
	}
	v.Set(Conditions{ExpiredCertificate: true})
	_, err = v.head()
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); !ok || invalid.Reason != x509.Expired {
		t.Errorf("got %v, want an expired certificate", err)
	}
	v.Set(Conditions{Portal: true})
	_, err = v.head()
	if _, ok := errors.AsType[x509.HostnameError](err); !ok {
		t.Errorf("got %v, want the portal's certificate", err)
	}
	response, err := v.client.Get("http://" + v.Controls[0] + "/generate_204")
	if err != nil || response.StatusCode != http.StatusFound || response.Header.Get("Location") == "" {
		t.Errorf("control: got %v, %v, want a redirect to the sign-in page", response, err)
	}
	v.Set(Conditions{SilentResolver: true})
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond) // an answer takes a tenth of a millisecond
	defer cancel()
	resolver := v.client.Transport.(*http.Transport).DialContext
	if conn, err := resolver(ctx, "tcp", v.Service); err == nil {
		conn.Close()
		t.Error("the nameserver answers")
	}
}

func TestStreams(t *testing.T) {
	t.Parallel()
	v := visit(t)
	open := func() *websocket.Conn {
		conn, _, err := websocket.Dial(t.Context(), "wss://"+v.Service+"/", &websocket.DialOptions{HTTPClient: v.client})
		if err != nil {
			t.Fatal(err)
		}
		return conn
	}
	kept := open()
	defer kept.CloseNow()
	reading := kept.CloseRead(t.Context())
	if err := kept.Ping(t.Context()); err != nil {
		t.Errorf("the stream does not live: %v", err)
	}
	v.Set(Conditions{CutStreams: true})
	cut := open()
	defer cut.CloseNow()
	if _, _, err := cut.Read(t.Context()); err == nil || websocket.CloseStatus(err) != -1 {
		t.Errorf("got %v, want a connection that was dropped", err)
	}
	v.Close()
	<-reading.Done() // Close ends the streams too
}

// Nothing runs or listens after Close.
func TestClose(t *testing.T) {
	before := goleak.IgnoreCurrent()
	n, err := Start(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	n.Close()
	if err := goleak.Find(before); err != nil {
		t.Error(err)
	}
	port := strings.TrimPrefix(n.Service, Host)
	for _, address := range append(n.Controls, n.Resolver, n.Public, serviceAddress+port) {
		if conn, err := net.Dial("tcp", address); err == nil {
			conn.Close()
			t.Errorf("%s is still open", address)
		}
	}
}
