package client

import (
	"cmp"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"netwatchd/internal/incident"
	"netwatchd/internal/redact"
	"netwatchd/internal/watch"
	"netwatchd/internal/webtoken"
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
		page(w, r)
	case "/api/v1/incidents/20261123-codex-1":
		fmt.Fprint(w, cmp.Or(r.URL.Query().Get("format"), "json"))
	case "/api/v1/incidents/20261123-codex-9":
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, `{"error":{"code":"not_found","message":"no such incident: 20261123-codex-9"}}`)
	default:
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprint(w, `{"error":{"code":"unavailable","message":"there is no history"}}`)
	}
}

// page responds with a page of the incidents, three at most.
func page(w http.ResponseWriter, r *http.Request) {
	const total = 7
	limit, _ := strconv.Atoi(r.URL.Query().Get("limit"))
	offset, _ := strconv.Atoi(r.URL.Query().Get("offset"))
	all := []*incident.Incident{}
	for n := offset; n < min(offset+min(limit, 3), total); n++ {
		all = append(all, &incident.Incident{ID: fmt.Sprintf("20261123-codex-%d", total-n), Service: "codex"})
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"incidents": all, "total": total})
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
	for limit, want := range map[int]int{1: 1, 3: 3, 5: 5, 7: 7, 50: 7, 0: 7} {
		found, total, err := c.Incidents(t.Context(), incident.Filter{Limit: limit})
		last := fmt.Sprintf("20261123-codex-%d", 8-want)
		if err != nil || len(found) != want || total != 7 || found[want-1].ID != last {
			t.Errorf("limit %d: incidents %v of %d, %v", limit, found, total, err)
		}
	}
	markdown, asJSON, err := c.Record(t.Context(), "20261123-codex-1")
	if err != nil || markdown != "markdown" || string(asJSON) != "json" {
		t.Errorf("record %q, %q, %v", markdown, asJSON, err)
	}
	if _, _, err := c.Record(t.Context(), "20261123-codex-9"); !errors.Is(err, incident.ErrNotFound) {
		t.Errorf("got %v, want %v", err, incident.ErrNotFound)
	}
	if _, _, err := c.LastHour(t.Context(), "codex"); err == nil || err.Error() != "there is no history" {
		t.Errorf("got %v, want the daemon's message", err)
	}
}

// The token is sent only with requests that change something. Without one, the error says where it is.
func TestToken(t *testing.T) {
	file := filepath.Join(t.TempDir(), webtoken.Name)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodGet && r.Header.Get("Authorization") != "":
			http.Error(w, "a token in a request that changes nothing", http.StatusBadRequest)
		case r.Method == http.MethodGet:
			_ = json.NewEncoder(w).Encode(watch.Status{Version: "1.4.0"})
		case webtoken.Check(file, r.Header.Get("Authorization")) != nil:
			w.Header().Set("WWW-Authenticate", `Bearer realm="netwatchd"`)
			w.WriteHeader(http.StatusUnauthorized)
			fmt.Fprint(w, `{"error":{"code":"unauthenticated","message":"send the token"}}`)
		default:
			fmt.Fprint(w, `{"incident":null}`)
		}
	}))
	t.Cleanup(s.Close)
	c, err := New(Options{URL: s.URL, TokenFile: file})
	if err != nil {
		t.Fatal(err)
	}
	if _, err = c.RecordBacktest(t.Context(), &incident.Backtest{}); err == nil ||
		!strings.Contains(err.Error(), "send the token\n"+file+" does not exist") {
		t.Errorf("without the file: %v", err)
	}
	if err := webtoken.Make(file); err != nil {
		t.Fatal(err)
	}
	if _, err := c.RecordBacktest(t.Context(), &incident.Backtest{}); err != nil {
		t.Errorf("with the token: %v", err)
	}
	if _, err := c.Status(t.Context()); err != nil {
		t.Error(err)
	}
}

// Errors are for people: no name of a Go function, no method, no address that the caller knows.
func TestErrorsInPlainWords(t *testing.T) {
	serve := func(f http.HandlerFunc) string {
		s := httptest.NewServer(f)
		t.Cleanup(s.Close)
		return s.URL
	}
	dies := serve(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1000")
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	})
	page := serve(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") })
	other := serve(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "{}") })
	absent := serve(http.NotFound)
	locked := serve(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("WWW-Authenticate", "Basic")
		w.WriteHeader(http.StatusUnauthorized)
	})
	broken := serve(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) })
	const refuses = "http://127.0.0.1:1"
	const foreign = " does not respond like netwatchd: is another program listening there?"
	for url, want := range map[string]string{
		refuses: "connection refused",
		dies:    "the connection was closed in the middle of the response",
		locked:  "it requires a user and a password (set --user, and NETWATCHD_PASSWORD in the environment)",
		broken:  "it responds with 500 Internal Server Error",
		page:    page + foreign,
		other:   other + foreign,
		absent:  absent + foreign,
	} {
		c, err := New(Options{URL: url})
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.Status(t.Context())
		if err == nil || err.Error() != want {
			t.Errorf("%s: got %v, want %s", url, err, want)
			continue
		}
		// One sentence that names the address once, whoever responds there, and has nothing that looks like a secret.
		text := redact.String(c.Unavailable(err).Error())
		if strings.Count(text, url) != 1 || !strings.HasSuffix(text, want) ||
			strings.Contains(text, "no daemon responds") != (url == refuses) {
			t.Errorf("%s: got %s", url, text)
		}
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
