package userfile

import (
	"errors"
	"os"
	"path/filepath"
)

// Replace puts a file that this user alone can read in the place of the one at path, and makes its directory. A process
// that reads it sees the old text or the new one, never a part, and after a power cut it has one of them.
func Replace(path string, text []byte) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	next, err := os.CreateTemp(dir, filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(next.Name()) // fails once it is renamed
	_, err = next.Write(text)
	if err = errors.Join(err, next.Sync(), next.Close()); err != nil {
		return err
	}
	return os.Rename(next.Name(), path)
}
