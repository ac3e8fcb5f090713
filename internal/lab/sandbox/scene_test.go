package sandbox

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"netwatchd/internal/lab/parts"
	"netwatchd/internal/lab/responses"
	"netwatchd/internal/lab/stack"
)

func TestMain(m *testing.M) { stack.Main(m) }

// A scene is a host on the stack, with a codex, its user, and a service that answers turns.
type scene struct {
	*stack.Stack
	t       *testing.T
	dir     string // of the user and of netwatchd's storage; outside $TMPDIR, where codex's sandbox refuses to have a home
	codex   string // the directory of npm's launcher
	program string // netwatchd
	service *responses.Server
	without string // a variable that is not set
	as      uint32 // the user
}

// play prepares a scene with that codex.
func play(t *testing.T, version string) *scene {
	t.Helper()
	s := &scene{Stack: stack.Start(t), t: t, service: responses.Start()}
	t.Cleanup(s.service.Close)
	dir, err := os.MkdirTemp("/var/tmp", "netwatchd-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	s.dir = dir
	s.program = filepath.Join(os.Getenv("NETWATCHD_STACK"), "netwatchd")
	if err := os.MkdirAll(s.home(), 0o755); err != nil {
		t.Fatal(err)
	}
	s.codex = filepath.Dir(parts.Codex(t, version))
	s.needsSandbox(version)
	return s
}

// needsSandbox skips the test where codex cannot set its sandbox up.
func (s *scene) needsSandbox(version string) {
	s.t.Helper()
	if e := s.inside(version, "true"); e.Code != 0 {
		s.t.Skipf("needs user namespaces and Landlock: codex's sandbox says %s", e.Stderr)
	}
}

// home is the user's CODEX_HOME.
func (s *scene) home() string { return filepath.Join(s.dir, "home", ".codex") }

// configure writes the user's config.toml.
func (s *scene) configure(toml string) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.home(), "config.toml"), []byte(toml), 0o644); err != nil {
		s.t.Fatal(err)
	}
}

// watching is the --config.file of a service with these keys, and with a run of the agent.
func (s *scene) watching(keys ...string) string {
	s.t.Helper()
	codex := fmt.Sprintf("home: %q, base_url: %q, path: %q", s.home(), s.service.BaseURL(), filepath.Join(s.codex, "codex"))
	// A daemon has no key here: its status would say that nobody is signed in, before anything about the sandbox.
	run := "      - {name: exec, kind: exec, preset: codex, timeout: 40s, status: {enabled: false}, codex: {" + codex + "}}"
	for i, key := range keys {
		keys[i] = "    " + key
	}
	return "--config.file=" + s.Config(append([]string{run}, keys...)...)
}

// An ending is how a command ended.
type ending struct {
	Code           int
	Stdout, Stderr string
	Took           time.Duration
}

// netwatchd runs netwatchd outside of every sandbox.
func (s *scene) netwatchd(args ...string) ending {
	s.t.Helper()
	return s.run(append([]string{s.program}, s.stored(args)...)...)
}

func (s *scene) stored(args []string) []string {
	return append([]string{args[0], "--storage.path=" + filepath.Join(s.dir, "storage")}, args[1:]...)
}

// inside runs a command as that codex runs the agent's.
func (s *scene) inside(version string, command ...string) ending {
	s.t.Helper()
	return s.run(append(parts.CodexSandbox(s.t, version), command...)...)
}

func (s *scene) run(argv ...string) ending {
	s.t.Helper()
	return s.runIn(s.dir, argv...)
}

func (s *scene) runIn(dir string, argv ...string) ending {
	s.t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir, cmd.Env = dir, s.environment()
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if s.as != 0 {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: s.as, Gid: s.as}
	}
	start := time.Now()
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	late := time.AfterFunc(2*time.Minute, func() { cmd.Process.Signal(syscall.SIGQUIT) }) // with its stacks
	cmd.Wait()
	late.Stop()
	return ending{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String(), time.Since(start)}
}

func (s *scene) environment() []string {
	all := []string{"PATH=" + s.codex + ":/usr/sbin:/usr/bin:/sbin:/bin", "HOME=" + filepath.Dir(s.home()), "CODEX_HOME=" + s.home(), "CODEX_API_KEY=sk-test"}
	kept := all[:0]
	for _, entry := range all {
		if name, _, _ := strings.Cut(entry, "="); name != s.without {
			kept = append(kept, entry)
		}
	}
	return kept
}

// A result is one attempt in the JSON that users hold.
type result struct {
	Probe, Kind, Vantage, Class, Why string
	Signals                          []string
}

type verdict struct {
	Service, Cause, Title, Advice string
	Also                          []struct{ Cause string }
	Evidence                      []result
	Missing                       []string
	Results                       []result
}

type status struct {
	Sandboxed struct {
		Denied  bool
		Signals []string
	}
	Services []verdict
	Notes    []string
	Outside  *struct {
		AgeSeconds float64 `json:"age_seconds"`
		Error      string
		Services   []verdict
	}
}

func (e ending) status(t *testing.T) status {
	t.Helper()
	var got status
	if err := json.Unmarshal([]byte(e.Stdout), &got); err != nil || len(got.Services) != 1 {
		t.Fatalf("want a status with one service: %v\n%s\n%s", err, e.Stdout, e.Stderr)
	}
	return got
}

// inside is the attempt of that name from inside the sandbox.
func (v verdict) inside(name string) (result, bool) {
	for _, r := range v.Results {
		if r.Probe == name && r.Vantage == "sandbox" {
			return r, true
		}
	}
	return result{}, false
}

// patience only tells slow from stuck, on a machine that is busy with other tests.
const patience = time.Minute

// standsAt waits for this cause in the daemon's status file.
func standsAt(s *scene, cause string) error {
	text, err := os.ReadFile(filepath.Join(s.Dir, "status.json"))
	if err != nil {
		return err
	}
	var got status
	if err := json.Unmarshal(text, &got); err != nil || len(got.Services) != 1 || got.Services[0].Cause != cause {
		return fmt.Errorf("want %s, got %v %s", cause, err, text)
	}
	return nil
}
