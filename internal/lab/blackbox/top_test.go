package blackbox

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/charmbracelet/x/vt"
	"github.com/creack/pty"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"netwatchd/internal/lab/parts"
	"netwatchd/internal/lab/stack"
)

// A terminal is one in which a command of netwatchd runs, with the screen that a person would see.
type terminal struct {
	t      *testing.T
	cmd    *exec.Cmd
	master *os.File
	before unix.Termios

	mu     sync.Mutex
	screen *vt.Emulator
	raw    bytes.Buffer
	exited chan struct{}
}

// openTerminal runs a command in a terminal of 80 columns and 24 lines.
func openTerminal(t *testing.T, s *stack.Stack, env []string, args ...string) *terminal {
	t.Helper()
	x := &terminal{t: t, cmd: s.Command(args...), screen: vt.NewEmulator(80, 24), exited: make(chan struct{})}
	x.cmd.Env = append(x.cmd.Env, env...)
	x.screen.WriteString("what was there before")
	master, slave, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	x.master = master
	if err := pty.Setsize(master, &pty.Winsize{Cols: 80, Rows: 24}); err != nil {
		t.Fatal(err)
	}
	x.before = x.settings()
	x.cmd.Stdin, x.cmd.Stdout, x.cmd.Stderr = slave, slave, slave
	x.cmd.SysProcAttr.Setsid, x.cmd.SysProcAttr.Setctty = true, true
	if err := x.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go x.show()
	go x.answer()
	go func() { x.cmd.Wait(); close(x.exited) }()
	t.Cleanup(func() {
		x.cmd.Process.Kill()
		<-x.exited
		slave.Close()
		master.Close()
		x.screen.InputPipe().(io.Closer).Close() // its own Close races with a Read that waits
		if t.Failed() {
			t.Logf("the screen:\n%s", x.text())
		}
	})
	return x
}

// show shows what the command writes, until the terminal is closed.
func (x *terminal) show() {
	buffer := make([]byte, 32<<10)
	for {
		n, err := x.master.Read(buffer)
		if err != nil {
			return
		}
		x.mu.Lock()
		x.raw.Write(buffer[:n])
		x.screen.Write(buffer[:n])
		x.mu.Unlock()
	}
}

// answer answers the command's terminal queries.
func (x *terminal) answer() {
	buffer := make([]byte, 1<<10)
	for {
		n, err := x.screen.Read(buffer)
		if err != nil {
			return
		}
		x.master.Write(buffer[:n])
	}
}

func (x *terminal) text() string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.screen.String()
}

func (x *terminal) written() string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.raw.String()
}

func (x *terminal) settings() unix.Termios {
	x.t.Helper()
	settings, err := unix.IoctlGetTermios(int(x.master.Fd()), unix.TCGETS)
	if err != nil {
		x.t.Fatal(err)
	}
	return *settings
}

// awaits waits until all of words are on the screen.
func (x *terminal) awaits(words ...string) {
	x.t.Helper()
	err := parts.Eventually(patience, func() error {
		text := strings.Join(strings.Fields(x.text()), " ") // wherever its lines are broken
		for _, word := range words {
			if !strings.Contains(text, word) {
				return fmt.Errorf("no %q on the screen", word)
			}
		}
		return nil
	})
	if err != nil {
		x.t.Fatal(err)
	}
}

func (x *terminal) keys(keys string) {
	x.t.Helper()
	if _, err := x.master.WriteString(keys); err != nil {
		x.t.Fatal(err)
	}
}

// resize resizes the terminal and notifies the command.
func (x *terminal) resize(columns, rows int) {
	x.t.Helper()
	x.mu.Lock()
	x.screen.Resize(columns, rows)
	x.mu.Unlock()
	if err := pty.Setsize(x.master, &pty.Winsize{Cols: uint16(columns), Rows: uint16(rows)}); err != nil {
		x.t.Fatal(err)
	}
}

// ended checks that the command succeeded and restored the terminal.
func (x *terminal) ended() {
	x.t.Helper()
	select {
	case <-x.exited:
	case <-time.After(patience):
		x.t.Fatal("it does not end")
	}
	if code := x.cmd.ProcessState.ExitCode(); code != 0 {
		x.t.Errorf("exit code %d", code)
	}
	x.awaits("what was there before")
	if diff := cmp.Diff(x.before, x.settings()); diff != "" {
		x.t.Errorf("the terminal is not as it was (-before +after):\n%s", diff)
	}
	if raw := x.written(); strings.LastIndex(raw, "\x1b[?25h") < strings.LastIndex(raw, "\x1b[?25l") {
		x.t.Error("the cursor stays hidden")
	}
}

var colourful = []string{"TERM=xterm-256color", "LANG=C.UTF-8"}

// A person before top sees the verdict, sees it change, and has their terminal back when they quit.
func TestTop(t *testing.T) {
	s := stack.Start(t)
	config := "--config.file=" + s.Config()
	d := s.Daemon(config)
	d.AwaitReady()
	awaitCause(t, d, "healthy")
	x := openTerminal(t, s, colourful, "top", config)
	x.awaits("✓ codex:", "(healthy)", "✓ application", "▄", "q: quit")
	s.ServiceAnswers(503)
	x.awaits("✗ codex:", "(upstream)", "✗ application", "http.server_error", "-codex-1", "do:")
	for n, line := range strings.Split(x.text(), "\n") {
		if width := utf8.RuneCountInString(line); width > 80 || n >= 24 {
			t.Errorf("line %d is %d wide", n, width)
		}
	}
	x.resize(60, 14)
	x.awaits("(upstream)", "do:", "q: quit")
	x.resize(120, 40)
	x.awaits("(upstream)", "last 60 min", "-codex-1")
	d.Kill()
	x.awaits("No daemon responds at http://127.0.0.1:19405", "connection refused", "Shown is the status file", "(upstream)")
	d = s.Daemon(config)
	d.AwaitReady()
	s.ServiceAnswers(405, "Allow: POST")
	x.awaits("(healthy)")
	if strings.Contains(x.text(), "No daemon") {
		t.Error("a daemon answers again, and it is said that none does")
	}
	x.keys("q")
	x.ended()
}

// However it ends, the terminal is as it was; whatever the terminal, it gets what it can show.
func TestTopTerminals(t *testing.T) {
	s := stack.Start(t)
	config := "--config.file=" + s.Config()
	d := s.Daemon(config)
	d.AwaitReady()
	awaitCause(t, d, "healthy")
	t.Run("Ctrl-C", func(t *testing.T) {
		x := openTerminal(t, s, colourful, "top", config)
		x.awaits("(healthy)")
		x.keys("\x03")
		x.ended()
	})
	t.Run("SIGTERM", func(t *testing.T) {
		x := openTerminal(t, s, colourful, "top", config)
		x.awaits("(healthy)")
		x.cmd.Process.Signal(syscall.SIGTERM)
		x.ended()
	})
	t.Run("no colour, no UTF-8", func(t *testing.T) {
		x := openTerminal(t, s, []string{"TERM=xterm", "LC_ALL=C", "NO_COLOR=1"}, "top", config)
		x.awaits("+ codex:", "(healthy)", "+ application", "q: quit")
		for _, r := range x.text() {
			if r >= utf8.RuneSelf {
				t.Errorf("%q is on the screen", r)
			}
		}
		x.keys("q")
		x.ended()
		if colours := regexp.MustCompile(`\x1b\[[0-9;]+m`).FindAllString(x.written(), -1); colours != nil {
			t.Errorf("colours: %q", colours)
		}
	})
	t.Run("a terminal that can only write on", func(t *testing.T) {
		x := openTerminal(t, s, []string{"TERM=dumb", "LC_ALL=C"}, "top", config)
		x.awaits("(healthy)")
		if raw := x.written(); strings.Contains(raw, "\x1b") {
			t.Errorf("escapes: %q", raw)
		}
		x.keys("\x03")
		x.ended()
	})
	t.Run("no terminal", func(t *testing.T) {
		if exit := s.Run("top", config); exit.Code != 3 || !strings.Contains(exit.Stderr, "netwatchd status") {
			t.Errorf("exit code %d, %s", exit.Code, exit.Stderr)
		}
	})
	t.Run("no daemon, no file", func(t *testing.T) {
		x := openTerminal(t, s, colourful, "top", config, "--url=http://127.0.0.1:1", "--status.file="+s.Dir+"/absent")
		x.awaits("No daemon responds at http://127.0.0.1:1", "netwatchd run")
		x.keys("q")
		x.ended()
	})
	if exit := s.Run("top", config, "--url=localhost"); exit.Code != 3 || !strings.Contains(exit.Stderr, "use one like http://") {
		t.Errorf("a wrong address: exit code %d, %s", exit.Code, exit.Stderr)
	}
}
