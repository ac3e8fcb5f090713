package stack

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

// The addresses are those that RFC 5737 and RFC 3849 keep for documentation, so nothing here can be anyone's.
const (
	HostAddress    = "203.0.113.2"
	ServiceAddress = "203.0.113.10"
	SystemResolver = "203.0.113.53"
	DirectResolver = "203.0.113.54"

	gateway        = "203.0.113.1"
	serviceIPv6    = "2001:db8::10"
	hostInterface  = "wan0"
	farInterface   = "far0"
	environmentDir = "NETWATCHD_STACK" // the directory of the binary; set: this process is inside
)

// unavailable says why there is no stack on this machine; empty: there is one.
var unavailable string

// far is the process that holds the network beyond the link.
var far *exec.Cmd

// Main is a TestMain. It builds netwatchd, enters a network of its own and runs the tests there.
func Main(m *testing.M) {
	if dir := os.Getenv(environmentDir); dir != "" {
		if err := furnish(dir); err != nil {
			unavailable = "needs root, or user namespaces: " + err.Error()
		}
		os.Exit(m.Run())
	}
	code, err := enter()
	if err != nil {
		unavailable = "needs root, or user namespaces: " + err.Error()
		code = m.Run()
	}
	os.Exit(code)
}

// enter runs this test binary again, inside, and returns how it exited.
func enter() (int, error) {
	dir, err := os.MkdirTemp("", "netwatchd-stack-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	if err := build(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1, nil
	}
	inside := exec.Command(os.Args[0], os.Args[1:]...)
	inside.Env = append(os.Environ(), environmentDir+"="+dir)
	inside.Stdin, inside.Stdout, inside.Stderr = os.Stdin, os.Stdout, os.Stderr
	inside.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID,
		Pdeathsig:  syscall.SIGKILL,
	}
	if uid := os.Getuid(); uid != 0 {
		inside.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		inside.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: uid, Size: 1}}
		inside.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	runtime.LockOSThread() // Pdeathsig is sent when the parent's thread ends, not its process: prctl(2)
	if err := inside.Start(); err != nil {
		return 0, err
	}
	if err := inside.Wait(); err != nil {
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			return max(exit.ExitCode(), 1), nil
		}
		return 1, err
	}
	return 0, nil
}

// build compiles netwatchd out here, where the module proxy can be reached. Without cgo, as it is shipped: the C library
// would ask the services of the machine outside (nss-resolve) through their sockets.
func build(dir string) error {
	cmd := exec.Command("go", "build", "-o", filepath.Join(dir, "netwatchd"), "netwatchd/cmd/netwatchd")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building netwatchd: %w\n%s", err, out)
	}
	return nil
}

// furnish makes the empty namespaces a host on a network.
func furnish(dir string) error {
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("making mounts private: %w", err)
	}
	if err := syscall.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return fmt.Errorf("mounting /proc: %w", err)
	}
	resolvConf := filepath.Join(dir, "resolv.conf")
	if err := os.WriteFile(resolvConf, []byte("nameserver "+SystemResolver+"\n"), 0o644); err != nil {
		return err
	}
	if err := syscall.Mount(resolvConf, "/etc/resolv.conf", "", syscall.MS_BIND, ""); err != nil {
		return fmt.Errorf("replacing /etc/resolv.conf: %w", err)
	}
	far = exec.Command("sleep", "infinity")
	far.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if err := far.Start(); err != nil {
		return fmt.Errorf("making a second network: %w", err)
	}
	return link()
}

// link joins the two networks.
func link() error {
	here := []string{
		"link set lo up",
		fmt.Sprintf("link add %s type veth peer name %s netns %d", hostInterface, farInterface, far.Process.Pid),
	}
	here = append(here, hostSide...)
	there := []string{
		"link set lo up",
		"addr add " + gateway + "/24 dev " + farInterface,
		"addr add 2001:db8::1/64 dev " + farInterface + " nodad",
		"addr add " + SystemResolver + "/24 dev " + farInterface,
		"addr add " + DirectResolver + "/24 dev " + farInterface,
		"addr add " + ServiceAddress + "/24 dev " + farInterface,
		"addr add " + serviceIPv6 + "/64 dev " + farInterface + " nodad",
		"link set " + farInterface + " up",
	}
	for _, control := range controls {
		there = append(there, "addr add "+control.address+"/24 dev "+farInterface)
	}
	if err := batch(here[:2], "ip"); err != nil {
		return err
	}
	if err := batch(there, beyond("ip")...); err != nil {
		return err
	}
	if err := batch(here[2:], "ip"); err != nil {
		return err
	}
	// A closed port answers six times at once and then once a second (icmp(7)): a lookup after a few others would time
	// out instead of being refused.
	return batch([]string{"0"}, beyond("sh", "-c", "echo $0 >/proc/sys/net/ipv4/icmp_ratelimit")...)
}

// hostSide is the host's end of the link; taking the interface down forgets the routes, and its IPv6 address.
var hostSide = []string{
	"addr replace " + HostAddress + "/24 dev " + hostInterface,
	"link set " + hostInterface + " up",
	"addr replace 2001:db8::2/64 dev " + hostInterface + " nodad",
	"route replace default via " + gateway,
	"-6 route replace default via 2001:db8::1",
}

// batch gives each line to command as further arguments.
func batch(lines []string, command ...string) error {
	for _, line := range lines {
		args := append(command[1:len(command):len(command)], strings.Fields(line)...)
		if out, err := exec.Command(command[0], args...).CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w: %s", line, err, out)
		}
	}
	return nil
}

// beyond is the command that runs command in the network beyond the link.
func beyond(command ...string) []string {
	return append([]string{"nsenter", "--net=/proc/" + fmt.Sprint(far.Process.Pid) + "/ns/net", "--"}, command...)
}
