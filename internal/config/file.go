package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// readBounded reads a file of at most limit bytes.
func readBounded(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, errors.New("no such file: check the path")
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("permission denied: let user %d read it", os.Geteuid())
	case err != nil:
		return nil, fmt.Errorf("%w: check the path", errors.Unwrap(err))
	}
	defer f.Close()
	info, err := f.Stat()
	if err == nil && info.IsDir() {
		return nil, errors.New("is a directory: name a file in it")
	}
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("reading failed: %w: check the path", err)
	case int64(len(b)) > limit:
		return nil, fmt.Errorf("is larger than %d KiB: this is another file, or it must be split between hosts", limit>>10)
	}
	return b, nil
}
