package demo

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// closedFile is in the demo's directory while its sandbox has no network.
const closedFile = "sandbox.closed"

// ExecSandboxed replaces this process by command. If the file closed exists, the command runs without network access,
// under a seccomp filter as agents' sandboxes have it. ExecSandboxed returns only on failure.
func ExecSandboxed(closed string, command []string) error {
	path, err := exec.LookPath(command[0])
	if err != nil {
		return err
	}
	switch _, err := os.Stat(closed); {
	case err == nil:
		runtime.LockOSThread() // a filter applies to a thread and to what it executes
		if err := denySockets(); err != nil {
			return fmt.Errorf("this kernel has no seccomp filter: %w", err)
		}
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	return unix.Exec(path, command, os.Environ())
}

// denySockets makes socket(2) fail with EPERM for every family but AF_UNIX, as codex's sandbox does.
func denySockets() error {
	const (
		load  = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
		equal = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
		ret   = unix.BPF_RET | unix.BPF_K
	)
	program := []unix.SockFilter{ // over struct seccomp_data: the number at 0, the low half of the first argument at 16
		{Code: load, K: 0},
		{Code: equal, K: unix.SYS_SOCKET, Jt: 0, Jf: 3},
		{Code: load, K: 16},
		{Code: equal, K: unix.AF_UNIX, Jt: 1, Jf: 0},
		{Code: ret, K: unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)},
		{Code: ret, K: unix.SECCOMP_RET_ALLOW},
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	filter := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	pointer := uintptr(unsafe.Pointer(&filter)) //nolint:gosec // prctl(2) takes a pointer as a number
	err := unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, pointer, 0, 0)
	runtime.KeepAlive(&filter)
	return err
}
