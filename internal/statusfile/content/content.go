// Package content reads the text of a status file, if it is the daemon's, and finds the newest of several.
package content

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// SizeLimit limits what Read reads. Ten thousand services take about 4 MB; a larger file is not a status file.
const SizeLimit = 32 << 20

// Read returns the text of the status file at path. The error is [fs.ErrNotExist] if no daemon runs.
func Read(path string) ([]byte, error) {
	// Without O_NONBLOCK, opening a FIFO would wait forever for its other end.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if err := checkOwner(f, path); err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(f, SizeLimit+1))
	if err != nil {
		return nil, err
	}
	if len(text) > SizeLimit {
		return nil, fmt.Errorf("%s is larger than %d MB: it is not a netwatchd status file", path, SizeLimit>>20)
	}
	return text, nil
}

// FutureLimit is how far in the future a status may be: time synchronization steps the clock by less. After a larger
// step, a running daemon soon writes a new one.
const FutureLimit = time.Minute

// Latest returns the newest status among the files at paths, which read returns with its age: a system daemon and a
// user's daemon use different paths. If no file can be read, it prefers an error other than [fs.ErrNotExist].
func Latest[S any](
	paths []string, read func(path string) (s S, age time.Duration, err error),
) (latest S, age time.Duration, err error) {
	found := false
	for _, path := range paths {
		s, fileAge, readErr := read(path)
		switch {
		case readErr == nil && (!found || fileAge < age):
			latest, age, found = s, fileAge, true
		case readErr != nil && (err == nil || errors.Is(err, fs.ErrNotExist) && !errors.Is(readErr, fs.ErrNotExist)):
			err = readErr
		}
	}
	switch {
	case found:
		return latest, age, nil
	case err == nil:
		return latest, 0, fs.ErrNotExist
	}
	return latest, 0, err
}

// checkOwner refuses what is not a file, and a file that another user may have planted: it must belong to root, to this
// user, or to the owner of its directory if only the owner can create files there. Inside a user namespace, the
// daemon's user and its directory's owner may both appear as nobody.
func checkOwner(f *os.File, path string) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is not a regular file", path)
	}
	owner := info.Sys().(*syscall.Stat_t).Uid
	if owner == 0 || owner == uint32(os.Geteuid()) {
		return nil
	}
	dir, err := os.Stat(filepath.Dir(path))
	if err != nil {
		return err
	}
	const writableByOthers = 0o022
	if dir.Sys().(*syscall.Stat_t).Uid != owner || dir.Mode().Perm()&writableByOthers != 0 {
		return fmt.Errorf("%s belongs to user %d, who may not be the daemon's: set status_file to a path in a directory "+
			"that only the daemon's user can write to", path, owner)
	}
	return nil
}
