// Package userfile reads and replaces files that belong to a user. It never blocks or panics, and its errors quote no
// content.
package userfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"golang.org/x/sys/unix"
)

// fileLimit is more than anyone writes into a configuration file by hand.
const fileLimit = 1 << 20

// A NotRegularError says what is in the place of a regular file.
type NotRegularError struct{ Mode fs.FileMode }

func (e *NotRegularError) Error() string { return "is " + Kind(e.Mode) + ", not a regular file" }

var (
	// ErrTooLarge means that a file is larger than the reader's limit.
	ErrTooLarge   = errors.New("is too large")
	errUnreadable = errors.New("cannot be read")
)

// Open opens a regular file. It never blocks: opening a named pipe would otherwise wait for a writer for ever. Its
// errors are those of [os.Open], or a [*NotRegularError].
func Open(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	switch {
	case err != nil:
		err = errUnreadable
	case !info.Mode().IsRegular():
		err = &NotRegularError{info.Mode()}
	default:
		return f, nil
	}
	f.Close()
	return nil, err
}

// ReadUpTo reads a regular file of at most limit bytes. Its errors are those of [Open], and [ErrTooLarge].
func ReadUpTo(path string, limit int64) ([]byte, error) {
	f, err := Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, limit+1))
	switch {
	case err != nil:
		return nil, errUnreadable
	case int64(len(text)) > limit:
		return nil, ErrTooLarge
	}
	return text, nil
}

// Read reads a file of a megabyte at most, without blocking. Its errors name the problem without the path and without
// any content.
func Read(path string) ([]byte, error) {
	text, err := ReadUpTo(path, fileLimit)
	if err != nil {
		return nil, describe(path, err)
	}
	return text, nil
}

func describe(path string, err error) error {
	_, isOther := errors.AsType[*NotRegularError](err)
	switch {
	case isOther, errors.Is(err, errUnreadable):
		return err
	case errors.Is(err, ErrTooLarge):
		return fmt.Errorf("is larger than %d KiB", fileLimit>>10)
	case errors.Is(err, fs.ErrNotExist):
		return fs.ErrNotExist
	case errors.Is(err, unix.ENXIO): // a socket
		return errors.New("is a socket, not a regular file")
	case !errors.Is(err, fs.ErrPermission):
		return errors.New("cannot be opened")
	}
	var stat unix.Stat_t
	if unix.Stat(path, &stat) == nil && int(stat.Uid) != os.Geteuid() {
		return fmt.Errorf("belongs to uid %d, and uid %d may not read it", stat.Uid, os.Geteuid())
	}
	return fmt.Errorf("is not readable for uid %d", os.Geteuid())
}

// Kind names a kind of file that is not a regular one.
func Kind(mode fs.FileMode) string {
	switch {
	case mode.IsDir():
		return "a directory"
	case mode&fs.ModeNamedPipe != 0:
		return "a named pipe"
	case mode&fs.ModeSocket != 0:
		return "a socket"
	}
	return "a device"
}

// ReadTOML reads a TOML file of the user's. Its errors name the problem without the path and without any content; one
// for a file that does not exist is [fs.ErrNotExist].
func ReadTOML(path string) (map[string]any, error) {
	text, err := Read(path)
	if err != nil {
		return nil, err
	}
	keys := make(map[string]any)
	if err := decodeTOML(text, &keys); err != nil {
		return nil, err
	}
	return keys, nil
}

// Notes are what to tell the user about an error of this package. A missing file is no error.
func Notes(path string, err error) []string {
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return []string{fmt.Sprintf("%s %v", Short(path), err)}
}

// decodeTOML decodes text into v. The file is the user's: a bug of the decoder must not end the daemon (version 2.2.4
// panicked at a table named like a key that is not in v).
func decodeTOML(text []byte, v any) (err error) {
	defer func() {
		if recover() != nil {
			err = errors.New("cannot be decoded as TOML")
		}
	}()
	err = toml.Unmarshal(text, v)
	if decode, ok := errors.AsType[*toml.DecodeError](err); ok {
		line, column := decode.Position()
		return fmt.Errorf("is not valid TOML at line %d, column %d", line, column) // the error quotes what stands there
	} else if err != nil {
		return errors.New("is not valid TOML")
	}
	return nil
}

// ReadDotenv reads an .env file as codex does: name=value lines, an optional `export`, quotes, comments. Names that
// begin with CODEX_ are left out, because codex does not take them from there (measured with 0.104.0: it ignores
// CODEX_API_KEY).
func ReadDotenv(path string) (entries []string, err error) {
	text, err := Read(path)
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(bytes.TrimPrefix(text, []byte("\ufeff")))) {
		line = strings.TrimSpace(line)
		line = strings.TrimSpace(strings.TrimPrefix(line, "export "))
		name, value, ok := strings.Cut(line, "=")
		name = strings.TrimSpace(name)
		if !ok || name == "" || strings.HasPrefix(name, "#") || strings.HasPrefix(strings.ToUpper(name), "CODEX_") ||
			strings.ContainsAny(name, " \t\x00") || strings.ContainsRune(value, 0) {
			continue
		}
		entries = append(entries, name+"="+dotenvValue(strings.TrimSpace(value)))
	}
	return entries, nil
}

func dotenvValue(value string) string {
	if value == "" {
		return ""
	}
	if quote := value[0]; quote == '"' || quote == '\'' {
		if end := strings.IndexByte(value[1:], quote); end >= 0 {
			return value[1 : 1+end]
		}
	}
	if at := strings.Index(value, " #"); at >= 0 {
		value = strings.TrimSpace(value[:at])
	}
	return value
}

// Short returns path with the home directory abbreviated, as people write it.
func Short(path string) string {
	home, err := os.UserHomeDir()
	if err != nil || home == "/" || home == "" {
		return path
	}
	if rest, ok := strings.CutPrefix(path, filepath.Clean(home)+"/"); ok {
		return "~/" + rest
	}
	return path
}
