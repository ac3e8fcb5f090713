package client

import (
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"netwatchd/internal/watch"
)

// daemon responds like netwatchd, to user me with the password.
func daemon(w http.ResponseWriter, r *http.Request) {
	if user, password, _ := r.BasicAuth(); user != "me" || password != "Pl4nt3d" {
		http.Error(w, "no", http.StatusUnauthorized)
		return
	}
	switch r.URL.Path {
	case "/api/v1/status":
		_ = json.NewEncoder(w).Encode(watch.Status{Version: "1.4.0"})
	case "/api/v1/incidents":
		fmt.Fprint(w, `{"incidents":[{"id":"20261123-codex-1"}],"total":7}`)
	default:
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprint(w, `{"error":{"code":"unavailable","message":"there is no history"}}`)
	}
}

// webConfig writes a web configuration of s and its certificate, and returns its path.
func webConfig(t *testing.T, s *httptest.Server) string {
	t.Helper()
	dir := t.TempDir()
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	path := filepath.Join(dir, "web.yml")
	err := errors.Join(os.WriteFile(filepath.Join(dir, "web.crt"), certificate, 0o600),
		os.WriteFile(path, []byte("tls_server_config: {cert_file: web.crt, key_file: web.key}\nbasic_auth_users: {me: x}\n"), 0o600))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func TestClient(t *testing.T) {
	plain, secure := httptest.NewServer(http.HandlerFunc(daemon)), httptest.NewTLSServer(http.HandlerFunc(daemon))
	t.Cleanup(plain.Close)
	t.Cleanup(secure.Close)
	file := webConfig(t, secure)
	here := func(s *httptest.Server, file string) Options {
		o := LocalOptions(s.Listener.Addr().String(), file)
		o.User, o.Password = "me", "Pl4nt3d"
		return o
	}
	ours := here(secure, file)
	anonymous := here(plain, "")
	anonymous.User = ""
	for name, test := range map[string]struct {
		options Options
		fault   string
	}{
		"plain":                          {here(plain, ""), ""},
		"in the URL":                     {Options{URL: strings.Replace(plain.URL, "//", "//me:Pl4nt3d@", 1)}, ""},
		"TLS from the web configuration": {ours, ""},
		"by its CA":                      {Options{URL: secure.URL, User: "me", Password: "Pl4nt3d", CAFile: filepath.Join(filepath.Dir(file), "web.crt")}, ""},
		"no user":                        {anonymous, "NETWATCHD_PASSWORD"},
		"an unknown CA":                  {Options{URL: secure.URL}, "--ca-file"},
		"no TLS there":                   {Options{URL: strings.Replace(plain.URL, "http:", "https:", 1)}, "it does not use TLS"},
		"nobody listens":                 {Options{URL: "http://127.0.0.1:1"}, "connection refused"},
		"no such file":                   {Options{URL: secure.URL, CAFile: "/absent"}, "/absent"},
		"not a URL":                      {Options{URL: "localhost:19405"}, "use one like http://"},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := New(test.options)
			if err == nil {
				var s *watch.Status
				if s, err = c.Status(t.Context()); err == nil && s.Version != "1.4.0" {
					t.Errorf("got %+v", s)
				}
			}
			if test.fault == "" && err != nil || test.fault != "" && (err == nil || !strings.Contains(err.Error(), test.fault)) {
				t.Errorf("got %v, want %q", err, test.fault)
			}
			if c != nil && strings.Contains(c.Address(), "Pl4nt3d") {
				t.Errorf("the password is in %s", c.Address())
			}
		})
	}
	c, err := New(ours)
	if err != nil {
		t.Fatal(err)
	}
	if latest, total, err := c.Incidents(t.Context(), 1); err != nil || len(latest) != 1 || total != 7 {
		t.Errorf("incidents %v of %d, %v", latest, total, err)
	}
	if _, _, err := c.LastHour(t.Context(), "codex"); err == nil || err.Error() != "there is no history" {
		t.Errorf("got %v, want the daemon's message", err)
	}
}

// Without a name check, only the certificate of the web configuration is accepted.
func TestImposter(t *testing.T) {
	ours := httptest.NewTLSServer(http.HandlerFunc(daemon))
	t.Cleanup(ours.Close)
	o := LocalOptions(ours.Listener.Addr().String(), webConfig(t, ours))
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("another")})
	if err := os.WriteFile(o.Certificate, block, 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Status(t.Context()); err == nil || !strings.Contains(err.Error(), "different certificate") {
		t.Errorf("got %v, want the certificate refused", err)
	}
}

func TestLocalOptions(t *testing.T) {
	for address, want := range map[string]string{
		"127.0.0.1:19405": "http://127.0.0.1:19405", ":19405": "http://127.0.0.1:19405", "0.0.0.0:80": "http://127.0.0.1:80",
		"[::]:19405": "http://127.0.0.1:19405", "[::1]:19405": "http://[::1]:19405", "localhost:1": "http://localhost:1",
	} {
		if got := LocalOptions(address, "").URL; got != want {
			t.Errorf("%s: got %s, want %s", address, got, want)
		}
	}
}
