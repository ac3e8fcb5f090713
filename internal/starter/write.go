package starter

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Write writes text to a file. A file that exists is an error unless force is set.
func Write(path, text string, force bool) error {
	write := createFile
	if force {
		write = replaceFile
	}
	err := write(path, text)
	switch dir := filepath.Dir(path); {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrExist) && !force:
		return fmt.Errorf("%s exists: choose another --output, or replace it with --force", path)
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s cannot be written: there is no directory %s: create it first", path, dir)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%s cannot be written: this user has no permission to write to %s", path, dir)
	}
	return fmt.Errorf("writing %s: %w", path, err)
}

// createFile writes a file that did not exist. It has no secrets, and everyone may check it.
func createFile(path, text string) error {
	//nolint:gosec // it has no secrets, and the daemon may run as another user
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	if err = errors.Join(err, f.Close()); err != nil {
		_ = os.Remove(path)
	}
	return err
}

// replaceFile puts a new file in the place of the one at path, which stays if that fails, and is never opened: it may
// be a named pipe.
func replaceFile(path, text string) error {
	dir, err := os.MkdirTemp(filepath.Dir(path), ".netwatchd-init-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	next := filepath.Join(dir, filepath.Base(path))
	if err := createFile(next, text); err != nil {
		return err
	}
	return os.Rename(next, path)
}
