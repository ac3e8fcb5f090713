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
		return nil, fmt.Errorf("permission denied: make it readable for uid %d", os.Geteuid())
	case err != nil:
		return nil, fmt.Errorf("%w: check the path", errors.Unwrap(err))
	}
	defer f.Close()
	info, err := f.Stat()
	if err == nil && info.IsDir() {
		return nil, errors.New("is a directory: use a file")
	}
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("read failed: %w: check the path", err)
	case int64(len(b)) > limit:
		return nil, fmt.Errorf("is larger than %d KiB: check that it is the right file", limit>>10)
	}
	return b, nil
}
