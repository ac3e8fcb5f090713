package stack

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"netwatchd/internal/lab/parts"
)

// URL is where the daemon listens inside, by its default.
const URL = "http://127.0.0.1:19405"

// An Exit is how a run of netwatchd ended.
type Exit struct {
	Code    int // -1: by a signal
	Stdout  string
	Stderr  string
	Elapsed time.Duration
}

// commandLimit ends a command that hangs, well after anything a test would accept.
const commandLimit = 30 * time.Second

// Run runs netwatchd on this host and returns how it ended.
func (s *Stack) Run(args ...string) Exit {
	s.t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := s.command(args...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	start := time.Now()
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	late := time.AfterFunc(commandLimit, func() { cmd.Process.Signal(syscall.SIGQUIT) }) // with its stacks
	cmd.Wait()
	late.Stop()
	return Exit{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String(), time.Since(start)}
}

// command is netwatchd with a home of its own and nothing of the tester's environment that it or Go would heed.
func (s *Stack) command(args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(parts.Dir(), "netwatchd"), args...)
	cmd.Dir = s.Dir
	cmd.Env = []string{"HOME=" + s.Dir, "PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

// A Daemon is a running `netwatchd run`.
type Daemon struct {
	t      testing.TB
	cmd    *exec.Cmd
	exited chan struct{}
	stderr parts.Buffer
}

// Daemon starts the daemon, and kills it when the test ends. It may not be ready yet.
func (s *Stack) Daemon(args ...string) *Daemon {
	s.t.Helper()
	d := &Daemon{t: s.t, cmd: s.command(append([]string{"run"}, args...)...), exited: make(chan struct{})}
	d.cmd.Stdout, d.cmd.Stderr = &d.stderr, &d.stderr
	if err := d.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	go func() { d.cmd.Wait(); close(d.exited) }()
	s.t.Cleanup(func() {
		d.Kill()
		if s.t.Failed() {
			s.t.Logf("the daemon said:\n%s", d.Said())
		}
	})
	return d
}

// AwaitReady waits until the first round is over.
func (d *Daemon) AwaitReady() {
	d.t.Helper()
	d.Await(10*time.Second, func() error { return answers(URL + "/-/ready") })
}

// Await asks until is says nil. A daemon that has exited ends the test.
func (d *Daemon) Await(within time.Duration, is func() error) {
	d.t.Helper()
	errGone := errors.New("the daemon exited")
	err := parts.Eventually(within, func() error {
		select {
		case <-d.exited:
			d.t.Fatalf("%v with code %d", errGone, d.cmd.ProcessState.ExitCode())
			return nil
		default:
			return is()
		}
	})
	if err != nil {
		d.t.Fatal(err)
	}
}

// PID is its process id.
func (d *Daemon) PID() int { return d.cmd.Process.Pid }

// Signal sends it a signal.
func (d *Daemon) Signal(signal os.Signal) {
	d.t.Helper()
	if err := d.cmd.Process.Signal(signal); err != nil {
		d.t.Error(err)
	}
}

// Exit waits until it has exited and returns its exit code, -1 for a signal.
func (d *Daemon) Exit(within time.Duration) int {
	d.t.Helper()
	select {
	case <-d.exited:
		return d.cmd.ProcessState.ExitCode()
	case <-time.After(within):
		d.t.Fatalf("the daemon is still there after %v", within)
		return 0
	}
}

// Kill ends it as kill -9 does.
func (d *Daemon) Kill() {
	d.cmd.Process.Kill()
	<-d.exited
}

// Said is all that it has logged.
func (d *Daemon) Said() string { return d.stderr.String() }

// answers reports whether url answers 200.
func answers(url string) error {
	client := http.Client{Timeout: 2 * time.Second}
	response, err := client.Get(url)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", url, response.Status)
	}
	return nil
}
