package statusfile

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"time"

	"netwatchd/internal/diagnose"
	"netwatchd/internal/watch"
)

const (
	// atMost bounds how often the file is written while much changes: four times a second is as soon as a person notices,
	// and spares a host where everything fails at once.
	atMost = 250 * time.Millisecond

	// atLeast is how often it is written when nothing changes. Its age then tells that the daemon is alive: readers give
	// it up after a minute, four of these.
	atLeast = 15 * time.Second

	// share keeps what writing takes under a twentieth of the time: the status of ten thousand services is megabytes.
	share = 20

	// statusWait bounds how long a write waits for the watcher, which answers within microseconds unless it is stuck.
	statusWait = time.Second
)

// A Source says what is known now.
type Source interface {
	Status(context.Context) (*watch.Status, error)
}

// A Writer keeps the file at Path up to date. It is an observer of the watcher.
type Writer struct {
	watch.NopObserver // what an attempt means is judged first

	path   string
	source Source
	log    *slog.Logger

	dirty chan struct{}
	fault string // the failure last logged; empty: none
}

// NewWriter returns a keeper of the file at path; Run starts it.
func NewWriter(path string, source Source, log *slog.Logger) *Writer {
	return &Writer{path: path, source: source, log: log, dirty: make(chan struct{}, 1)}
}

// Judged marks the file as out of date.
func (w *Writer) Judged(watch.ServiceStatus, diagnose.Cause) { w.mark() }

// Resumed marks the file as out of date.
func (w *Writer) Resumed(time.Duration, int) { w.mark() }

func (w *Writer) mark() {
	select {
	case w.dirty <- struct{}{}:
	default: // marked already
	}
}

// Run writes the file until ctx ends, then removes it: a daemon that has stopped must not look alive. Without a Path it
// does nothing: nobody wants the file.
func (w *Writer) Run(ctx context.Context) {
	if w.path == "" {
		return
	}
	defer w.remove()
	idle := time.NewTicker(atLeast)
	defer idle.Stop()
	for {
		begun := time.Now()
		w.write(ctx)
		if !sleep(ctx, max(atMost, share*time.Since(begun))) {
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

// sleep reports whether ctx lasted.
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
	answer, cancel := context.WithTimeout(ctx, statusWait)
	defer cancel()
	status, err := w.source.Status(answer)
	if ctx.Err() != nil {
		return // we are stopping
	}
	if err == nil {
		err = Write(w.path, status)
	}
	w.report(err)
}

// report logs what changed: a disk that stays full is one line, not four a second.
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
		w.log.Warn("the status file cannot be removed, and will look alive for a minute", "path", w.path, "error", err)
	}
}
