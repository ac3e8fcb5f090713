package parts

import (
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

const filtered = "filtered" // the first argument that makes a test binary the command of Filtered

// Filtered is a command prefix. The command runs under a seccomp filter, like those of agents' sandboxes: socket(2)
// fails with errno for every family but AF_UNIX. It is this test binary, whose TestMain must call [Main].
func Filtered(errno syscall.Errno) []string {
	self, err := os.Executable()
	if err != nil {
		panic(err)
	}
	return []string{self, filtered, unix.ErrnoName(errno)}
}

// runFiltered executes a command under the filter. It returns only on failure.
func runFiltered(errno string, command []string) error {
	runtime.LockOSThread() // a filter holds for a thread and what it executes
	answer := map[string]unix.Errno{"EPERM": unix.EPERM, "EACCES": unix.EACCES}[errno]
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
		{Code: ret, K: unix.SECCOMP_RET_ERRNO | uint32(answer)},
		{Code: ret, K: unix.SECCOMP_RET_ALLOW},
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	filter := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	if err := unix.Prctl(
		unix.PR_SET_SECCOMP,
		unix.SECCOMP_MODE_FILTER,
		uintptr(unsafe.Pointer(&filter)),
		0,
		0,
	); err != nil {
		return err
	}
	path, err := exec.LookPath(command[0])
	if err != nil {
		return err
	}
	return unix.Exec(path, command, os.Environ())
}
