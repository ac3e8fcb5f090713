package execprobe

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"netwatchd/internal/probe"
	"netwatchd/internal/probe/probetest"
)

func TestExec(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		run   Run
		class probe.Class
		exit  int
		why   string
	}{
		"exit 0":           {Run{Command: probetest.Sh("echo fine")}, probe.OK, 0, ""},
		"the text":         {Run{Command: probetest.Sh("echo all is OK"), Expect: "OK"}, probe.OK, 0, ""},
		"another text":     {Run{Command: probetest.Sh("echo no"), Expect: "OK"}, probe.ExecUnexpectedOutput, 0, `"OK" is not in the output: no`},
		"stderr is no out": {Run{Command: probetest.Sh("echo OK >&2"), Expect: "OK"}, probe.ExecUnexpectedOutput, 0, `"OK" is not in the output`},
		"exit 3":           {Run{Command: probetest.Sh("echo one; echo two >&2; exit 3")}, probe.ExecUnexpectedExit, 3, "exit code 3: two"},
		"shell's 127":      {Run{Command: probetest.Sh("no-such-command-here")}, probe.ExecNotFound, 127, "not found"},
		"shell's 126":      {Run{Command: probetest.Sh("/etc/passwd")}, probe.ExecStartFailed, 126, "exit code 126"},
		"killed":           {Run{Command: probetest.Sh("kill -9 $$")}, probe.ExecKilled, -1, "SIGKILL"},
		"ended":            {Run{Command: probetest.Sh("kill -15 $$")}, probe.ExecKilled, -1, "terminated"},
		"stdin is empty":   {Run{Command: probetest.Sh("cat; echo OK"), Expect: "OK"}, probe.OK, 0, ""},
		"added variable":   {Run{Command: probetest.Sh("echo $MINE"), Env: []string{"MINE=OK"}, Expect: "OK"}, probe.OK, 0, ""},
		"directory":        {Run{Command: probetest.Sh("pwd"), Dir: "/usr", Expect: "/usr"}, probe.OK, 0, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := probetest.DoRun(t, test.run, 20*time.Second)
			if r.Class != test.class || !strings.Contains(r.Why, test.why) {
				t.Errorf("got %v %q, want %v with %q", r.Class, r.Why, test.class, test.why)
			}
			if r.Exit == nil || *r.Exit != test.exit {
				t.Errorf("got exit %v, want %d", r.Exit, test.exit)
			}
			if r.Phase != probe.Executing || r.Phases[probe.Executing] <= 0 {
				t.Errorf("got phase %v after %v", r.Phase, r.Phases)
			}
		})
	}
}

func TestRunThatCannotStart(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		run   Run
		class probe.Class
		why   string
	}{
		"not on the PATH":     {Run{Command: []string{"no-such-command-here"}}, probe.ExecNotFound, "give its full path"},
		"no such file":        {Run{Command: []string{"/no/such/file"}}, probe.ExecNotFound, "correct the path"},
		"not executable":      {Run{Command: probetest.Script(t, 0o644, "#!/bin/sh\n")}, probe.ExecStartFailed, "permission denied"},
		"not a program":       {Run{Command: probetest.Script(t, 0o755, "\x01\x02\x03")}, probe.ExecStartFailed, "exec format error"},
		"no such interpreter": {Run{Command: probetest.Script(t, 0o755, "#!/no/such/node\n")}, probe.ExecStartFailed, "interpreter"},
		"no such directory":   {Run{Command: probetest.Sh("true"), Dir: "/no/such/directory"}, probe.Internal, "working directory"},
		"no command":          {Run{}, probe.Internal, "set one in the configuration"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := probetest.DoRun(t, test.run, 20*time.Second)
			if r.Class != test.class || !strings.Contains(r.Why, test.why) {
				t.Errorf("got %v %q, want %v with %q", r.Class, r.Why, test.class, test.why)
			}
		})
	}
}

func TestRunEndsItsWholeGroup(t *testing.T) {
	t.Parallel()
	const second = time.Second
	tests := map[string]struct {
		script string
		within time.Duration // after the deadline
	}{
		"that obeys":              {"sleep 100 & sleep 100", second},
		"that ignores SIGTERM":    {`trap "" TERM; (trap "" TERM; sleep 100) & while :; do sleep 1; done`, KillAfter + second},
		"whose child ignores it":  {`(trap "" TERM; while :; do sleep 1; done) & wait`, KillAfter + second},
		"whose child has no pipe": {`(trap "" TERM; while :; do sleep 1; done) >/dev/null 2>&1 & wait`, second},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			marker := "NETWATCHD_TEST_MARKER=" + filepath.Base(t.TempDir()) + name
			started := time.Now()
			r := probetest.DoRun(t, Run{Command: probetest.Sh(test.script), Env: []string{marker}}, second)
			if late := time.Since(started) - second; late > test.within {
				t.Errorf("came back %v after the deadline, want %v at most", late, test.within)
			}
			if r.Class != probe.ExecTimedOut {
				t.Errorf("got %v %q, want %v", r.Class, r.Why, probe.ExecTimedOut)
			}
			probetest.Gone(t, marker)
		})
	}
}

func TestRunThatLeavesProcessesBehind(t *testing.T) {
	t.Parallel()
	const marker = "NETWATCHD_TEST_MARKER=left behind"
	r := probetest.DoRun(t, Run{Command: probetest.Sh("sleep 100 & echo OK"), Env: []string{marker}, Expect: "OK"}, 20*time.Second)
	if r.Class != probe.OK || !slices.Contains(r.Warnings, probe.WarnLeftProcesses) {
		t.Errorf("got %v %q with warnings %v, want ok with %s", r.Class, r.Why, r.Warnings, probe.WarnLeftProcesses)
	}
	probetest.Gone(t, marker)
}

func TestRunCutShortIsNoNews(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	out, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	go func() { // stop once the command has said that it runs
		io.ReadAtLeast(out, make([]byte, 1), 1)
		cancel()
	}()
	_, ok := probe.Do(ctx, &probe.Probe{Prober: Run{Command: probetest.Sh("echo > /proc/" + itoa(os.Getpid()) + "/fd/" + itoa(int(in.Fd())) + "; sleep 100")}})
	in.Close()
	if ok {
		t.Error("a run that was cancelled became a result")
	}
}

// TestOrphan checks that a command does not outlive a daemon that is killed. The test runs itself as that daemon.
func TestOrphan(t *testing.T) {
	const role, marker = "NETWATCHD_TEST_ORPHAN", "NETWATCHD_TEST_MARKER=orphan"
	if os.Getenv(role) != "" {
		probe.Do(t.Context(), &probe.Probe{Prober: Run{Command: probetest.Sh("echo > $READY; exec sleep 100"),
			Env: []string{marker, "READY=" + os.Getenv("READY")}}})
		return
	}
	t.Parallel()
	ready := filepath.Join(t.TempDir(), "ready")
	if out, err := exec.Command("mkfifo", ready).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	daemon := exec.Command(os.Args[0], "-test.run=^TestOrphan$")
	daemon.Env = append(os.Environ(), role+"=1", "READY="+ready)
	if err := daemon.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := os.Open(ready) // blocks until the command runs
	if err != nil {
		t.Fatal(err)
	}
	defer line.Close()
	bufio.NewReader(line).ReadString('\n')
	daemon.Process.Kill()
	daemon.Wait()
	probetest.Gone(t, marker)
}

func TestKept(t *testing.T) {
	var k boundedBuffer
	long := strings.Repeat("0123456789abcde\n", 1<<16) // 1 MB
	for chunk := range slices.Chunk([]byte("first\n"+long+"last\n"), 5000) {
		k.Write(chunk)
	}
	got := k.String()
	if !strings.HasPrefix(got, "first\n") || !strings.HasSuffix(got, "last\n") || !strings.Contains(got, "bytes omitted") {
		t.Errorf("got %.20q … %q", got, got[len(got)-20:])
	}
	if len(got) > headSize+tailSize+64 || cap(k.tail) > 4*tailSize {
		t.Errorf("kept %d bytes in a buffer of %d", len(got), cap(k.tail))
	}
	var short boundedBuffer
	io.WriteString(&short, "all of it")
	if short.String() != "all of it" {
		t.Errorf("got %q", short.String())
	}
}

func TestEnvironmentKeepsOurSecrets(t *testing.T) {
	for name, value := range map[string]string{"NETWATCHD_STORAGE_PASSWORD": "secret", "OPENAI_API_KEY": "secret",
		"NOTIFY_SOCKET": "secret", "CREDENTIALS_DIRECTORY": "secret", "AWS_SECRET_ACCESS_KEY": "secret",
		"CODEX_API_KEY": "secret", "OPENAI_BASE_URL": "secret",
		"https_proxy": "http://proxy.test:3128", "LC_ALL": "C.UTF-8"} {
		t.Setenv(name, value)
	}
	got := Environment([]string{"ADDED=1"})
	if text := strings.Join(got, "\n"); strings.Contains(text, "secret") {
		t.Errorf("a secret is passed on:\n%s", text)
	}
	for _, want := range []string{"https_proxy=http://proxy.test:3128", "LC_ALL=C.UTF-8",
		"PATH=" + os.Getenv("PATH"), "ADDED=1"} {
		if !slices.Contains(got, want) {
			t.Errorf("%s is not passed on", want)
		}
	}
}

func TestSaid(t *testing.T) {
	got := Quote("\x1b[31mred\x1b[0m \x1b]8;;http://x\x07link\x1b]8;;\x07\r\nkey sk-proj-abcdefgh, Bearer eyJhbGciOiJub25lIn0.e30.x task-force")
	want := "red link key [secret], Bearer [secret] task-force"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func itoa(n int) string { return strconv.Itoa(n) }

// A process that leaves the group and the session of its command, as daemons do, does not escape.
func TestRunThatLeavesItsSession(t *testing.T) {
	if _, err := exec.LookPath("setsid"); err != nil {
		t.Skip("needs setsid: apt-get install util-linux")
	}
	tests := map[string]struct {
		script  string
		timeout time.Duration
		class   probe.Class
		name    string
	}{
		"setsid":                       {"setsid sleep 100 >/dev/null 2>&1 </dev/null & sleep 0.1; echo OK", 20 * time.Second, probe.OK, "sleep"},
		"setsid, forked twice":         {"(setsid sh -c 'sleep 100 & sleep 100 & exit' >/dev/null 2>&1 &); sleep 0.1; echo OK", 20 * time.Second, probe.OK, "sleep"},
		"setsid and no environment":    {"env -i setsid sleep 100 >/dev/null 2>&1 & sleep 0.1; echo OK", 20 * time.Second, probe.OK, "sleep"},
		"a group of its own":           {"set -m; sleep 100 >/dev/null 2>&1 & echo OK", 20 * time.Second, probe.OK, "sleep"},
		"setsid, then ran out of time": {"setsid sleep 100 >/dev/null 2>&1 & sleep 100", time.Second, probe.ExecTimedOut, "sleep"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			before := ourChildren()
			marker := "NETWATCHD_TEST_MARKER=" + filepath.Base(t.TempDir()) + name
			r := probetest.DoRun(t, Run{Command: probetest.Sh(test.script), Env: []string{marker}}, test.timeout)
			if r.Class != test.class || !slices.Contains(r.Warnings, probe.WarnLeftProcesses) {
				t.Errorf("got %v %q with warnings %v, want %v with %s", r.Class, r.Why, r.Warnings, test.class, probe.WarnLeftProcesses)
			}
			if !slices.ContainsFunc(r.LeftProcesses, func(p string) bool { return strings.HasPrefix(p, test.name+" (pid ") }) {
				t.Errorf("named %q, want %s", r.LeftProcesses, test.name)
			}
			probetest.Gone(t, marker)
			for until := time.Now().Add(2 * time.Second); ; time.Sleep(5 * time.Millisecond) {
				if left := slices.DeleteFunc(ourChildren(), func(c string) bool { return slices.Contains(before, c) }); len(left) == 0 {
					break
				} else if time.Now().After(until) {
					t.Fatalf("left as children of this process: %q", left)
				}
			}
		})
	}
}

// ourChildren lists the children of this process, zombies included.
func ourChildren() []string {
	var all []string
	for _, p := range processes() {
		if p.parent == os.Getpid() {
			all = append(all, p.name+" "+itoa(p.pid))
		}
	}
	return all
}

// Runs end strays while other commands run, some of them started by other code: each gets its own exit code.
func TestOtherCommandsAreLeftAlone(t *testing.T) {
	var all sync.WaitGroup
	for i := range 40 {
		all.Go(func() {
			r := probetest.DoRun(t, Run{Command: probetest.Sh("setsid sleep 100 >/dev/null 2>&1 & exit 3")}, 20*time.Second)
			if r.Class != probe.ExecUnexpectedExit || *r.Exit != 3 {
				t.Errorf("a run: got %v %q", r.Class, r.Why)
			}
		})
		all.Go(func() {
			code := 1 + i%7
			err := exec.Command("sh", "-c", "sleep 0.0"+itoa(i)+"; exit "+itoa(code)).Run()
			if exited, ok := errors.AsType[*exec.ExitError](err); !ok || exited.ExitCode() != code {
				t.Errorf("another command: got %v, want exit code %d", err, code)
			}
		})
		all.Go(func() { // a command whose child outlives a run beside it
			r := probetest.DoRun(t, Run{Command: probetest.Sh("setsid sh -c 'sleep 0.3; echo done' & wait"), Expect: "done"}, 20*time.Second)
			if r.Class != probe.OK {
				t.Errorf("a run with a session of its own: got %v %q", r.Class, r.Why)
			}
		})
	}
	all.Wait()
}

// TestEndAt: a command that would go on for ever is ended at a line of either stream, and what it printed counts. A
// command that ignores the first signal is killed.
func TestEndAt(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		script string
		after  time.Duration
		want   string // in its output
	}{
		"a line of stdout":              {`echo begin; echo "the end"; while :; do sleep 1; done`, 0, "the end"},
		"a line of stderr":              {`echo begin >&2; printf "the "; echo "the end" >&2; while :; do sleep 1; done`, 0, "the end"},
		"a line in pieces":              {`printf "the "; sleep 0.1; printf "end\nmore"; while :; do sleep 1; done`, 0, "the end"},
		"that ignores SIGTERM":          {`trap "" TERM; echo "the end"; while :; do sleep 1; done`, 0, "the end"},
		"that reports more after it":    {`echo "the end"; echo more; while :; do sleep 1; done`, 2 * time.Second, "more"},
		"that ends by itself after it":  {`echo "the end"; echo more; exit 3`, time.Hour, "more"},
		"that never prints such a line": {`echo "the beginning"`, 0, "the beginning"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			marker := "NETWATCHD_TEST_MARKER=" + filepath.Base(t.TempDir()) + name
			e, facts, err := Execute(t.Context(), Process{Argv: probetest.Sh(test.script), Env: Environment([]string{marker}),
				EndAt: func(line string) (time.Duration, bool) { return test.after, line == "the end" }})
			if err != nil {
				t.Fatal(err)
			}
			byItself := strings.Contains(test.script, "exit 3") || strings.Contains(test.script, "beginning")
			if e.Ended == byItself || e.Stopped || e.Interrupted(t.Context()) != nil || !strings.Contains(e.Stdout+e.Stderr, test.want) ||
				len(facts.Warnings) > 0 {
				t.Errorf("got %+v, %v", e, facts.Warnings)
			}
			probetest.Gone(t, marker)
		})
	}
}
