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

// A Keeper keeps the file at Path up to date. It is an observer of the watcher.
type Keeper struct {
	watch.NopObserver // what an attempt means is judged first

	Path   string
	Source Source
	Log    *slog.Logger

	dirty chan struct{}
	fault string // the failure last logged; empty: none
}

// NewKeeper returns a keeper of the file at path; Run starts it.
func NewKeeper(path string, source Source, log *slog.Logger) *Keeper {
	return &Keeper{Path: path, Source: source, Log: log, dirty: make(chan struct{}, 1)}
}

// Judged marks the file as out of date.
func (k *Keeper) Judged(watch.ServiceStatus, diagnose.Cause) { k.mark() }

// Resumed marks the file as out of date.
func (k *Keeper) Resumed(time.Duration, int) { k.mark() }

func (k *Keeper) mark() {
	select {
	case k.dirty <- struct{}{}:
	default: // marked already
	}
}

// Run writes the file until ctx ends, then removes it: a daemon that has stopped must not look alive. Without a Path it
// does nothing: nobody wants the file.
func (k *Keeper) Run(ctx context.Context) {
	if k.Path == "" {
		return
	}
	defer k.remove()
	idle := time.NewTicker(atLeast)
	defer idle.Stop()
	for {
		begun := time.Now()
		k.write(ctx)
		if !sleep(ctx, max(atMost, share*time.Since(begun))) {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-k.dirty:
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

func (k *Keeper) write(ctx context.Context) {
	answer, cancel := context.WithTimeout(ctx, statusWait)
	defer cancel()
	status, err := k.Source.Status(answer)
	if ctx.Err() != nil {
		return // we are stopping
	}
	if err == nil {
		err = Write(k.Path, status)
	}
	k.report(err)
}

// report logs what changed: a disk that stays full is one line, not four a second.
func (k *Keeper) report(err error) {
	switch {
	case err == nil && k.fault != "":
		k.Log.Info("the status file is written again", "path", k.Path)
		k.fault = ""
	case err != nil && err.Error() != k.fault:
		k.fault = err.Error()
		k.Log.Warn("the status file cannot be written", "path", k.Path, "error", err)
	}
}

func (k *Keeper) remove() {
	if err := os.Remove(k.Path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		k.Log.Warn("the status file cannot be removed, and will look alive for a minute", "path", k.Path, "error", err)
	}
}
