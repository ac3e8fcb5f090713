package execprobe

import (
	"bytes"
	"io"
	"sync"
	"time"
)

// lineLimit bounds the line that EndAt gets: an event of an agent is a line with a whole answer of its service in it.
const lineLimit = 1 << 20

// A lineWatch ends a command at a line that it prints.
type lineWatch struct {
	endAt func(line string) (after time.Duration, end bool)
	end   func()

	mu    sync.Mutex // the streams are written by two goroutines
	timer *time.Timer
}

func (w *lineWatch) line(text []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.timer != nil {
		return
	}
	if after, end := w.endAt(string(bytes.TrimSuffix(text, []byte("\r")))); end {
		w.timer = time.AfterFunc(after, w.end)
	}
}

func (w *lineWatch) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.timer != nil {
		w.timer.Stop()
	}
}

// A watchedStream passes on what is written to it, and has each line watched.
type watchedStream struct {
	io.Writer
	watch   *lineWatch
	partial []byte // of a line whose end has not been written
}

func (s *watchedStream) Write(p []byte) (int, error) {
	n, err := s.Writer.Write(p)
	for rest := p; len(rest) > 0; {
		text, after, found := bytes.Cut(rest, []byte("\n"))
		s.partial = append(s.partial, text[:min(len(text), lineLimit-len(s.partial))]...)
		if !found {
			break
		}
		s.watch.line(s.partial)
		s.partial, rest = s.partial[:0], after
	}
	return n, err
}
