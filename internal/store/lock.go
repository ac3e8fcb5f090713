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

// ErrInUse means that another netwatchd writes to the store.
var errInUse = errors.New("another netwatchd is using this store: stop it, or set a different storage.path")

// lockFile is locked by the netwatchd that writes to the store: two would each take the other's incidents for their
// own. It is not the database file, because flock(2) would interfere with SQLite's own locks where both are the same,
// as on NFS.
const lockFile = "netwatchd.lock"

// lock locks dir until the returned file is closed or the process ends. On a file system without locks nothing is
// locked.
func lock(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("store: %w; set storage.path to a directory that this user can write to", err)
	}
	if errors.Is(syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB), syscall.EWOULDBLOCK) {
		defer f.Close()
		return nil, fmt.Errorf("store: %s: %w%s", dir, errInUse, owner(f))
	}
	if err := f.Truncate(0); err == nil {
		_, _ = fmt.Fprintln(f, os.Getpid()) // for the other process's error message; a full disk has no room for it
	}
	return f, nil
}

// owner returns the owner of the lock as the end of a sentence, or nothing if it is unknown.
func owner(f io.Reader) string {
	text, _ := io.ReadAll(io.LimitReader(f, 20)) // a PID is shorter
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return ""
	}
	return fmt.Sprintf(" (process %d)", pid)
}
