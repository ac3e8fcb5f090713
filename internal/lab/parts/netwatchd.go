package parts

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Netwatchd is how netwatchd is run: where, with its own home directory, and without variables of the tester's
// environment that it or Go would use.
type Netwatchd struct {
	In  *Namespace
	Dir string
	Env []string
	Via []string // a command that runs it; empty: none
}

// An Exit is how a run of netwatchd ended.
type Exit struct {
	Code    int // -1: by a signal
	Stdout  string
	Stderr  string
	Elapsed time.Duration
}

// commandLimit kills a command that hangs, long after any limit of a test.
const commandLimit = 30 * time.Second

// Command is the command that runs it.
func (n *Netwatchd) Command(args ...string) *exec.Cmd {
	command := append(n.Via[:len(n.Via):len(n.Via)], filepath.Join(Dir(), "netwatchd"))
	command = n.In.Command(append(command, args...)...)
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Dir = n.Dir
	cmd.Env = append([]string{"HOME=" + n.Dir, "PATH=/usr/sbin:/usr/bin:/sbin:/bin"}, n.Env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

// Run runs it and returns how it ended.
func (n *Netwatchd) Run(t testing.TB, args ...string) Exit {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := n.Command(args...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	start := time.Now()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	late := time.AfterFunc(commandLimit, func() { cmd.Process.Signal(syscall.SIGQUIT) }) // with its stacks
	cmd.Wait()
	late.Stop()
	return Exit{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String(), time.Since(start)}
}

// A Daemon is a running `netwatchd run`.
type Daemon struct {
	t      testing.TB
	cmd    *exec.Cmd
	exited chan struct{}
	stderr Buffer
}

// Start starts the daemon, and kills it when the test ends. It may not be ready yet.
func (n *Netwatchd) Start(t testing.TB, args ...string) *Daemon {
	t.Helper()
	d := &Daemon{t: t, cmd: n.Command(append([]string{"run"}, args...)...), exited: make(chan struct{})}
	d.cmd.Stdout, d.cmd.Stderr = &d.stderr, &d.stderr
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { d.cmd.Wait(); close(d.exited) }()
	t.Cleanup(func() {
		d.Kill()
		if strings.Contains(d.Said(), "WARNING: DATA RACE") { // only if the binary has the race detector
			t.Error("the daemon has a data race")
		}
		if t.Failed() {
			t.Logf("the daemon said:\n%s", d.Said())
		}
	})
	return d
}

// Await calls check until it returns nil. A daemon that has exited ends the test.
func (d *Daemon) Await(within time.Duration, check func() error) {
	d.t.Helper()
	if err := d.Eventually(within, check); err != nil {
		d.t.Fatal(err)
	}
}

// Eventually calls check until it returns nil, and returns its last error after the time. A daemon that has exited
// ends the test.
func (d *Daemon) Eventually(within time.Duration, check func() error) error {
	d.t.Helper()
	errGone := errors.New("the daemon exited")
	return Eventually(within, func() error {
		select {
		case <-d.exited:
			d.t.Fatalf("%v with code %d", errGone, d.cmd.ProcessState.ExitCode())
			return nil
		default:
			return check()
		}
	})
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

// Kill sends SIGKILL.
func (d *Daemon) Kill() {
	d.cmd.Process.Kill()
	<-d.exited
}

// Said returns its log.
func (d *Daemon) Said() string { return d.stderr.String() }
