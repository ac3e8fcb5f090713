package statusfile

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"time"

	"netwatchd/internal/causes"
	"netwatchd/internal/watch"
)

const (
	// minInterval limits how often the file is written while much changes. A person does not notice more than four
	// writes a second, and the limit spares a host on which everything fails at once.
	minInterval = 250 * time.Millisecond

	// maxInterval is how often the file is written when nothing changes. Its age then shows that the daemon is alive:
	// readers give up after a minute, which is four intervals.
	maxInterval = 15 * time.Second

	// maxShare keeps writing below one twentieth of the time: the status of ten thousand services takes megabytes.
	maxShare = 20

	// statusTimeout limits how long a write waits for the watcher, which answers within microseconds unless it hangs.
	statusTimeout = time.Second
)

// A Source returns the current status.
type Source interface {
	Status(context.Context) (*watch.Status, error)
}

// A Writer keeps the status file up to date. It observes the watcher.
type Writer struct {
	watch.NopObserver // attempts do not matter before they are judged

	path   string
	source Source
	log    *slog.Logger

	dirty chan struct{}
	fault string // the error last logged; empty: none
}

// NewWriter returns a Writer for the file at path. Run starts it. With an empty path it does nothing.
func NewWriter(path string, source Source, log *slog.Logger) *Writer {
	return &Writer{path: path, source: source, log: log, dirty: make(chan struct{}, 1)}
}

// Judged marks the file as out of date.
func (w *Writer) Judged(watch.ServiceStatus, causes.Cause) { w.mark() }

// Resumed marks the file as out of date.
func (w *Writer) Resumed(time.Duration, int) { w.mark() }

func (w *Writer) mark() {
	select {
	case w.dirty <- struct{}{}:
	default: // already marked
	}
}

// Run writes the file until ctx ends, then removes it: a stopped daemon must not look alive.
func (w *Writer) Run(ctx context.Context) {
	if w.path == "" {
		return
	}
	defer w.remove()
	idle := time.NewTicker(maxInterval)
	defer idle.Stop()
	for {
		start := time.Now()
		w.write(ctx)
		if !sleep(ctx, max(minInterval, maxShare*time.Since(start))) {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-w.dirty:
		case <-idle.C:
		}
	}
}

// sleep waits for d. It reports false if ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

func (w *Writer) write(ctx context.Context) {
	statusCtx, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	status, err := w.source.Status(statusCtx)
	if ctx.Err() != nil {
		return // shutting down
	}
	if err == nil {
		err = Write(w.path, status)
	}
	w.report(err)
}

// report logs changes only: a disk that stays full gives one line, not four a second.
func (w *Writer) report(err error) {
	switch {
	case err == nil && w.fault != "":
		w.log.Info("the status file is written again", "path", w.path)
		w.fault = ""
	case err != nil && err.Error() != w.fault:
		w.fault = err.Error()
		w.log.Warn("the status file cannot be written", "path", w.path, "error", err)
	}
}

func (w *Writer) remove() {
	if err := os.Remove(w.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		w.log.Warn("the status file cannot be removed; readers take the daemon for running for another minute",
			"path", w.path, "error", err)
	}
}
