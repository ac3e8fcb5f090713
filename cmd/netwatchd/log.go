package main

import (
	"context"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/lmittmann/tint"
	"github.com/mattn/go-isatty"

	"netwatchd/internal/config"
	"netwatchd/internal/diagnose"
	"netwatchd/internal/ledger"
	"netwatchd/internal/probe"
	"netwatchd/internal/watch"
)

// newLogger writes for people on a terminal and JSON everywhere else.
func newLogger(c config.Log, w io.Writer) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(c.Level)) // checked with the configuration
	if c.Format == "text" || c.Format == "auto" && isTerminal(w) {
		return slog.New(tint.NewTextHandler(w, &tint.Options{Level: level, TimeFormat: time.TimeOnly, NoColor: !isTerminal(w)}))
	}
	return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level}))
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && isatty.IsTerminal(f.Fd())
}

// diary logs what changed: a healthy day is a quiet log.
type diary struct {
	watch.NopObserver
	log     *slog.Logger
	failing map[ledger.Key]probe.Class // those whose latest attempt failed
}

func newDiary(log *slog.Logger) *diary {
	return &diary{log: log, failing: make(map[ledger.Key]probe.Class)}
}

// Attempted logs a probe whose class changed, for those who ask for details: the verdict is what matters.
func (d *diary) Attempted(r probe.Result, _ time.Duration) {
	key := ledger.KeyOf(r.Spec)
	before, failed := d.failing[key]
	if before == r.Class || !failed && r.OK() {
		return
	}
	if r.OK() {
		delete(d.failing, key)
	} else {
		d.failing[key] = r.Class
	}
	d.log.Debug("probe changed", "service", r.Service, "probe", r.Name, "vantage", r.Vantage, "class", r.Class, "why", r.Why)
}

// Judged logs a verdict that moved, as loudly as it deserves.
func (d *diary) Judged(now watch.ServiceStatus, was diagnose.Cause) {
	if now.Cause == was {
		return
	}
	args := []any{"service", now.Service, "cause", now.Cause, "was", was, "title", now.Title}
	if now.Cause.Fault() {
		args = append(args, "advice", now.Advice)
	}
	if len(now.Evidence) > 0 && !now.Evidence[0].OK() {
		decisive := now.Evidence[0]
		args = append(args, "probe", decisive.Name, "vantage", decisive.Vantage, "class", decisive.Class, "why", decisive.Why)
	}
	d.log.Log(context.Background(), loudness(now.Severity), "verdict", args...)
}

func loudness(s diagnose.Severity) slog.Level {
	switch s {
	case diagnose.Page:
		return slog.LevelError
	case diagnose.Ticket:
		return slog.LevelWarn
	}
	return slog.LevelInfo
}

// Resumed logs that the host was away.
func (d *diary) Resumed(away time.Duration, discarded int) {
	d.log.Info("this host was away", "for", away.Round(time.Second), "discarded_attempts", discarded)
}
