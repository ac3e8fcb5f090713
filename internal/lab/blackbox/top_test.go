package blackbox

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"unicode/utf8"

	"netwatchd/internal/lab/parts"
	"netwatchd/internal/lab/stack"
)

// openTerminal runs a command in a terminal.
func openTerminal(t *testing.T, s *stack.Stack, env []string, args ...string) *parts.Terminal {
	t.Helper()
	cmd := s.Command(args...)
	cmd.Env = append(cmd.Env, env...)
	return parts.Open(t, cmd)
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
	x.Awaits("✓ codex:", "(healthy)", "✓ application", "▄", "q: quit")
	s.ServiceAnswers(503)
	x.Awaits("✗ codex:", "(upstream)", "✗ application", "http.server_error", "-codex-1", "do:")
	for n, line := range strings.Split(x.Text(), "\n") {
		if width := utf8.RuneCountInString(line); width > 80 || n >= 24 {
			t.Errorf("line %d is %d wide", n, width)
		}
	}
	x.Resize(60, 14)
	x.Awaits("(upstream)", "do:", "q: quit")
	x.Resize(120, 40)
	x.Awaits("(upstream)", "last 60 min", "-codex-1")
	d.Await(patience, func() error { // the file is written after the page: killed in between, it would say healthy
		if text, err := os.ReadFile(filepath.Join(s.Dir, "status.json")); err != nil || !strings.Contains(string(text), `"upstream"`) {
			return fmt.Errorf("the status file does not have the verdict: %v\n%s", err, text)
		}
		return nil
	})
	d.Kill()
	x.Awaits("No daemon responds at http://127.0.0.1:19405", "connection refused", "Shown is the status file", "(upstream)")
	d = s.Daemon(config)
	d.AwaitReady()
	s.ServiceAnswers(405, "Allow: POST")
	x.Awaits("(healthy)")
	if strings.Contains(x.Text(), "No daemon") {
		t.Error("a daemon answers again, and it is said that none does")
	}
	x.Keys("q")
	x.Ended()
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
		x.Awaits("(healthy)")
		x.Keys("\x03")
		x.Ended()
	})
	t.Run("SIGTERM", func(t *testing.T) {
		x := openTerminal(t, s, colourful, "top", config)
		x.Awaits("(healthy)")
		x.Cmd.Process.Signal(syscall.SIGTERM)
		x.Ended()
	})
	t.Run("no colour, no UTF-8", func(t *testing.T) {
		x := openTerminal(t, s, []string{"TERM=xterm", "LC_ALL=C", "NO_COLOR=1"}, "top", config)
		x.Awaits("+ codex:", "(healthy)", "+ application", "q: quit")
		for _, r := range x.Text() {
			if r >= utf8.RuneSelf {
				t.Errorf("%q is on the screen", r)
			}
		}
		x.Keys("q")
		x.Ended()
		if colours := regexp.MustCompile(`\x1b\[[0-9;]+m`).FindAllString(x.Written(), -1); colours != nil {
			t.Errorf("colours: %q", colours)
		}
	})
	t.Run("a terminal that can only write on", func(t *testing.T) {
		x := openTerminal(t, s, []string{"TERM=dumb", "LC_ALL=C"}, "top", config)
		x.Awaits("(healthy)")
		if raw := x.Written(); strings.Contains(raw, "\x1b") {
			t.Errorf("escapes: %q", raw)
		}
		x.Keys("\x03")
		x.Ended()
	})
	t.Run("no terminal", func(t *testing.T) {
		if exit := s.Run("top", config); exit.Code != 3 || !strings.Contains(exit.Stderr, "netwatchd status") {
			t.Errorf("exit code %d, %s", exit.Code, exit.Stderr)
		}
	})
	t.Run("no daemon, no file", func(t *testing.T) {
		x := openTerminal(t, s, colourful, "top", config, "--url=http://127.0.0.1:1", "--status.file="+s.Dir+"/absent")
		x.Awaits("No daemon responds at http://127.0.0.1:1", "netwatchd run")
		x.Keys("q")
		x.Ended()
	})
	if exit := s.Run("top", config, "--url=localhost"); exit.Code != 3 || !strings.Contains(exit.Stderr, "use one like http://") {
		t.Errorf("a wrong address: exit code %d, %s", exit.Code, exit.Stderr)
	}
}
