package demo

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"

	"golang.org/x/sys/unix"

	"netwatchd/internal/seccomp"
)

// closedFile is in the demo's directory while its sandbox has no network.
const closedFile = "sandbox.closed"

// ExecSandboxed replaces this process by command. If the file closed exists, the command runs without network access,
// under a seccomp filter as codex's sandbox has it. ExecSandboxed returns only on failure.
func ExecSandboxed(closed string, command []string) error {
	_, err := os.Stat(closed)
	if err == nil {
		return seccomp.Exec(unix.EPERM, command)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	path, err := exec.LookPath(command[0])
	if err != nil {
		return err
	}
	return unix.Exec(path, command, os.Environ())
}
