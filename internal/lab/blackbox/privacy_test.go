package blackbox

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"netwatchd/internal/lab/parts"
	"netwatchd/internal/lab/responses"
	"netwatchd/internal/lab/stack"
)

// sessionLimit is how long an agent may take for a turn, and the daemon to see it: seconds on an idle machine.
const sessionLimit = 3 * time.Minute

// private is in the prompt, the command, the directory, the token and the error of every session of
// TestSessionsArePrivate.
const private = "pl4nt3d"

// sessionUser has a real codex, a real claude and a real opencode, each with files of its own, and a mock of their
// services.
type sessionUser struct {
	t       *testing.T
	mock    responses.Server
	refuses atomic.Bool // the service answers with an error that repeats what it was asked
	url     string

	dir, codexHome, claudeDir, dataDir, work string
}

func newSessionUser(t *testing.T) *sessionUser {
	t.Helper()
	// Codex's sandbox refuses to have a CODEX_HOME below $TMPDIR.
	dir, err := os.MkdirTemp("/var/tmp", "netwatchd-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	u := &sessionUser{t: t, dir: dir, codexHome: filepath.Join(dir, "codex"), claudeDir: filepath.Join(dir, "claude"),
		dataDir: filepath.Join(dir, "data"), work: filepath.Join(dir, private+"-project")}
	for _, d := range []string{u.codexHome, u.claudeDir, u.dataDir, u.work} {
		if err := os.Mkdir(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost && u.refuses.Load() {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusServiceUnavailable)
			fmt.Fprintf(w, `{"type":"error","error":{"type":"api_error","message":"%s-error: no capacity for %s-prompt"}}`, private, private)
			return
		}
		u.mock.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	u.url = server.URL
	config := fmt.Sprintf(`model_provider = "mock"
check_for_update_on_startup = false
[model_providers.mock]
name = "mock"
base_url = %q
env_key = "LAB_KEY"
request_max_retries = 0
stream_max_retries = 0
[projects.%q]
trust_level = "trusted"
`, u.url+"/v1", u.work)
	if err := os.WriteFile(filepath.Join(u.codexHome, "config.toml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	return u
}

// env is what the daemon and all agents have.
func (u *sessionUser) env() []string {
	return []string{"CODEX_HOME=" + u.codexHome, "CLAUDE_CONFIG_DIR=" + u.claudeDir, "XDG_DATA_HOME=" + u.dataDir}
}

func (u *sessionUser) run(env []string, argv ...string) {
	u.t.Helper()
	u.runUntil(u.t.Context(), env, argv...)
}

func (u *sessionUser) runUntil(ctx context.Context, env []string, argv ...string) {
	u.t.Helper()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.WaitDelay = time.Second
	cmd.Dir = u.work
	cmd.Env = append(append(u.env(), "HOME="+u.work, "PATH="+os.Getenv("PATH"), "TERM=dumb"), env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if out, err := cmd.CombinedOutput(); err != nil {
		u.t.Logf("%s: %v\n%s", filepath.Base(argv[0]), err, out[max(0, len(out)-500):])
	}
}

func (u *sessionUser) codex() {
	u.run([]string{"LAB_KEY=sk-" + private + "-token"}, parts.Codex(u.t, "0.169.0"), "exec", "--json", "--skip-git-repo-check",
		"-m", "gpt-5.5", "-s", "workspace-write", private+"-prompt")
}

func (u *sessionUser) claude() {
	u.run([]string{"ANTHROPIC_BASE_URL=" + u.url, "ANTHROPIC_API_KEY=sk-ant-" + private + "-token", "CLAUDE_CODE_MAX_RETRIES=0",
		"CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC=1", "DISABLE_AUTOUPDATER=1"}, parts.Claude(u.t), "-p", private+"-prompt",
		"--output-format", "json")
}

// opencode starts a turn, which opencode repeats for two minutes if the service fails. The function that it returns ends
// it.
func (u *sessionUser) opencode() (end func()) {
	u.t.Helper()
	settings := fmt.Sprintf(`{"model":"anthropic/claude-haiku-4-5","provider":{"anthropic":{"options":{"baseURL":%q,"apiKey":"sk-ant-%s-token"}}}}`,
		u.url+"/v1", private)
	if err := os.WriteFile(filepath.Join(u.work, "opencode.json"), []byte(settings), 0o600); err != nil {
		u.t.Fatal(err)
	}
	path := parts.Opencode(u.t)
	ctx, cancel := context.WithCancel(u.t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		u.runUntil(ctx, []string{"OPENCODE_DISABLE_MODELS_FETCH=1", "OPENCODE_DISABLE_AUTOUPDATE=1"},
			path, "run", "--title", private+"-title", "--", private+"-prompt")
	}()
	return func() { cancel(); <-ended }
}

// ids are those of sessions of codex and claude, and of opencode.
var ids = regexp.MustCompile(`[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|ses_[0-9A-Za-z]{20,}`)

// secrets are the planted word and every id in the session files. The files must hold both, or nothing was tried.
func (u *sessionUser) secrets() []string {
	u.t.Helper()
	found, planted := map[string]bool{}, 0
	for _, dir := range []string{filepath.Join(u.codexHome, "sessions"), filepath.Join(u.claudeDir, "projects")} {
		for path, text := range filesBelow(u.t, dir) {
			if strings.Contains(text, private+"-prompt") {
				planted++
			}
			for _, id := range ids.FindAllString(path+text, -1) {
				found[strings.ToLower(id)] = true
			}
		}
	}
	log, err := os.ReadFile(filepath.Join(u.dataDir, "opencode/log/opencode.log"))
	logged := ids.FindString(string(log))
	if err != nil || !strings.Contains(string(log), private) || logged == "" {
		u.t.Fatalf("the log of opencode, %v: has the id %q\n%s", err, logged, log)
	}
	found[strings.ToLower(logged)] = true
	if planted < 3 || len(found) < 3 {
		u.t.Fatalf("%d session files have the prompt, and %d ids were found", planted, len(found))
	}
	all := []string{private}
	for id := range found {
		all = append(all, id)
	}
	return all
}

// filesBelow returns the content of every file below dir, by path.
func filesBelow(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		all[path] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestSessionsArePrivate has real agents work while the daemon follows their session files: turns that succeed, a
// command that the sandbox denies, turns that fail. Nothing of a session but its closed codes is anywhere: not on a
// page, in an answer of the API, a metric, the log, the store, the status file, a report or its bundle.
func TestSessionsArePrivate(t *testing.T) {
	s := stack.Start(t)
	u := newSessionUser(t)
	s.Env = u.env()
	config := "--config.file=" + s.Config("  - name: claude", "    probes:",
		fmt.Sprintf(`      - {name: head, kind: http, target: "https://chatgpt.com/backend-api/codex/responses", method: HEAD,
         expect: {status: [405]}, tls: {ca_file: %s/ca.pem}}`, s.Dir))
	d := s.Daemon(config)
	d.AwaitReady()

	u.mock.Ask("curl -sS --max-time 20 https://" + private + "-command.example/")
	u.codex()
	u.claude()
	u.refuses.Store(true)
	for range 3 {
		u.codex()
	}
	u.claude()
	endOpencode := u.opencode()
	defer endOpencode()
	d.Await(sessionLimit, func() error {
		m := scrape(t)
		for series, want := range map[string]float64{`agent="codex",class="ok"`: 1, `agent="codex",class="local.denied"`: 1,
			`agent="codex",class="exec.overloaded"`: 3, `agent="claude"`: 1} {
			if got, _ := m.value("netwatchd_agent_events_total{" + series + "}"); got < want {
				return fmt.Errorf("%s: %v events, want %v", series, got, want)
			}
		}
		if got, _ := m.value(`netwatchd_agent_retries_total{agent="opencode"}`); got < 1 {
			return errors.New("no retry of opencode")
		}
		return nil
	})
	endOpencode()

	s.CloseService() // the report of this incident has what the agents reported before it
	d.Await(sessionLimit, func() error {
		for _, e := range incidents(t, s) {
			if e.Service == "codex" && !e.Observation && e.Closed == nil && strings.Contains(e.causes(), "upstream") {
				return nil
			}
		}
		return errors.New("no incident of codex")
	})

	secrets := u.secrets()
	all := everywhere(t, s, d, "codex", config)
	for _, e := range incidents(t, s) {
		all["/incidents/"+e.ID] = string(get(t, "/incidents/"+e.ID))
		all["/api/v1/incidents/"+e.ID] = string(get(t, "/api/v1/incidents/"+e.ID))
		all["explain "+e.ID] = s.Run("explain", e.ID, config).Stdout
	}
	for _, path := range []string{"/services/claude", "/badge/codex.svg", "/api/v1/history",
		"/api/v1/results", "/-/ready"} {
		all[path] = string(get(t, path))
	}
	all["/api/v1/events"] = firstEvent(t)
	all["doctor"] = s.Run("doctor", config).Stdout
	all["the log"] = d.Said()
	maps.Copy(all, filesBelow(t, s.Dir))
	for place, text := range all {
		if len(text) == 0 && !strings.HasPrefix(place, s.Dir) {
			t.Errorf("%s is empty", place)
		}
		for _, secret := range secrets {
			if at := strings.Index(strings.ToLower(text), secret); at >= 0 {
				t.Errorf("%s has %q: %q", place, secret, text[max(at-150, 0):min(at+150, len(text))])
			}
		}
	}
}

// firstEvent is what the daemon sends at once to a page that follows it.
func firstEvent(t *testing.T) string {
	t.Helper()
	response, err := http.Get(stack.URL + "/api/v1/events")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var text strings.Builder
	for lines := bufio.NewScanner(response.Body); lines.Scan() && lines.Text() != ""; {
		text.WriteString(lines.Text() + "\n")
	}
	return text.String()
}
