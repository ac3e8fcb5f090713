package sessions

import (
	"bytes"
	"errors"
	"io"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"netwatchd/internal/panics"
)

const (
	// lineLimit is the longest line that is read; longer ones are passed over. A line that decides has under 1 KB, the
	// output of a command up to 40 KB (codex cuts it), the first line of codex 27 KB.
	lineLimit = 256 << 10

	// tailLength is how much of a file is read that was there before: enough for the policy of the turn that is running.
	tailLength = 256 << 10

	// headLength is how much of its begin is read then: codex's first line begins with its version.
	headLength = 64 << 10

	// readLimit bounds what one scan reads of one file. An agent writes kilobytes a second. What grows faster than this
	// is no session, and only its end is read.
	readLimit = 4 << 20

	// freshFor is how old an event may be in what is there when a file is found. That takes half a minute at most, see
	// sweepEvery, and more while the host is busy. Older ones are history, as are those from before the start.
	freshFor = 2 * time.Minute
)

// A fileID names a file whatever its path.
type fileID struct{ device, inode uint64 }

// A file is one session file that is followed. No descriptor is held between scans.
type file struct {
	path    string
	kind    *tree
	home    Home
	id      fileID
	size    int64 // at the last scan
	offset  int64 // of the first line that is not read
	skips   bool  // offset is inside a line that is passed over
	changed time.Time
	parser  parser
}

var (
	errNotOurs = errors.New("belongs to another user")
	errNoFile  = errors.New("is not a regular file")
)

// open opens a session file: never through a link, never a pipe or device, and only one of this user.
func open(path string) (*os.File, os.FileInfo, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, nil, err
	}
	info, err := f.Stat()
	if err == nil {
		err = isOurs(info)
	}
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	return f, info, nil
}

func isOurs(info os.FileInfo) error {
	switch {
	case !info.Mode().IsRegular():
		return errNoFile
	case ownerOf(info) != os.Geteuid():
		return errNotOurs
	}
	return nil
}

func ownerOf(info os.FileInfo) int {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(s.Uid)
	}
	return -1
}

func idOf(info os.FileInfo) fileID {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return fileID{s.Dev, s.Ino}
	}
	return fileID{}
}

// read reads what was appended since the last call, in buffer, and passes its events on. The first call, and one after
// the file was replaced or truncated, reads its end only, and passes on the events after since only.
func (f *file) read(buffer []byte, now, since time.Time, handle func(Event)) error {
	opened, info, err := open(f.path)
	if err != nil {
		return err
	}
	defer opened.Close()
	size := info.Size()
	if id := idOf(info); f.parser == nil || id != f.id || size < f.offset {
		f.id, f.parser, f.offset, f.skips = id, f.kind.made(), 0, false
		all := handle
		handle = func(e Event) {
			if !e.At.Before(since) {
				all(e)
			}
		}
		if size > tailLength {
			if f.kind.head {
				f.readHead(opened, buffer)
			}
			f.offset, f.skips = size-tailLength, true
		}
	}
	if size-f.offset > readLimit {
		f.offset, f.skips = size-tailLength, true
	}
	f.size = size
	return f.readLines(opened, buffer, size, now, handle)
}

// readHead lets the parser see the first lines. They are history.
func (f *file) readHead(opened *os.File, buffer []byte) {
	n, _ := opened.ReadAt(buffer[:min(headLength, len(buffer))], 0)
	for line := range bytes.Lines(buffer[:n]) {
		if whole, ok := bytes.CutSuffix(line, newline); ok {
			f.parse(whole)
		}
	}
}

var newline = []byte("\n")

// readLines reads the lines up to size. One that is not complete is read again when the file has grown.
func (f *file) readLines(opened *os.File, buffer []byte, size int64, now time.Time, handle func(Event)) error {
	for f.offset < size {
		n, err := opened.ReadAt(buffer[:min(int64(len(buffer)), size-f.offset)], f.offset)
		if n == 0 && err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		text := buffer[:n]
		end := bytes.LastIndexByte(text, '\n')
		if end < 0 && n < len(buffer) {
			if f.skips {
				f.offset += int64(n)
			}
			return nil
		}
		if end < 0 { // a line that is longer than the buffer
			f.offset, f.skips = f.offset+int64(n), true
			continue
		}
		f.offset += int64(end) + 1
		for line := range bytes.Lines(text[:end+1]) {
			if f.skips {
				f.skips = false
				continue
			}
			f.handle(bytes.TrimSuffix(line, newline), now, handle)
		}
	}
	return nil
}

// handle passes on what a line shows. A time in the future, or none, is that of now.
func (f *file) handle(line []byte, now time.Time, handle func(Event)) {
	e, ok := f.parse(line)
	if !ok {
		return
	}
	if e.At.IsZero() || e.At.After(now) {
		e.At = now
	}
	handle(e)
}

func (f *file) parse(line []byte) (e Event, ok bool) {
	err := panics.Run(panics.Sessions, func() error {
		e, ok = f.parser.parse(line)
		return nil
	})
	return e, ok && err == nil
}
