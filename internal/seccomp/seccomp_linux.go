// Package seccomp closes a process to the network as agents' sandboxes do: seccomp(2).
package seccomp

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Exec replaces this process by a command for which socket(2) fails with errno for every family but AF_UNIX. It returns
// only on failure.
func Exec(errno unix.Errno, command []string) error {
	path, err := exec.LookPath(command[0])
	if err != nil {
		return err
	}
	runtime.LockOSThread() // a filter applies to a thread and to what it executes
	if err := denySockets(errno); err != nil {
		return fmt.Errorf("this kernel has no seccomp filter: %w", err)
	}
	return unix.Exec(path, command, os.Environ())
}

func denySockets(errno unix.Errno) error {
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
		{Code: ret, K: unix.SECCOMP_RET_ERRNO | uint32(errno)},
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
