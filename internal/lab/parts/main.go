package parts

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
)

const (
	directory = "NETWATCHD_STACK"  // the directory of the binary; set: this process is inside
	binary    = "NETWATCHD_BINARY" // netwatchd itself, where it cannot be built
)

// unavailable is why this machine has no namespaces; empty: it has.
var unavailable string

// Main is a TestMain. It builds netwatchd, enters new namespaces, sets them up and runs the tests there.
func Main(m *testing.M, furnish func(dir string) error) {
	if len(os.Args) > 3 && os.Args[1] == filtered {
		fmt.Fprintln(os.Stderr, runFiltered(os.Args[2], os.Args[3:]))
		os.Exit(1)
	}
	if dir := Dir(); dir != "" {
		if err := enclose(dir, furnish); err != nil {
			unavailable = "needs root: network namespaces: " + err.Error()
		}
		os.Exit(m.Run())
	}
	code, err := enter()
	if err != nil {
		unavailable = "needs root: network namespaces: " + err.Error()
		code = m.Run()
	}
	os.Exit(code)
}

// Dir is the directory of netwatchd's binary and of temporary files.
func Dir() string { return os.Getenv(directory) }

// Need skips the test if there are no namespaces.
func Need(t testing.TB) {
	t.Helper()
	if unavailable != "" {
		t.Skip(unavailable)
	}
	if Dir() == "" {
		t.Fatal("the package's TestMain must call Main")
	}
}

// enter runs this test binary again, inside, and returns its exit code.
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
	command := append(ahead(), os.Args...)
	inside := exec.Command(command[0], command[1:]...)
	inside.Env = append(os.Environ(), directory+"="+dir)
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

// ahead is the command prefix that raises the network's priority: servers that answer late, because other tests keep
// the machine busy, change the verdict. Only root may do this.
func ahead() []string {
	if os.Getuid() != 0 {
		return nil
	}
	return []string{"nice", "-n", "-10"}
}

// build compiles netwatchd outside of the namespaces, where the module proxy is reachable. Without cgo, as in a
// release: the C library would reach services of the machine outside (nss-resolve) through their sockets.
func build(dir string) error {
	if built := os.Getenv(binary); built != "" {
		return os.Symlink(built, filepath.Join(dir, "netwatchd"))
	}
	// Without the stamp of the repository: git cannot be asked for it while another program changes the repository.
	cmd := exec.Command("go", "build", "-buildvcs=false", "-o", filepath.Join(dir, "netwatchd"), "netwatchd/cmd/netwatchd")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building netwatchd: %w\n%s", err, out)
	}
	return nil
}

// enclose makes later mounts private.
func enclose(dir string, furnish func(string) error) error {
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("making mounts private: %w", err)
	}
	if err := syscall.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return fmt.Errorf("mounting /proc: %w", err)
	}
	return furnish(dir)
}
