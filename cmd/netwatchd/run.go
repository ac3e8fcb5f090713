package main

import (
	"context"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"sync"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"netwatchd/internal/client"
	"netwatchd/internal/config"
	"netwatchd/internal/daemonlog"
	"netwatchd/internal/follow"
	"netwatchd/internal/hearsay"
	"netwatchd/internal/history"
	"netwatchd/internal/host"
	"netwatchd/internal/hostpaths"
	"netwatchd/internal/ledger"
	"netwatchd/internal/metrics"
	"netwatchd/internal/panics"
	"netwatchd/internal/plan"
	"netwatchd/internal/probe"
	"netwatchd/internal/probe/dnsprobe"
	"netwatchd/internal/push"
	"netwatchd/internal/reloading"
	"netwatchd/internal/reports"
	"netwatchd/internal/shortage"
	"netwatchd/internal/snapshot"
	"netwatchd/internal/statusfile"
	"netwatchd/internal/vendorpage"
	"netwatchd/internal/watch"
	"netwatchd/internal/web"
	"netwatchd/internal/webtoken"
)

func (a *app) runCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "run",
		Short: "Run the monitoring daemon",
		Long: `Run the monitoring daemon: probe on schedule, serve the status page, API and
metrics, and keep the status file. SIGHUP and POST /-/reload reload the
configuration.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.load()
			if err != nil {
				return err
			}
			if err := c.Secrets(); err != nil {
				return err
			}
			return a.run(cmd.Context(), c)
		},
	}
}

// A service is the running daemon.
type service struct {
	log        *slog.Logger
	load       func() (*config.Config, error)
	ledger     *ledger.Ledger
	watcher    *watch.Watcher
	counters   *metrics.Counters
	statusFile *statusfile.Writer
	history    *history.Recorder
	pusher     *push.Pusher
	exporter   *metrics.Exporter
	reporter   *reports.Reporter
	witness    *hearsay.Witness
	storage    string // the absolute path of the store's directory

	exposure func() string // warns if others can reach the page without authentication

	follower *follow.Follower

	reloading sync.Mutex // one reload at a time
}

// gcPercent is half of Go's default. With ten thousand probes most of the heap is live; letting garbage double it
// would exceed the memory budget. Collecting twice as often costs two per cent of a core.
const gcPercent = 50

func (a *app) run(ctx context.Context, c *config.Config) error {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	// Bind the ports before anything runs: a daemon that nobody can query must not probe either.
	limiter := web.NewLimiter(func(err error) { shortage.Note(shortage.Web, err.Error()) })
	page := web.Config{Listen: c.Web.Listen, ConfigFile: c.Web.ConfigFile, Limiter: limiter}
	listeners, err := web.Listen(page)
	if err != nil {
		return err
	}
	// If they were read first when no descriptor is left, every certificate would be untrusted until a restart.
	_, _ = x509.SystemCertPool()
	s := &service{log: daemonlog.New(c.Log, a.errs), load: a.load, ledger: ledger.New()}
	if s.storage, err = filepath.Abs(c.Storage.Path); err != nil {
		return err
	}
	s.exposure = func() string { return c.Web.ExposureWarning(addresses(listeners)) }
	s.follower = follow.New(c, follow.Options{Adopt: s.adopt, Log: s.log})
	s.statusFile = statusfile.NewWriter(c.StatusFile, s, s.log)
	s.history = history.New(history.Options{
		Dir: c.Storage.Path, Keep: s.keep, Version: build().Version, Log: s.log, Snapshot: s.takeSnapshot,
	})
	s.history.CloseUnwatched(names(c))
	s.pusher = push.New(c.Push, push.Options{
		Dir: filepath.Join(c.Storage.Path, "push"), Version: build().Version, Started: time.Now(), Log: s.log,
	})
	s.reporter = reports.New(reports.Options{
		Sources: func() []reports.Source { return s.follower.Plan().Sessions() },
		Suspect: func(ctx context.Context, service string) error { return s.watcher.Suspect(ctx, service) },
		Record:  s.history.AgentReported,
	})
	s.witness = hearsay.New(func() map[string]*vendorpage.Page { return s.follower.Plan().StatusPages() }, s.history.Heard)
	s.exporter, s.counters = metrics.NewExporter(&metrics.Exporter{
		Ledger: s.ledger, Source: s, Info: s.info, Platform: host.WSL().Platform(),
		StoreErrors: s.history.Errors, DamagedRows: s.history.DamagedRows,
		Connections: limiter.Connections,
		Classic:     metrics.Detail(c.Metrics.ClassicHistograms), Redundant: metrics.Detail(c.Metrics.RedundantSeries),
		Extra: []prometheus.Collector{s.pusher, s.reporter}, Log: s.log,
	}, build(), s.agents)
	s.counters.Reloaded(nil)
	events := web.NewEvents()
	s.watcher = watch.New(s.follower.Watched(), watch.Options{
		Version: build().Version,
		Observers: []watch.Observer{
			ledgerObserver{Ledger: s.ledger}, s.counters, daemonlog.NewChanges(s.log), s.statusFile, s.history, events,
			s.witness,
		},
		Clock:  new(host.Clock),
		Memory: s.history, Ongoing: s.history.Ongoing,
		Pool: func(ctx context.Context) watch.Starter { return dnsprobe.NewPool(ctx) },
	})
	server := &web.Server{
		Source: s, Results: s.ledger.Latest, History: s.history, Events: events, Ready: s.watcher.Ready(), Reload: s.reload,
		RecordBacktest: s.history.RecordBacktest,
		Metrics:        s.exporter, Version: build().Version, Log: s.log, Profiling: c.Web.Profiling,
		Hosts: c.Web.Hosts, Authenticated: c.Web.Authenticated, TokenFile: c.TokenFile(), Warnings: s.warnings,
	}
	s.log.Info("started", "version", build().Version, "configuration", c.Origin(), "services", len(c.Services),
		"listen", addresses(listeners), "page", a.announcePage(c.Web, listeners))
	if warning := s.exposure(); warning != "" {
		s.log.Warn(warning)
	}
	if len(config.Exposed(addresses(listeners))) > 0 && c.Web.TokenFile == "" {
		if err := webtoken.Make(c.TokenFile()); err != nil {
			s.log.Warn("requests from other hosts that change something are refused: there is no token", "error", err)
		}
	}
	s.follower.LogNotes()
	return s.serve(ctx, func(ctx context.Context) error {
		return web.Serve(ctx, listeners, page, server.Handler(), s.log)
	})
}

// announcePage returns the URL of the status page. It prints it first if a person started the daemon, whatever the
// level of the log.
func (a *app) announcePage(c config.Web, listeners []net.Listener) string {
	if len(listeners) == 0 {
		return ""
	}
	page := client.LocalOptions(listeners[0].Addr().String(), c.ConfigFile).URL + "/"
	if daemonlog.IsTerminal(a.errs) {
		fmt.Fprintf(a.errs, "netwatchd: the status page is at %s\n", page)
	}
	return page
}

func addresses(listeners []net.Listener) []string {
	all := make([]string, len(listeners))
	for i, l := range listeners {
		all[i] = l.Addr().String()
	}
	return all
}

// serve runs all parts until ctx ends or the page fails, then stops them in reverse order: first the page, so that no
// request reaches a watcher that is stopping; then the watcher with its running attempts; last the status file and
// the store.
func (s *service) serve(ctx context.Context, page func(context.Context) error) error {
	writerCtx, stopWriters := context.WithCancel(context.Background())
	watcherCtx, stopWatcher := context.WithCancel(context.Background())
	var writers, watcher, rest sync.WaitGroup
	writers.Go(func() { s.statusFile.Run(writerCtx) })
	writers.Go(func() { s.history.Run(writerCtx) })
	watcher.Go(func() { s.watcher.Run(watcherCtx) })

	ctx, stop := context.WithCancel(ctx)
	rest.Go(func() { s.reloadOnHangup(ctx) })
	rest.Go(func() { s.follower.Run(ctx) })
	rest.Go(func() { s.reporter.Run(ctx) })
	rest.Go(func() { s.witness.Run(ctx) })
	rest.Go(func() { s.notifySystemd(ctx) })
	rest.Go(func() { s.pusher.Run(ctx, s.exporter.Families) })
	err := page(ctx)
	stop()
	rest.Wait()
	stopWatcher()
	watcher.Wait()
	stopWriters()
	writers.Wait()
	s.log.Info("stopped")
	if err != nil {
		return failed(err)
	}
	return nil
}

func (s *service) reloadOnHangup(ctx context.Context) {
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	for {
		select {
		case <-hangup:
			_ = s.reload(ctx) // reload logs the error and counts it
		case <-ctx.Done():
			return
		}
	}
}

// reload reads the configuration again and applies it. An invalid one changes nothing but a metric.
func (s *service) reload(ctx context.Context) error {
	s.reloading.Lock()
	defer s.reloading.Unlock()
	notifyReloading()
	defer func() { _, _ = daemon.SdNotify(false, daemon.SdNotifyReady) }()
	c, err := s.follower.Reload(ctx, s.load)
	if err == nil {
		s.history.CloseUnwatched(names(c))
	}
	s.counters.Reloaded(err)
	s.publishReload(err)
	if err != nil {
		s.log.Error("the configuration was not reloaded; the previous one stays in force", "error", err)
		return err
	}
	s.log.Info("reloaded", "configuration", c.Origin(), "services", len(c.Services))
	s.follower.LogNotes()
	debug.FreeOSMemory() // as in notifySystemd
	return nil
}

// publishReload answers the unit's ExecReload=.
func (s *service) publishReload(refused error) {
	reason := ""
	if refused != nil {
		reason = messageOf(refused)
	}
	if err := reloading.Publish(hostpaths.Paths{}.InUnit(os.Getenv).Run, reason); err != nil {
		s.log.Warn("systemctl reload will not learn how the reload ended", "error", err)
	}
}

// adopt puts a plan into force. What it no longer watches is forgotten.
func (s *service) adopt(ctx context.Context, next *plan.Plan, watched watch.Plan) error {
	if err := s.watcher.Reload(ctx, watched); err != nil {
		return err
	}
	s.ledger.Keep(next.Watches)
	return nil
}

// keep returns how long history is kept.
func (s *service) keep() time.Duration { return s.follower.Plan().Keep() }

// takeSnapshot takes a snapshot for an incident record.
func (s *service) takeSnapshot(ctx context.Context) any {
	var taken any
	if err := panics.Run(panics.Snapshot, func() error {
		taken = snapshot.Take(ctx, s.follower.Plan().Agent())
		return nil
	}); err != nil {
		s.log.Error("cannot take a snapshot for an incident: please report this", "error", err)
	}
	return taken
}

func names(c *config.Config) []string {
	all := make([]string, len(c.Services))
	for i, s := range c.Services {
		all[i] = s.Name
	}
	return all
}

// warnings returns what is wrong with netwatchd or its host, apart from the history, and what to do.
func (s *service) warnings() []string {
	var all []string
	if text, short := shortage.Warning(time.Now()); short {
		all = append(all, text)
	}
	if text := s.exposure(); text != "" {
		all = append(all, text)
	}
	if moved := s.history.Moved(); moved != "" {
		all = append(all, "the store was malformed, and a new one was begun: history until then is in "+moved)
	}
	return all
}

// Status returns the watcher's status, where the store is and, in Trouble, what is wrong with netwatchd itself. The
// page, the exporter and the status file read it.
func (s *service) Status(ctx context.Context) (*watch.Status, error) {
	status, err := s.watcher.Status(ctx)
	if err != nil {
		return nil, err
	}
	status.PID, status.Storage = os.Getpid(), s.storage
	s.witness.AddTo(status)
	status.Trouble = append(status.Trouble, s.warnings()...)
	if fault := s.history.Fault(); fault != "" {
		status.Trouble = append(status.Trouble, "history cannot be written; probing continues: "+fault)
	}
	return status, nil
}

func (s *service) info(k ledger.Key) (metrics.Info, bool) { return s.follower.Plan().Info(k) }

// A ledgerObserver adds every attempt to the ledger.
type ledgerObserver struct {
	watch.NopObserver
	*ledger.Ledger
}

func (o ledgerObserver) Attempted(r probe.Result, interval time.Duration) {
	o.Add(r, interval)
	if r.Class == probe.LocalResources && r.Vantage != probe.FromSandbox {
		shortage.Note(shortage.Probe, r.Why)
	}
}

// notifySystemd reports readiness after the first round and then feeds the watchdog, but only while the watcher
// starts its attempts on time.
func (s *service) notifySystemd(ctx context.Context) {
	select {
	case <-s.watcher.Ready():
	case <-ctx.Done():
		return
	}
	_, _ = daemon.SdNotify(false, daemon.SdNotifyReady)
	s.log.Info("ready")
	// Reading the configuration of ten thousand probes leaves 20 MB of garbage, and probes make too little for the
	// collector to run soon.
	debug.FreeOSMemory()
	every, err := daemon.SdWatchdogEnabled(false)
	if err != nil || every == 0 {
		return
	}
	feed := time.NewTicker(every / 2) // sd_watchdog_enabled(3) recommends half the time
	defer feed.Stop()
	for {
		select {
		case <-feed.C:
			s.feedWatchdog(ctx, every/2)
		case <-ctx.Done():
			return
		}
	}
}

func (s *service) feedWatchdog(ctx context.Context, within time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	if late, err := s.watcher.Lag(ctx); err == nil && late < within {
		_, _ = daemon.SdNotify(false, daemon.SdNotifyWatchdog)
	}
}

// notifyReloading announces a reload as sd_notify(3) requires, with its start time.
func notifyReloading() {
	var now unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &now) == nil {
		_, _ = daemon.SdNotify(false, fmt.Sprintf("%s\nMONOTONIC_USEC=%d", daemon.SdNotifyReloading, now.Nano()/1000))
	}
}

// agents describes the installed agents that the configuration runs.
func (s *service) agents() []metrics.Agent {
	return s.follower.Plan().Installed(context.Background())
}
