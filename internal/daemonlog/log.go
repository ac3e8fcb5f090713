// Package daemonlog is the log of the daemon: where it goes, and what is worth a line.
package daemonlog

import (
	"context"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/lmittmann/tint"
	"github.com/mattn/go-isatty"

	"netwatchd/internal/causes"
	"netwatchd/internal/config"
	"netwatchd/internal/ledger"
	"netwatchd/internal/overview"
	"netwatchd/internal/probe"
	"netwatchd/internal/redact"
	"netwatchd/internal/watch"
)

// New returns a logger that writes text on a terminal and JSON everywhere else, unless the configuration sets a
// format. Secrets are removed from everything it writes.
func New(c config.Log, w io.Writer) *slog.Logger {
	return slog.New(redact.Handler(logHandler(c, w)))
}

func logHandler(c config.Log, w io.Writer) slog.Handler {
	var level slog.Level
	_ = level.UnmarshalText([]byte(c.Level)) // validated with the configuration
	if c.Format == "text" || c.Format == "auto" && IsTerminal(w) {
		o := &tint.Options{Level: level, TimeFormat: time.TimeOnly, NoColor: !IsTerminal(w)}
		return tint.NewTextHandler(w, o)
	}
	return slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level})
}

// IsTerminal reports whether w is a terminal.
func IsTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && isatty.IsTerminal(f.Fd())
}

// A Changes logs changes only, so that a healthy day leaves a quiet log.
type Changes struct {
	watch.NopObserver
	log     *slog.Logger
	failing map[ledger.Key]probe.Class     // the probes whose latest attempt failed
	faults  map[string]watch.ServiceStatus // by service, the faults of this host that were logged in full
}

// NewChanges returns an observer that writes to log.
func NewChanges(log *slog.Logger) *Changes {
	return &Changes{log: log, failing: make(map[ledger.Key]probe.Class),
		faults: make(map[string]watch.ServiceStatus)}
}

// Attempted logs a probe whose class changed, at debug level: the verdict is what matters.
func (l *Changes) Attempted(r probe.Result, _ time.Duration) {
	key := ledger.KeyOf(r.Spec)
	before, failed := l.failing[key]
	if before == r.Class || !failed && r.OK() {
		return
	}
	if r.OK() {
		delete(l.failing, key)
	} else {
		l.failing[key] = r.Class
	}
	l.log.Debug("probe changed", "service", r.Service, "probe", r.Name, "vantage", r.Vantage,
		"class", r.Class, "why", r.Why)
}

// Judged logs a verdict whose cause changed, at the level of its severity. A fault of this host is logged in full for
// one service; for each other one that suffers from it, the line names that service instead.
func (l *Changes) Judged(now watch.ServiceStatus, was causes.Cause) {
	if now.Cause == was {
		return
	}
	delete(l.faults, now.Service)
	args := []any{"service", now.Service, "cause", now.Cause, "was", was, "title", now.Title}
	if same := l.sameFault(now); same != "" {
		l.log.Log(context.Background(), logLevel(now.Severity), "verdict", append(args, "same_fault_as", same)...)
		return
	}
	if now.Cause.OfHost() && len(l.faults) < maxFaults {
		l.faults[now.Service] = now
	}
	if now.Cause.Fault() {
		args = append(args, "advice", now.Advice)
	}
	if len(now.Evidence) > 0 && !now.Evidence[0].OK() {
		decisive := now.Evidence[0]
		args = append(args, "probe", decisive.Name, "vantage", decisive.Vantage,
			"class", decisive.Class, "why", decisive.Why)
	}
	l.log.Log(context.Background(), logLevel(now.Severity), "verdict", args...)
}

// maxFaults bounds how many faults a verdict is compared with: a host has few at a time, and ten thousand services may
// change in one second.
const maxFaults = 16

// sameFault returns the first service, by name, whose fault is that of now; empty if there is none.
func (l *Changes) sameFault(now watch.ServiceStatus) string {
	same := ""
	for service, logged := range l.faults {
		if (same == "" || service < same) && overview.Same(logged.ForOverview(), now.ForOverview()) {
			same = service
		}
	}
	return same
}

func logLevel(s causes.Severity) slog.Level {
	switch s {
	case causes.Page:
		return slog.LevelError
	case causes.Ticket:
		return slog.LevelWarn
	}
	return slog.LevelInfo
}

// Resumed logs that the host was suspended.
func (l *Changes) Resumed(away time.Duration, discarded int) {
	l.log.Info("this host was suspended", "for", away.Round(time.Second), "discarded_attempts", discarded)
}
