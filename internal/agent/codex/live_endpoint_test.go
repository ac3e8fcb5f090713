package codex

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"netwatchd/internal/agent"
	"netwatchd/internal/lab/responses"
	"netwatchd/internal/probe/probetest"
)

// An everywhere is a proxy behind which every name is a mock of codex's service. It records who was asked for what.
type everywhere struct {
	mock    responses.Server
	tls, ca string // the TLS server's address, and the authority's file

	mu   sync.Mutex
	seen []request
}

type request struct{ method, host, path, credentials string }

func (r request) isTurn() bool {
	return r.method == http.MethodPost && strings.HasSuffix(r.path, "/responses")
}

// startEverywhere returns a proxy and the environment of a codex that uses it.
func startEverywhere(t *testing.T) (e *everywhere, env []string) {
	t.Helper()
	ca, certificate, err := responses.Authority("chatgpt.com", "api.openai.com")
	if err != nil {
		t.Fatal(err)
	}
	e = &everywhere{ca: filepath.Join(t.TempDir(), "ca.pem")}
	if err := os.WriteFile(e.ca, ca, 0o644); err != nil {
		t.Fatal(err)
	}
	secure := httptest.NewUnstartedServer(e)
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
	secure.StartTLS()
	t.Cleanup(secure.Close)
	e.tls = secure.Listener.Addr().String()
	proxy := httptest.NewServer(e)
	t.Cleanup(proxy.Close)
	return e, []string{"HTTP_PROXY=" + proxy.URL, "HTTPS_PROXY=" + proxy.URL, "ALL_PROXY=", "NO_PROXY=", "SSL_CERT_FILE=" + e.ca}
}

func (e *everywhere) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodConnect {
		e.connect(w, r)
		return
	}
	e.mu.Lock()
	e.seen = append(e.seen, request{r.Method, r.Host, r.URL.RequestURI(), r.Header.Get("Authorization")})
	e.mu.Unlock()
	e.mock.ServeHTTP(w, r)
}

func (e *everywhere) connect(w http.ResponseWriter, r *http.Request) {
	if strings.HasSuffix(r.Host, ":80") { // a WebSocket: codex falls back to plain requests
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	server, err := net.Dial("tcp", e.tls)
	if err != nil {
		return
	}
	defer server.Close()
	w.WriteHeader(http.StatusOK)
	client, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer client.Close()
	go func() {
		io.Copy(server, buffered)
		server.Close()
	}()
	io.Copy(client, server)
}

func (e *everywhere) requests() []request {
	e.mu.Lock()
	defer e.mu.Unlock()
	all := e.seen
	e.seen = nil
	return all
}

func (e *everywhere) sawTurn() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, r := range e.seen {
		if r.isTurn() {
			return true
		}
	}
	return false
}

// TestCodexLiveEndpoint runs the real codex on every form of a user's files and environment: what is derived must be
// where it sends its request, and where a run of ours sends it. A run of ours must not send a key anywhere else.
func TestCodexLiveEndpoint(t *testing.T) {
	eachCodex(t, func(t *testing.T, path string) {
		path, version := programOf(t, path)
		for name, form := range codexForms {
			if form.version != "" && form.version != version.String() || name == "nobody" || form.needsEtc() {
				continue
			}
			t.Run(name, func(t *testing.T) { tryForm(t, path, version, form) })
		}
	})
}

// needsEtc reports whether the form has files in /etc/codex, which a test must not write: only TestEndpoint has it.
func (f codexForm) needsEtc() bool {
	for name := range f.files {
		if strings.HasPrefix(name, "etc/") {
			return true
		}
	}
	return false
}

func tryForm(t *testing.T, path string, version agent.Version, form codexForm) {
	form = form.withRealTokens(t)
	s := form.setup(t)
	s.version = version
	want := s.endpoint()
	e, proxied := startEverywhere(t)
	env := append(proxied, form.env...)

	theirs := codexAsItIs(t, e, path, append([]string{"CODEX_HOME=" + s.home}, env...))
	ours := Codex{Path: path, Home: s.home, StateDir: stateDir(t), Env: env}
	result := probetest.DoRun(t, ours, 60*time.Second)
	if !result.OK() {
		t.Errorf("our run: got %v %q, want ok", result.Class, result.Why)
	}
	asked := slices.ContainsFunc(theirs, func(r request) bool { return strings.Split(r.path, "?")[0] == routingPath })
	if want.Routing != nil && !asked || want.Mode == agent.APIKey && asked || version.Compare(asksRouting) < 0 && asked {
		t.Errorf("the user's codex asks for its routing: %v; expected it at %v", asked, want.Routing)
	}
	if known := want.KnownAnswer && want.Mode == agent.ChatGPT && s.since(asksRouting); known != (want.Routing != nil) {
		t.Errorf("routing %v with %v", want.Routing, want.Mode)
	}
	for who, requests := range map[string][]request{"the user's codex": theirs, "our run": e.requests()} {
		turns := 0
		for _, r := range requests {
			if r.isTurn() || strings.HasSuffix(strings.Split(r.path, "?")[0], "/responses") {
				turns++
				if r.host != want.BaseURL.Host {
					t.Errorf("%s sent a turn to %s, want %s (%s)", who, r.host, want.BaseURL.Host, want.Origin())
				}
			}
			// 0.169.0 itself sends the key to chatgpt.com, for a list of models.
			if who == "our run" && strings.Contains(r.credentials, "sk-") && r.host != want.BaseURL.Host {
				t.Errorf("%s sent a key to %s%s, want to %s alone", who, r.host, r.path, want.BaseURL.Host)
			}
		}
		if turns == 0 {
			t.Errorf("%s sent no turn: %v", who, requests)
		}
	}
}

// codexAsItIs makes a run as the user would, until its turn was seen.
func codexAsItIs(t *testing.T, e *everywhere, path string, env []string) []request {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, "exec", "--json", "--skip-git-repo-check", "-s", "read-only", "Say OK")
	cmd.Env, cmd.Dir, cmd.WaitDelay = program.Environment(env), t.TempDir(), time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for tick := time.NewTicker(50 * time.Millisecond); ; {
		select {
		case <-ended:
			return e.requests()
		case <-tick.C:
			if e.sawTurn() {
				tick.Stop()
				cancel()
			}
		}
	}
}

// withRealTokens replaces the tokens by some that codex can read.
func (f codexForm) withRealTokens(t *testing.T) codexForm {
	t.Helper()
	text, ok := f.files["auth.json"]
	if !ok || !strings.Contains(text, `"tokens"`) {
		return f
	}
	dir := t.TempDir()
	if err := responses.SignIn(dir); err != nil {
		t.Fatal(err)
	}
	signed, err := os.ReadFile(filepath.Join(dir, "auth.json"))
	if err != nil {
		t.Fatal(err)
	}
	var file, real map[string]any
	if json.Unmarshal([]byte(text), &file) != nil || json.Unmarshal(signed, &real) != nil {
		t.Fatal("auth.json is no JSON")
	}
	file["tokens"], file["last_refresh"] = real["tokens"], real["last_refresh"]
	changed, err := json.Marshal(file)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	maps.Copy(files, f.files)
	files["auth.json"] = string(changed)
	f.files = files
	return f
}
