package execprobe

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"netwatchd/internal/probe"
	"netwatchd/internal/redact"
)

// KillAfter is how long a process group may take to end once asked. codex ends within 50 ms of a SIGTERM; what has not
// ended after two seconds never will, and Do gives an attempt up four seconds after its deadline.
const KillAfter = 2 * time.Second

// What is kept of a stream. The head holds how a run began and the causes an agent lets slip early; the tail holds how
// it ended. A challenge page is 8 to 20 KB and codex repeats it six times in one run: that must fit.
const (
	headKept = 64 << 10
	tailKept = 256 << 10
)

// A Process is a process to run, with everything that decides how it behaves.
type Process struct {
	Argv []string
	Env  []string
	Dir  string
}

// An ExitState is how a command ended, and what it said.
type ExitState struct {
	Code           int // -1 after a signal
	Signal         syscall.Signal
	Stopped        bool // it was asked to end because its time was over
	left           int  // processes of its group that outlived it and were killed
	Stdout, Stderr string
}

// Run starts the command in a process group of its own and waits for it. When ctx ends, the whole group is asked to end
// and killed two seconds later; nothing of the group outlives the call. Standard input is /dev/null: codex 0.142 and later
// read it to its end before they do anything.
//
// The error says that the command could not be started; how it ended is not an error.
func (c Process) Run(ctx context.Context) (ExitState, error) { return c.runWith(ctx, "") }

// runWith is run with something to read on standard input; empty: /dev/null.
func (c Process) runWith(ctx context.Context, input string) (ExitState, error) {
	// Pdeathsig fires when the *thread* that forked dies, not the process (go.dev/issue/27505). Go ends a thread when a
	// goroutine locked to it returns, as code that enters network namespaces does: hold this one until the child is gone.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()

	var stdout, stderr kept
	var stopped atomic.Bool
	cmd := exec.CommandContext(ctx, c.Argv[0], c.Argv[1:]...)
	cmd.Env, cmd.Dir = c.Env, c.Dir
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if input != "" {
		cmd.Stdin = strings.NewReader(input)
	}
	// If this process is killed, the command is told to end by SIGTERM: codex's npm launcher passes that on to the native
	// program, while a SIGKILL leaves the native program behind (measured with codex 0.104.0 and 0.169.0).
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	cmd.WaitDelay = KillAfter
	cmd.Cancel = func() error {
		stopped.Store(true)
		if syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) != nil {
			return os.ErrProcessDone
		}
		return nil
	}
	if err := cmd.Start(); ctx.Err() != nil && err != nil {
		return ExitState{Code: -1}, ctx.Err()
	} else if err != nil {
		return ExitState{Code: -1}, c.notStarted(err)
	}
	waited := cmd.Wait()
	e := ExitState{Code: cmd.ProcessState.ExitCode(), Stopped: stopped.Load(), left: endGroup(cmd.Process.Pid),
		Stdout: stdout.String(), Stderr: stderr.String()}
	if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		e.Signal = status.Signal()
	}
	if _, exited := errors.AsType[*exec.ExitError](waited); waited != nil && !exited && !e.Stopped &&
		!errors.Is(waited, exec.ErrWaitDelay) && !errors.Is(waited, ctx.Err()) {
		return e, probe.Failf(probe.Internal, "reading the output of %s: %w", c.Argv[0], waited)
	}
	return e, nil
}

// notStarted says why the command could not be started, and what to do.
func (c Process) notStarted(err error) error {
	name := c.Argv[0]
	if _, bad := os.Stat(c.Dir); c.Dir != "" && bad != nil {
		return probe.Failf(probe.Internal, "the working directory of %s: %w", name, bad)
	}
	switch {
	case errors.Is(err, exec.ErrNotFound), errors.Is(err, exec.ErrDot):
		return probe.Failf(probe.ExecNotFound, "%s is not on the PATH: install it, or give its full path (PATH is %q)", name, os.Getenv("PATH"))
	case errors.Is(err, fs.ErrNotExist):
		if _, missing := os.Stat(name); missing == nil {
			return probe.Failf(probe.ExecStartFailed, "%w: the interpreter its first line names is missing", err)
		}
		return probe.Failf(probe.ExecNotFound, "%w: install it, or correct the path", err)
	case errors.Is(err, syscall.EAGAIN), errors.Is(err, syscall.ENOMEM), errors.Is(err, syscall.EMFILE):
		return probe.Fail(probe.LocalResources, err)
	}
	return probe.Failf(probe.ExecStartFailed, "%w: is it an executable of this machine's kind, and may this user run it?", err)
}

// endGroup kills what is left of a process group and returns how many processes that were. The group's number cannot have
// been given to others: a new one needs the number of a process, and those are handed out in a long circle.
func endGroup(pgid int) int {
	if syscall.Kill(-pgid, 0) != nil {
		return 0
	}
	left := living(pgid)
	if left > 0 {
		syscall.Kill(-pgid, syscall.SIGKILL)
	}
	return left
}

// living counts the processes of a group that still run. kill(2) with signal 0 does not tell: it finds the dead, too,
// until their parent has collected them, and in a container nobody may ever do.
func living(pgid int) int {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	n := 0
	for _, path := range stats {
		stat, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		// pid (name) state ppid pgrp …: the name may hold spaces and brackets.
		fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
		if len(fields) > 2 && fields[0] != "Z" && fields[0] != "X" && fields[2] == strconv.Itoa(pgid) {
			n++
		}
	}
	return n
}

// kept keeps the beginning and the end of what is written to it, whatever the amount.
type kept struct {
	head, tail []byte
	dropped    int
}

func (k *kept) Write(p []byte) (int, error) {
	n := len(p)
	room := min(headKept-len(k.head), n)
	k.head = append(k.head, p[:room]...)
	k.tail = append(k.tail, p[room:]...)
	if over := len(k.tail) - tailKept; over > tailKept { // trimmed now and then, not at every write
		k.dropped += over
		k.tail = append(k.tail[:0], k.tail[over:]...)
	}
	return n, nil
}

// String is what was kept; a line of its own stands where something is missing.
func (k *kept) String() string {
	tail, dropped := k.tail, k.dropped
	if over := len(tail) - tailKept; over > 0 {
		tail, dropped = tail[over:], dropped+over
	}
	if dropped == 0 {
		return string(k.head) + string(tail)
	}
	return fmt.Sprintf("%s\n[%d bytes left out]\n%s", k.head, dropped, tail)
}

// Environment is what a command is given of our own environment, with added on top. Secrets of the daemon, the sockets
// and credentials systemd gave it, are not the command's business. What decides whether an agent finds its files, its
// service and its trust is: paths, language, proxies, certificates, and what is addressed to codex by name.
//
// OPENAI_API_KEY stays out: `codex exec` ignores it (measured with 0.104.0 and 0.169.0) and reads CODEX_API_KEY.
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
		"OPENAI_BASE_URL", // moves codex 0.104's requests, signed in or not
		"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"}
	passedPrefixes = []string{"LC_", "XDG_", "CODEX_", "WSL"}
)

func isPassed(name string) bool {
	upper := strings.ToUpper(name) // http_proxy is the older spelling, and the one curl reads
	return slices.Contains(passedNames, upper) ||
		slices.ContainsFunc(passedPrefixes, func(prefix string) bool { return strings.HasPrefix(name, prefix) })
}

var Escapes = regexp.MustCompile(`\x1b(?:\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])`)

// Quote makes words of a command fit to be stored and shown: a short line without colours, and without what looks like a
// key or a token, since results are readable by everyone on the host.
func Quote(text string) string {
	return redact.Quote(Escapes.ReplaceAllString(text, ""), probe.WhyLimit)
}
