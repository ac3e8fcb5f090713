package store

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// ErrInUse says that another netwatchd writes to the store.
var ErrInUse = errors.New("another netwatchd keeps its history here: stop it, or give this one another storage.path")

// lockFile is locked by the netwatchd that writes to the store: two would each take the other's incidents for their own. It is
// not the database, whose own locks it would touch where flock(2) is made of them, as on NFS.
const lockFile = "netwatchd.lock"

// lock claims dir until the file that is returned is closed, by whoever has it or by the end of the process. Where the
// file system knows no locks nothing is claimed.
func lock(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("store: %w; let storage.path be a directory this user may write", err)
	}
	if errors.Is(syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB), syscall.EWOULDBLOCK) {
		defer f.Close()
		return nil, fmt.Errorf("store: %s: %w%s", dir, ErrInUse, owner(f))
	}
	if err := f.Truncate(0); err == nil {
		_, _ = fmt.Fprintln(f, os.Getpid()) // for the other's message; a full disk has no room for it
	}
	return f, nil
}

// owner says whose the lock is, if it says so.
func owner(f io.Reader) string {
	text, _ := io.ReadAll(io.LimitReader(f, 20)) // no more than a number has
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return ""
	}
	return fmt.Sprintf(" (it is process %d)", pid)
}
