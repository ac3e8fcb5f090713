package watch

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"netwatchd/internal/causes"
	"netwatchd/internal/probe"
)

// watches is the environment variable that turns the test binary into a process that watches, and prints what its
// observers see.
const watches = "NETWATCHD_TEST_WATCHES"

func TestMain(m *testing.M) {
	if os.Getenv(watches) != "" {
		watchForReal()
	}
	// Two that compute days beside TestStopped, which sleeps.
	flag.Set("test.parallel", "3")
	os.Exit(m.Run())
}

// watchForReal never returns. An attempt takes two seconds: time enough to stop the process meanwhile.
func watchForReal() {
	slow := &probe.Probe{Prober: takes(2 * time.Second),
		Spec: probe.Spec{Service: "codex", Name: "head", Kind: probe.KindHTTP, Timeout: 3 * time.Second}}
	New(Plan{Environment: func() Environment { return Environment{} },
		Services: []Service{{Name: "codex", Tasks: []Task{{Probe: slow, Interval: 4 * time.Second}}}}},
		Options{Clock: steadyClock{}, Observers: []Observer{printer{}}}).Run(context.Background())
}

type takes time.Duration

func (d takes) Probe(ctx context.Context) (probe.Facts, error) {
	fmt.Println("begun")
	select {
	case <-time.After(time.Duration(d)):
		return probe.Facts{}, ctx.Err() // as a socket with a deadline: it is past, although the answer is there
	case <-ctx.Done():
		return probe.Facts{}, ctx.Err()
	}
}

// A steadyClock is that of a host that is never suspended.
type steadyClock struct{}

func (steadyClock) Jump() (suspended, stepped time.Duration) { return 0, 0 }

type printer struct{ NopObserver }

func (printer) Attempted(r probe.Result, _ time.Duration) { fmt.Println("attempt", r.Class) }
func (printer) Resumed(away time.Duration, discarded int) { fmt.Println("resumed", discarded, away) }
func (printer) Judged(now ServiceStatus, _ causes.Cause)  { fmt.Println("verdict", now.Cause) }

// A process that was stopped (SIGSTOP, docker pause, the freezer of a cgroup) finds every attempt past its timeout. That
// says nothing about the service: they are discarded, as after a suspend.
func TestStopped(t *testing.T) {
	t.Parallel()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), watches+"=1")
	cmd.Stderr = t.Output()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = cmd.Process.Kill(), cmd.Wait() })
	lines := bufio.NewScanner(out)
	next := func() string {
		t.Helper()
		if !lines.Scan() {
			t.Fatal("the process has ended")
		}
		return lines.Text()
	}
	for next() != "begun" {
	}
	if err := cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	time.Sleep(minStop + 2*heartbeat)
	if err := cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	for {
		switch line := next(); {
		case strings.HasPrefix(line, "attempt") && line != "attempt ok":
			t.Fatalf("%q: a failure that nothing but the stop explains", line)
		case strings.HasPrefix(line, "resumed "):
			discarded, away, _ := strings.Cut(strings.TrimPrefix(line, "resumed "), " ")
			if d, err := time.ParseDuration(away); err != nil || d < minStop || discarded != "1" {
				t.Errorf("%q, want one attempt discarded after %v or more", line, minStop)
			}
			return
		}
	}
}
