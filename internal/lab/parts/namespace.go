package parts

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A Namespace is a network namespace, optionally with a mount namespace. The nil Namespace is where the tests run.
type Namespace struct {
	Name   string
	holder *exec.Cmd
	mounts bool
}

// NewNamespace creates a network with only a loopback interface. It lasts until Close or the end of the test binary.
func NewNamespace(name string, mounts bool) (*Namespace, error) {
	n := &Namespace{Name: name, mounts: mounts, holder: exec.Command("sleep", "infinity")}
	n.holder.Args[0] = name // so that a person finds it
	n.holder.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if mounts {
		n.holder.SysProcAttr.Cloneflags |= syscall.CLONE_NEWNS
	}
	if err := n.start(); err != nil {
		return nil, fmt.Errorf("making a network: %w", err)
	}
	return n, n.Batch([]string{"link set lo up"}, "ip")
}

// start starts the holder from a thread that lives as long as it, because Pdeathsig is sent when the thread that
// started a process ends. Later the thread is released, not ended, because it may have started other processes.
func (n *Namespace) start() error {
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		started <- n.holder.Start()
		if n.holder.Process != nil {
			n.holder.Wait()
		}
		runtime.UnlockOSThread()
	}()
	return <-started
}

// Close releases the namespace. It lasts as long as a process runs in it.
func (n *Namespace) Close() { n.holder.Process.Kill() }

// PID is the process that holds it.
func (n *Namespace) PID() int { return n.holder.Process.Pid }

// Path is path in the namespace's mounts.
func (n *Namespace) Path(path string) string {
	if n == nil || !n.mounts {
		return path
	}
	return fmt.Sprintf("/proc/%d/root%s", n.PID(), path)
}

// Command returns a command that runs in the namespace.
func (n *Namespace) Command(command ...string) []string {
	if n == nil {
		return command
	}
	enter := []string{"nsenter", fmt.Sprintf("--net=/proc/%d/ns/net", n.PID())}
	if n.mounts {
		enter = append(enter, fmt.Sprintf("--mount=/proc/%d/ns/mnt", n.PID()))
	}
	return append(append(enter, "--"), command...)
}

// Run runs a command in the namespace, with input on its standard input.
func (n *Namespace) Run(input string, command ...string) error {
	full := n.Command(command...)
	cmd := exec.Command(full[0], full[1:]...)
	cmd.Stdin = strings.NewReader(input)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(command, " "), err, out)
	}
	return nil
}

// Batch runs command once for each line of arguments.
func (n *Namespace) Batch(lines []string, command ...string) error {
	for _, line := range lines {
		if err := n.Run("", append(command[:len(command):len(command)], strings.Fields(line)...)...); err != nil {
			return err
		}
	}
	return nil
}

// NFT runs an nftables script.
func (n *Namespace) NFT(script string) error {
	path, err := exec.LookPath("/usr/sbin/nft")
	if err != nil {
		return err
	}
	return n.Run(script, path, "-f", "-")
}

// Do calls f on a thread in the namespace: a socket opened there stays there. The thread is reused afterwards: if it
// ended, the kernel would kill every process it started (Pdeathsig, see prctl(2)).
func (n *Namespace) Do(f func() error) error {
	if n == nil {
		return f()
	}
	there, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", n.PID()))
	if err != nil {
		return err
	}
	defer there.Close()
	runtime.LockOSThread()
	here, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return err
	}
	defer here.Close()
	if err := unix.Setns(int(there.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("entering %s: %w", n.Name, err)
	}
	failed := f()
	if err := unix.Setns(int(here.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("leaving %s: %w", n.Name, err)
	}
	runtime.UnlockOSThread()
	return failed
}

// Listen opens a port in the namespace.
func (n *Namespace) Listen(network, address string) (l net.Listener, err error) {
	err = n.Do(func() error {
		l, err = net.Listen(network, address)
		return err
	})
	return l, err
}

// Client is an HTTP client in the namespace, for addresses, not names.
func (n *Namespace) Client() *http.Client {
	dial := func(ctx context.Context, network, address string) (conn net.Conn, err error) {
		err = n.Do(func() error {
			conn, err = new(net.Dialer).DialContext(ctx, network, address)
			return err
		})
		return conn, err
	}
	return &http.Client{Transport: &http.Transport{DialContext: dial}, Timeout: 10 * time.Second}
}

// UnlimitedICMP removes the namespace's limit of ICMP errors. By default six closed ports are reported at once and
// then one a second (icmp(7)): a lookup after a few others would time out instead of being refused.
func (n *Namespace) UnlimitedICMP() error {
	return n.Run("", "sh", "-c", "echo 0 >/proc/sys/net/ipv4/icmp_ratelimit; echo 0 >/proc/sys/net/ipv6/icmp/ratelimit")
}
