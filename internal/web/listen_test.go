package web

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	if os.Getenv("NETWATCHD_TEST_ACTIVATED") != "" {
		os.Exit(serveActivated())
	}
	if os.Getenv("NETWATCHD_TEST_LIMITED") != "" {
		os.Exit(serveLimited())
	}
	os.Exit(m.Run())
}

// serveActivated is what systemd would have started.
func serveActivated() int {
	os.Setenv("LISTEN_PID", strconv.Itoa(os.Getpid()))
	listeners, err := Listen(Config{Listen: []string{"127.0.0.1:1"}}) // a port that is not ours to have
	if err != nil {
		os.Stderr.WriteString(err.Error())
		return 1
	}
	if os.Getenv("LISTEN_FDS") != "" {
		os.Stderr.WriteString("LISTEN_FDS is left for children")
		return 1
	}
	ctx, cancel := context.WithCancel(context.Background())
	h := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "activated"); cancel() })
	if err := Serve(ctx, listeners, Config{}, h, slog.New(slog.DiscardHandler)); err != nil {
		os.Stderr.WriteString(err.Error())
		return 1
	}
	return 0
}

func TestSocketActivation(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	file, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), "NETWATCHD_TEST_ACTIVATED=1", "LISTEN_FDS=1")
	child.ExtraFiles, child.Stderr = []*os.File{file}, &stderr
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	got := get(t, http.DefaultClient, "http://"+l.Addr().String()+"/")
	if err := child.Wait(); err != nil {
		t.Errorf("%v: %s", err, &stderr)
	}
	if got.body != "activated" {
		t.Errorf("got %q", got.body)
	}
}

type response struct {
	status int
	header http.Header
	body   string
}

func get(t *testing.T, c *http.Client, url string, edits ...func(*http.Request)) response {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, edit := range edits {
		edit(r)
	}
	resp, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response{resp.StatusCode, resp.Header, string(body)}
}

// serving serves h until the test ends, and returns its addresses.
func serving(t *testing.T, c Config, h http.Handler) []string {
	t.Helper()
	listeners, err := Listen(c)
	if err != nil {
		t.Fatal(err)
	}
	addresses := make([]string, len(listeners))
	for i, l := range listeners {
		addresses[i] = l.Addr().String()
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- Serve(ctx, listeners, c, h, slog.New(slog.DiscardHandler)) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return addresses
}

func TestAPortInUse(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	address := l.Addr().String()
	_, err = Listen(Config{Listen: []string{"127.0.0.1:0", address}})
	want := "cannot listen on " + address + ": address already in use; if another netwatchd is running, see 'netwatchd status'; or set another address with --web.listen-address"
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	if !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("the cause is lost in %v", err)
	}
}

func TestListenSaysWhatToDo(t *testing.T) {
	broken := filepath.Join(t.TempDir(), "web.yml")
	if err := os.WriteFile(broken, []byte("basic_auth_usrs: {}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		config Config
		want   string
	}{
		{Config{Listen: []string{"192.0.2.1:0"}}, "this host does not have that address"},
		{Config{Listen: []string{"19405"}}, "use host:port"},
		{Config{Listen: []string{"127.0.0.1:0"}, ConfigFile: broken}, "basic_auth_usrs"},
		{Config{Listen: []string{"127.0.0.1:0"}, ConfigFile: broken + ".absent"}, "no such file"},
	} {
		listeners, err := Listen(test.config)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%v: got %v, want %q in it", test.config, err, test.want)
		}
		closeAll(listeners)
	}
}

// webConfig writes a web configuration with a fresh certificate and one user, and returns a client that trusts it.
func webConfig(t *testing.T) (string, *http.Client) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	files := map[string][]byte{
		"cert.pem": certPEM,
		"key.pem":  pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}),
		"web.yml": []byte("tls_server_config: {cert_file: cert.pem, key_file: key.pem}\n" +
			// bcrypt of "fakepassword"
			"basic_auth_users: {scraper: $2y$10$QOauhQNbBCuQDKes6eFzPeMqBSjb7Mr5DUmpZ/VcEd00UAV/LDeSi}\n"),
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(certPEM)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	return filepath.Join(dir, "web.yml"), &http.Client{Transport: transport}
}

func TestTLSAndUsersOnEveryListener(t *testing.T) {
	file, client := webConfig(t)
	c := Config{Listen: []string{"127.0.0.1:0", "127.0.0.1:0"}, ConfigFile: file}
	for _, address := range serving(t, c, newTestServer(t).Handler()) {
		if got := get(t, client, "https://"+address+"/-/healthy"); got.status != http.StatusUnauthorized {
			t.Errorf("without a password: got %d", got.status)
		}
		got := get(t, client, "https://"+address+"/-/healthy", func(r *http.Request) { r.SetBasicAuth("scraper", "fakepassword") })
		if got.status != http.StatusOK {
			t.Errorf("with the password: got %d %s", got.status, got.body)
		}
	}
}

func TestStopLetsRequestsFinish(t *testing.T) {
	start, finish := make(chan struct{}), make(chan struct{})
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(start)
		<-r.Context().Done() // the server is stopping
		<-finish
		_, _ = io.WriteString(w, "whole")
	})
	listeners, err := Listen(Config{Listen: []string{"127.0.0.1:0"}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended, answered := make(chan error, 1), make(chan response, 1)
	go func() { ended <- Serve(ctx, listeners, Config{}, h, slog.New(slog.DiscardHandler)) }()
	go func() { answered <- get(t, http.DefaultClient, "http://"+listeners[0].Addr().String()) }()
	<-start
	cancel()
	close(finish)
	if got := <-answered; got.body != "whole" {
		t.Errorf("got %q", got.body)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestStopIsBounded(t *testing.T) {
	start, never := make(chan struct{}), make(chan struct{})
	defer close(never)
	h := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { close(start); <-never })
	listeners, err := Listen(Config{Listen: []string{"127.0.0.1:0"}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- Serve(ctx, listeners, Config{}, h, slog.New(slog.DiscardHandler)) }()
	go func() {
		if resp, err := http.Get("http://" + listeners[0].Addr().String()); err == nil {
			resp.Body.Close()
		}
	}()
	<-start
	at := time.Now()
	cancel()
	<-ended
	if took := time.Since(at); took > 2*stopTimeout {
		t.Errorf("stopping took %v, want about %v", took, stopTimeout)
	}
}

func TestNoListenerMeansNoServer(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Serve(ctx, nil, Config{}, http.NotFoundHandler(), slog.New(slog.DiscardHandler)); err != nil {
		t.Error(err)
	}
}
