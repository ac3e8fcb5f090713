package host

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// filters stand in for sandboxes: socket(2) fails with errno for every family but AF_UNIX, or only for AF_UNIX.
var filters = map[string]struct {
	errno    unix.Errno
	onlyUnix bool
}{
	"eperm":        {unix.EPERM, false},
	"eacces":       {unix.EACCES, false},
	"eafnosupport": {unix.EAFNOSUPPORT, false},
	"eperm unix":   {unix.EPERM, true},
}

// reexecFiltered executes this binary again under a seccomp filter. It returns only on failure.
func reexecFiltered(name string) error {
	f, ok := filters[name]
	if !ok {
		return fmt.Errorf("no filter %q", name)
	}
	runtime.LockOSThread() // a filter applies to a thread and to what it executes
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	program := socketFilter(f.errno, f.onlyUnix)
	filter := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	if err := unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&filter)), 0, 0); err != nil {
		return err
	}
	env := os.Environ()
	for i, v := range env {
		if strings.HasPrefix(v, filterEnv+"=") {
			env[i] = filterEnv + "="
		}
	}
	path, err := os.Executable()
	if err != nil {
		return err
	}
	return unix.Exec(path, os.Args, env)
}

// socketFilter is a BPF program over struct seccomp_data: the syscall number is at 0, the low half of its first
// argument at 16.
func socketFilter(errno unix.Errno, onlyUnix bool) []unix.SockFilter {
	const (
		load  = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
		equal = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
		ret   = unix.BPF_RET | unix.BPF_K
	)
	ifUnix, ifOther := uint8(1), uint8(0) // how many instructions to skip
	if onlyUnix {
		ifUnix, ifOther = 0, 1
	}
	return []unix.SockFilter{
		{Code: load, K: 0},
		{Code: equal, K: unix.SYS_SOCKET, Jt: 0, Jf: 3},
		{Code: load, K: 16},
		{Code: equal, K: unix.AF_UNIX, Jt: ifUnix, Jf: ifOther},
		{Code: ret, K: unix.SECCOMP_RET_ERRNO | uint32(errno)},
		{Code: ret, K: unix.SECCOMP_RET_ALLOW},
	}
}
