package sessions

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"

	"netwatchd/internal/lab/parts"
	"netwatchd/internal/lab/responses"
	"netwatchd/internal/probe"
	"netwatchd/internal/sessions"
)

// limit is how long the tests wait for codex and for what its files show: seconds on an idle machine.
const limit = 3 * time.Minute

const (
	oldest = "0.104.0" // writes no reason into its rollouts, and a log in its terminal interface
	usual  = "0.169.0"
)

// A user has a codex of his own that talks to a mock of its service, and a Follower of its session files.
type user struct {
	*testing.T
	mock *responses.Server
	home string
	path string

	mu     sync.Mutex
	events []sessions.Event
}

func newUser(t *testing.T, version string) *user {
	t.Helper()
	u := &user{T: t, mock: responses.Start(), path: parts.Codex(t, version)}
	t.Cleanup(u.mock.Close)
	// Codex's sandbox refuses to have a CODEX_HOME below $TMPDIR.
	dir, err := os.MkdirTemp("/var/tmp", "netwatchd-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	u.home = filepath.Join(dir, "home")
	for _, d := range []string{u.home, u.work()} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	config := fmt.Sprintf(`model_provider = "mock"
check_for_update_on_startup = false
[model_providers.mock]
name = "mock"
base_url = %q
stream_max_retries = 2
[projects.%q]
trust_level = "trusted"
`, u.mock.URL()+"/v1", u.work())
	if err := os.WriteFile(filepath.Join(u.home, "config.toml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	u.follow()
	return u
}

func (u *user) work() string { return filepath.Join(filepath.Dir(u.home), "work") }

func (u *user) follow() {
	f := sessions.Follower{
		Homes: func() []sessions.Home { return []sessions.Home{{Agent: "codex", Dir: u.home}} },
		Handle: func(_ sessions.Home, e sessions.Event) {
			u.Logf("seen %v after its line", time.Since(e.At).Round(time.Millisecond))
			u.mu.Lock()
			defer u.mu.Unlock()
			u.events = append(u.events, e)
		},
	}
	ctx, cancel := context.WithCancel(u.Context())
	ended := make(chan struct{})
	go func() { f.Run(ctx); close(ended) }()
	u.Cleanup(func() { cancel(); <-ended })
}

// await waits until as many events of a kind and class are seen.
func (u *user) await(n int, kind sessions.Kind, class probe.Class, shown *parts.Buffer) {
	u.Helper()
	err := parts.Eventually(limit, func() error {
		u.mu.Lock()
		defer u.mu.Unlock()
		found := 0
		for _, e := range u.events {
			if e.Kind == kind && e.Class == class {
				found++
			}
		}
		if found < n {
			return fmt.Errorf("%d events of kind %d and class %v: %+v", found, kind, class, u.events)
		}
		return nil
	})
	if err != nil {
		u.Errorf("%v\ncodex:\n%s", err, lastOf(shown.String()))
	}
}

func (u *user) command(args ...string) *exec.Cmd {
	cmd := exec.CommandContext(u.Context(), u.path, args...)
	cmd.Env = []string{"HOME=" + u.work(), "CODEX_HOME=" + u.home, "PATH=" + os.Getenv("PATH"), "TERM=xterm-256color"}
	cmd.Dir = u.work()
	return cmd
}

// exec runs codex without a terminal.
func (u *user) exec(sandbox string) *parts.Buffer {
	u.Helper()
	said := new(parts.Buffer)
	// The default model of 0.169.0 has no tool for commands; in a terminal, codex asks to leave an older one.
	cmd := u.command("exec", "--json", "--skip-git-repo-check", "-m", "gpt-5.5", "-s", sandbox, "Go on")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.Stdout, cmd.Stderr = said, said
	if err := cmd.Run(); err != nil {
		u.Logf("codex exec: %v", err)
	}
	return said
}

func eachCodex(t *testing.T, test func(t *testing.T, version string)) {
	t.Helper()
	t.Parallel()
	for _, version := range []string{oldest, usual} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			test(t, version)
		})
	}
}

func TestRuns(t *testing.T) {
	eachCodex(t, func(t *testing.T, version string) {
		u := newUser(t, version)
		u.await(1, sessions.Turn, probe.OK, u.exec("read-only"))
		u.mock.Behave(responses.Cut)
		class := map[string]probe.Class{oldest: probe.Unknown, usual: probe.ExecStreamCut}[version]
		u.await(1, sessions.Turn, class, u.exec("read-only"))
	})
}

// TestDeniedCommand has codex run a command that its sandbox denies the network, and one that fails otherwise.
func TestDeniedCommand(t *testing.T) {
	eachCodex(t, func(t *testing.T, version string) {
		u := newUser(t, version)
		u.mock.Ask("ls /does-not-exist")
		u.await(1, sessions.Turn, probe.OK, u.exec("workspace-write"))
		u.mock.Ask("curl -sS --max-time 20 https://chatgpt.com/")
		said := u.exec("workspace-write")
		u.await(1, sessions.Denied, probe.LocalDenied, said)
		u.await(2, sessions.Turn, probe.OK, said)
		u.mu.Lock()
		defer u.mu.Unlock()
		for _, e := range u.events {
			if e.Network != sessions.NetworkDenied {
				t.Errorf("%+v: want a policy that denies the network", e)
			}
		}
		if len(u.events) != 3 {
			t.Errorf("got %+v, want three events", u.events)
		}
	})
}

// TestTheTerminal has a session of codex in a terminal, whose stream is cut until it gives up.
func TestTheTerminal(t *testing.T) {
	eachCodex(t, func(t *testing.T, version string) {
		u := newUser(t, version)
		u.mock.Behave(responses.Cut)
		shown := u.terminal("-s", "read-only", "Say OK")
		u.await(1, sessions.Turn, probe.ExecStreamCut, shown)
		if version == oldest {
			u.await(2, sessions.Retry, probe.ExecStreamCut, shown)
		}
	})
}

// terminal starts codex in a terminal, which answers what codex asks of one.
func (u *user) terminal(args ...string) *parts.Buffer {
	u.Helper()
	master, slave, err := pty.Open()
	if err != nil {
		u.Fatal(err)
	}
	if err := pty.Setsize(master, &pty.Winsize{Cols: 100, Rows: 40}); err != nil {
		u.Fatal(err)
	}
	cmd := u.command(args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		u.Fatal(err)
	}
	slave.Close()
	shown, ended := new(parts.Buffer), make(chan struct{})
	go func() {
		defer close(ended)
		answerTerminal(master, shown)
	}()
	u.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
		master.Close()
		<-ended
	})
	return shown
}

// answers are what a terminal says of itself: where the cursor is, what it is, and that it has no kitty keyboard.
var answers = map[string]string{"\x1b[6n": "\x1b[1;1R", "\x1b[c": "\x1b[?1;2c", "\x1b[?u": "\x1b[?0u"}

func answerTerminal(master io.ReadWriter, shown io.Writer) {
	buffer := make([]byte, 4<<10)
	for {
		n, err := master.Read(buffer)
		if err != nil {
			return
		}
		_, _ = shown.Write(buffer[:n])
		for query, answer := range answers {
			if bytes.Contains(buffer[:n], []byte(query)) {
				_, _ = io.Copy(master, strings.NewReader(answer))
			}
		}
	}
}

// lastOf returns the end of what a program has written.
func lastOf(text string) string { return text[max(0, len(text)-3000):] }
