package execprobe

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"netwatchd/internal/probe"
	"netwatchd/internal/redact"
)

// KillAfter is how long a process group may take to end after SIGTERM, before SIGKILL. codex ends within 50 ms; what
// still runs after two seconds never ends. probe.Do abandons an attempt 30 seconds after its deadline.
const KillAfter = 2 * time.Second

// What is kept of an output stream. The head has the beginning of a run and early errors; the tail has its end. A
// challenge page is 8 to 20 KB, and codex repeats it six times in one run: that must fit.
const (
	headSize = 64 << 10
	tailSize = 256 << 10
)

// A Process is a command to run, with its environment and working directory.
type Process struct {
	Argv []string
	Env  []string
	Dir  string

	// EndAt is called with each line of standard output and of standard error, in turn, without its end. If it reports
	// true, the process group is ended after that time, which it may use to report more; the first time decides. Nil:
	// the command ends by itself.
	EndAt func(line string) (after time.Duration, end bool)
}

// An ExitState is the end of a command and its output.
type ExitState struct {
	Code           int // -1 after a signal
	Signal         syscall.Signal
	Stopped        bool // it was terminated because ctx ended
	Ended          bool // it was terminated because of what it printed: see Process.EndAt
	left           []stray
	Stdout, Stderr string
}

// Run starts the command in a new process group and waits for it. When ctx ends, the group gets SIGTERM and two
// seconds later SIGKILL; no process of it outlives the call, not even one in a session of its own. Standard input is
// /dev/null: codex 0.142 and later first read it to its end.
//
// An error means that the command could not be started; a failing exit code is not an error.
func (c Process) Run(ctx context.Context) (ExitState, error) { return c.runWith(ctx, "") }

// runWith is Run with input on standard input; empty: /dev/null.
func (c Process) runWith(ctx context.Context, input string) (ExitState, error) {
	// Pdeathsig fires when the *thread* that forked dies, not the process (go.dev/issue/27505). Go ends a thread when a
	// goroutine locked to it returns, as code that enters network namespaces does. Keep this thread until the child has
	// ended.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()

	var stdout, stderr boundedBuffer
	var stopped, ended atomic.Bool
	running, end := context.WithCancel(ctx)
	defer end()
	cmd := exec.CommandContext(running, c.Argv[0], c.Argv[1:]...)
	cmd.Env, cmd.Dir = c.Env, c.Dir
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if c.EndAt != nil {
		w := &lineWatch{endAt: c.EndAt, end: end}
		defer w.stop()
		cmd.Stdout, cmd.Stderr = &watchedStream{Writer: &stdout, watch: w}, &watchedStream{Writer: &stderr, watch: w}
	}
	if input != "" {
		cmd.Stdin = strings.NewReader(input)
	}
	// If this process is killed, the command gets SIGTERM, which codex's npm launcher passes on to the native program.
	// SIGKILL would leave the native program behind (measured with codex 0.104.0 and 0.169.0).
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	cmd.WaitDelay = KillAfter
	cmd.Cancel = func() error {
		ended.Store(ctx.Err() == nil)
		stopped.Store(ctx.Err() != nil)
		if syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) != nil {
			return os.ErrProcessDone
		}
		return nil
	}
	started, err := start(cmd)
	if ctx.Err() != nil && err != nil {
		return ExitState{Code: -1}, ctx.Err()
	} else if err != nil {
		return ExitState{Code: -1}, c.startError(err)
	}
	waited := cmd.Wait()
	e := ExitState{Code: cmd.ProcessState.ExitCode(), Stopped: stopped.Load(), Ended: ended.Load(), left: started.end(),
		Stdout: stdout.String(), Stderr: stderr.String()}
	if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		e.Signal = status.Signal()
	}
	if _, exited := errors.AsType[*exec.ExitError](waited); waited != nil && !exited && !e.Stopped &&
		!errors.Is(waited, exec.ErrWaitDelay) && !errors.Is(waited, running.Err()) {
		return e, probe.Failf(probe.Internal, "reading the output of %s: %w", c.Argv[0], waited)
	}
	return e, nil
}

// startError explains why the command could not be started and what to do.
func (c Process) startError(err error) error {
	name := c.Argv[0]
	if _, bad := os.Stat(c.Dir); c.Dir != "" && bad != nil {
		return probe.Failf(probe.Internal, "the working directory of %s: %w", name, bad)
	}
	switch {
	case errors.Is(err, exec.ErrNotFound), errors.Is(err, exec.ErrDot):
		return probe.Failf(
			probe.ExecNotFound,
			"%s is not on the PATH: install it, or give its full path (PATH is %q)",
			name,
			os.Getenv("PATH"),
		)
	case errors.Is(err, fs.ErrNotExist):
		if _, missing := os.Stat(name); missing == nil {
			return probe.Failf(probe.ExecStartFailed, "%w: the interpreter in its first line is missing", err)
		}
		return probe.Failf(probe.ExecNotFound, "%w: install it, or correct the path", err)
	case errors.Is(err, syscall.EAGAIN), errors.Is(err, syscall.ENOMEM), errors.Is(err, syscall.EMFILE),
		errors.Is(err, syscall.ENFILE):
		return probe.Fail(probe.LocalResources, err)
	}
	return probe.Failf(
		probe.ExecStartFailed,
		"%w: is it an executable for this architecture, and may this user run it?",
		err,
	)
}

// boundedBuffer keeps the beginning and the end of what is written to it.
type boundedBuffer struct {
	head, tail []byte
	dropped    int
}

func (k *boundedBuffer) Write(p []byte) (int, error) {
	n := len(p)
	room := min(headSize-len(k.head), n)
	k.head = append(k.head, p[:room]...)
	k.tail = append(k.tail, p[room:]...)
	if over := len(k.tail) - tailSize; over > tailSize { // trim rarely, not at every write
		k.dropped += over
		k.tail = append(k.tail[:0], k.tail[over:]...)
	}
	return n, nil
}

// String returns what was kept, with a line in place of what was not.
func (k *boundedBuffer) String() string {
	tail, dropped := k.tail, k.dropped
	if over := len(tail) - tailSize; over > 0 {
		tail, dropped = tail[over:], dropped+over
	}
	if dropped == 0 {
		return string(k.head) + string(tail)
	}
	return fmt.Sprintf("%s\n[%d bytes omitted]\n%s", k.head, dropped, tail)
}

// Environment returns the part of our own environment that is passed to every command, followed by added: paths,
// language, proxies and certificates. The daemon's secrets, the sockets and credentials from systemd, and the variables
// of agents are not passed on: an agent gets its own alone, by its description.
func Environment(added []string) []string {
	passed := slices.DeleteFunc(os.Environ(), func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		return !isPassed(name)
	})
	return append(passed, added...)
}

var (
	passedNames = []string{"PATH", "HOME", "USER", "LOGNAME", "SHELL", "TMPDIR", "TZ", "LANG", "LANGUAGE",
		"SSL_CERT_FILE", "SSL_CERT_DIR", "NODE_EXTRA_CA_CERTS", "RES_OPTIONS", "LOCALDOMAIN",
		"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"}
	passedPrefixes = []string{"LC_", "XDG_", "WSL"}
)

func isPassed(name string) bool {
	upper := strings.ToUpper(name) // http_proxy is the older spelling and the only one that curl reads
	return slices.Contains(passedNames, upper) ||
		slices.ContainsFunc(passedPrefixes, func(prefix string) bool { return strings.HasPrefix(name, prefix) })
}

var Escapes = regexp.MustCompile(`\x1b(?:\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])`)

// Quote returns a command's output as one short line without colors and secrets, because everyone on the host can read
// results.
func Quote(text string) string {
	return redact.Quote(Escapes.ReplaceAllString(text, ""), probe.WhyLimit)
}
