package stack

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
	"syscall"
	"testing"
	"time"
)

func TestMain(m *testing.M) { Main(m) }

// TestStack tests the stack with Go's client only, so that other tests can rely on it.
func TestStack(t *testing.T) {
	s := Start(t)
	client := s.client()

	response, err := client.Head("https://chatgpt.com/backend-api/codex/responses")
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != 405 || response.Header.Get("Allow") != "POST" || response.ProtoMajor != 2 {
		t.Errorf("got %s %d, Allow %q; want HTTP/2 405, POST", response.Proto, response.StatusCode, response.Header.Get("Allow"))
	}
	for _, c := range controls {
		if response, err = client.Get("http://" + c.name + c.path); err != nil || response.StatusCode/100 != 2 {
			t.Errorf("%s: got %v, %v", c.name, response, err)
		}
	}
	addresses, err := net.DefaultResolver.LookupHost(t.Context(), "chatgpt.com")
	if err != nil || len(addresses) != 2 {
		t.Errorf("chatgpt.com: got %v, %v; want an address of each family", addresses, err)
	}
	if _, err = net.DefaultResolver.LookupHost(t.Context(), "nobody.example"); !notFound(err) {
		t.Errorf("a random name: got %v, want not found", err)
	}

	s.ServiceAnswers(503)
	if response, err = client.Head("https://chatgpt.com/backend-api/codex/responses"); err != nil || response.StatusCode != 503 {
		t.Errorf("got %v, %v; want 503", response, err)
	}
	s.ServiceCertificate(Expired)
	_, err = client.Head("https://chatgpt.com/backend-api/codex/responses")
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); !ok || invalid.Reason != x509.Expired {
		t.Errorf("got %v, want an expired certificate", err)
	}
	s.CloseService()
	if _, err = client.Head("https://chatgpt.com/"); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("got %v, want refused", err)
	}
	s.SystemSays(Missing)
	if _, err = net.DefaultResolver.LookupHost(t.Context(), "chatgpt.com"); !notFound(err) {
		t.Errorf("got %v, want not found", err)
	}
	s.StopDNS()
	if _, err = net.DefaultResolver.LookupHost(t.Context(), "chatgpt.com"); err == nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("got %v, want refused", err)
	}
	if _, err = s.directResolver().LookupHost(t.Context(), "chatgpt.com"); err != nil {
		t.Errorf("the direct nameserver: %v", err)
	}
	s.StartDNS()
	if _, err = net.DefaultResolver.LookupHost(t.Context(), "chatgpt.com"); err != nil {
		t.Error(err)
	}
	s.Unplug()
	if _, err = net.DialTimeout("tcp", ServiceAddress+":443", time.Second); !errors.Is(err, syscall.ENETUNREACH) {
		t.Errorf("got %v, want no route", err)
	}
	s.Plug()
	if _, err = net.DefaultResolver.LookupHost(t.Context(), "chatgpt.com"); err != nil {
		t.Error(err)
	}
}

func TestFirewall(t *testing.T) {
	s := Start(t)
	s.Firewall("udp dport 53 drop")
	if _, err := net.DefaultResolver.LookupHost(t.Context(), "chatgpt.com"); err == nil || !strings.Contains(err.Error(), "not permitted") {
		t.Errorf("got %v, want not permitted", err)
	}
}

func notFound(err error) bool {
	dns, ok := errors.AsType[*net.DNSError](err)
	return ok && dns.IsNotFound
}

// client trusts the stack's authority, and opens a new connection each time.
func (s *Stack) client() *http.Client {
	roots := x509.NewCertPool()
	pem, err := os.ReadFile(filepath.Join(s.Dir, "ca.pem"))
	if err != nil || !roots.AppendCertsFromPEM(pem) {
		s.t.Fatal("no authority", err)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true, DisableKeepAlives: true}
	return &http.Client{Transport: transport, Timeout: 2 * time.Second}
}

func (s *Stack) directResolver() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, DirectResolver+":53")
	}}
}
