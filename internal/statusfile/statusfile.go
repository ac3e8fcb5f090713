// Package statusfile keeps the latest status in a file that every process on this host can read.
//
// A process inside an agent's sandbox cannot open a socket, but it can read files: it gets the daemon's status from
// this one.
package statusfile

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"netwatchd/internal/statusfile/content"
	"netwatchd/internal/watch"
)

// Write replaces the file at path atomically: a reader sees either the whole old status or the whole new one.
// Everyone can read the file, whatever the umask. Write creates a missing directory: /run is empty after a boot, and
// only a systemd unit creates the directory in advance.
//
// The new content is written to path + ".new" first. The name never changes, so a crash leaves at most one such file
// and the next Write replaces it. There may be only one writer at a time.
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
	// No fsync: a status is useless after a reboot, and /run is in memory.
	if err := os.Rename(next, path); err != nil {
		os.Remove(next)
		return fmt.Errorf("status file: %w%s", err, hint(err))
	}
	return nil
}

// makeDirectory creates a directory that everyone can enter, whatever the umask.
func makeDirectory(path string) error {
	if err := os.MkdirAll(path, 0o755); err != nil {
		return err
	}
	return os.Chmod(path, 0o755)
}

// create creates a new file. It removes an old file or a link planted there instead of writing through it.
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
		return ": the directory is missing and cannot be created: create it, or set status_file to another path"
	case errors.Is(err, fs.ErrPermission):
		return ": give the daemon's user write permission, or set status_file to another path"
	}
	return ""
}

// Read returns the status at path and its age. The error is [fs.ErrNotExist] if no daemon runs.
func Read(path string) (*watch.Status, time.Duration, error) {
	text, err := content.Read(path)
	if err != nil {
		return nil, 0, fmt.Errorf("status file: %w", err)
	}
	var s watch.Status
	if err := json.Unmarshal(text, &s); err != nil {
		return nil, 0, fmt.Errorf("status file: %s: %w; it may be from another version of netwatchd", path, err)
	}
	if s.At.IsZero() {
		return nil, 0, fmt.Errorf("status file: %s holds no status: the time is missing", path)
	}
	age := time.Since(s.At)
	if age < -content.FutureLimit {
		return nil, 0, fmt.Errorf("status file: %s is of %s, which is in the future: if this host's clock was set back, "+
			"a running daemon replaces the file within %v", path, s.At.Format(time.RFC3339), maxInterval)
	}
	return &s, max(age, 0), nil
}

// Latest returns the newest status among the files at paths: a system daemon and a user's daemon use different paths.
// If no file can be read, it prefers an error other than "no such file".
func Latest(paths ...string) (latest *watch.Status, age time.Duration, err error) {
	return content.Latest(paths, Read)
}
