package parts

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"netwatchd/internal/seccomp"
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
	return seccomp.Exec(map[string]unix.Errno{"EPERM": unix.EPERM, "EACCES": unix.EACCES}[errno], command)
}
