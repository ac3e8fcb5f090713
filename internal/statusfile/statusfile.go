// Package statusfile keeps the latest status in a file that anyone on this host may read.
//
// A process inside an agent's sandbox can open no socket, but it can read files: this one is how it asks the daemon.
package statusfile

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"netwatchd/internal/watch"
)

// sizeLimit bounds what Read takes in. Ten thousand services take about 4 MB; beyond this it is not our file.
const sizeLimit = 32 << 20

// Write replaces the file at path with s, at once: a reader sees either the old status or the new one, whole. Everyone may
// read it, whatever the umask. A directory that is not there is made: /run is empty after a boot, and only a unit has it
// made beforehand.
//
// The new content goes to path + ".new" first, always by that name, so that a crash leaves no more than one such file and
// the next Write takes it over. There may be one writer at a time.
func Write(path string, s *watch.Status) error {
	content, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("status file: %w", err)
	}
	next := path + ".new"
	err = create(next, append(content, '\n'))
	if errors.Is(err, fs.ErrNotExist) && makeDirectory(filepath.Dir(path)) == nil {
		err = create(next, append(content, '\n'))
	}
	if err != nil {
		os.Remove(next)
		return fmt.Errorf("status file: %w%s", err, hint(err))
	}
	// No fsync: what a status says is of no use after a reboot, and /run is memory.
	if err := os.Rename(next, path); err != nil {
		os.Remove(next)
		return fmt.Errorf("status file: %w%s", err, hint(err))
	}
	return nil
}

// makeDirectory makes one that everyone may enter, whatever the umask: the status is for all.
func makeDirectory(path string) error {
	if err := os.MkdirAll(path, 0o755); err != nil {
		return err
	}
	return os.Chmod(path, 0o755)
}

// create makes the file anew: one left behind, or planted there as a link, is removed rather than written through.
func create(path string, content []byte) (err error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := f.Chmod(0o644); err != nil { // units run with UMask=0077
		return err
	}
	_, err = f.Write(content)
	return err
}

func hint(err error) string {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "; a directory on the way is missing and cannot be made: make it, or set status_file to another path"
	case errors.Is(err, fs.ErrPermission):
		return "; let the daemon's user write there, or set status_file to another path"
	}
	return ""
}

// Read returns the status at path, and how long ago it held. An error that is [fs.ErrNotExist] says that no daemon runs.
func Read(path string) (*watch.Status, time.Duration, error) {
	// Without O_NONBLOCK opening a FIFO that someone put there would wait for its other end for ever.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, 0, fmt.Errorf("status file: %w", err)
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && !info.Mode().IsRegular() {
		return nil, 0, fmt.Errorf("status file: %s is not a regular file", path)
	}
	content, err := io.ReadAll(io.LimitReader(f, sizeLimit+1))
	if err != nil {
		return nil, 0, fmt.Errorf("status file: %w", err)
	}
	if len(content) > sizeLimit {
		return nil, 0, fmt.Errorf("status file: %s is over %d MB: it is none of ours", path, sizeLimit>>20)
	}
	var s watch.Status
	if err := json.Unmarshal(content, &s); err != nil {
		return nil, 0, fmt.Errorf("status file: %s: %w; was it written by another version of netwatchd?", path, err)
	}
	if s.At.IsZero() {
		return nil, 0, fmt.Errorf("status file: %s holds no status: it has no time", path)
	}
	// A clock set back makes a fresh file look as if it came from the future.
	return &s, max(time.Since(s.At), 0), nil
}

// Latest returns the youngest status among those at paths, as Read does: a daemon of the system and one of the user keep
// theirs in different places. If there is none it returns the most telling error: one beside "no such file", if any.
func Latest(paths ...string) (latest *watch.Status, age time.Duration, err error) {
	for _, path := range paths {
		s, old, failed := Read(path)
		switch {
		case failed == nil && (latest == nil || old < age):
			latest, age = s, old
		case failed != nil && (err == nil || errors.Is(err, fs.ErrNotExist) && !errors.Is(failed, fs.ErrNotExist)):
			err = failed
		}
	}
	if latest != nil {
		return latest, age, nil
	}
	return nil, 0, err
}
