// Package metrics exports what is known to Prometheus.
//
// Everything is read at the scrape, from one snapshot of the ledger and one of the standing verdicts, so that one scrape
// never mixes two moments and nothing freezes at its last value.
package metrics

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"netwatchd/internal/diagnose"
	"netwatchd/internal/ledger"
	"netwatchd/internal/probe"
	"netwatchd/internal/watch"
)

// A Source says what is known now.
type Source interface {
	Status(context.Context) (*watch.Status, error)
}

// Collector turns what is known into metrics.
type Collector struct {
	Ledger *ledger.Ledger
	Source Source
	// Info describes a probe: what it is aimed at, how often, what it expects.
	Info func(ledger.Key) (Info, bool)
	// Now is the clock by which gauges age; nil is time.Now.
	Now func() time.Time

	counters *Counters
}

// Info is the part of a probe that never changes while it runs.
type Info struct{ Target, Interval, Expectation string }

var probeLabels = []string{"service", "probe", "kind", "vantage"}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("netwatchd_"+name, help, labels, nil)
}

func probeDesc(name, help string, more ...string) *prometheus.Desc {
	return desc(name, help, append(append([]string{}, probeLabels...), more...)...)
}

var (
	success     = probeDesc("probe_success", "Whether the latest attempt saw exactly what it expected.")
	duration    = probeDesc("probe_duration_seconds", "How long the latest attempt took.")
	phase       = probeDesc("probe_phase_duration_seconds", "How long each phase of the latest attempt took, the failing one included.", "phase")
	lastRun     = probeDesc("probe_last_run_timestamp_seconds", "When the latest attempt began.")
	lastSuccess = probeDesc("probe_last_success_timestamp_seconds", "When an attempt last succeeded.")
	errorClass  = probeDesc("probe_error_class", "1 for the class the latest attempt ended in, 0 for others seen since the start.", "class")
	runs        = probeDesc("probe_runs_total", "Attempts made, by result.", "result")
	failures    = probeDesc("probe_failures_total", "Attempts failed, by class.", "class")
	durations   = probeDesc("probe_run_duration_seconds", "How long attempts took.")
	info        = probeDesc("probe_info", "What the probe is aimed at, how often, and what it expects; always 1.", "target", "interval", "expectation")

	verdict   = desc("verdict", "1 for the one cause that holds for the service, 0 for the others.", "service", "cause")
	finding   = desc("finding", "1 for every cause found for the service, those beside the main one included.", "service", "cause")
	since     = desc("verdict_since_timestamp_seconds", "Since when the service's cause holds.", "service", "cause")
	delay     = desc("verdict_delay_seconds", "How long the cause took to stand, from the first failed attempt.", "service", "cause")
	changes   = desc("verdict_changes_total", "How often the service's verdict moved to the cause.", "service", "cause")
	sandboxed = desc("sandboxed", "1 for every sign seen that this process runs in a sandbox.", "signal")
	tokens    = desc("codex_tokens_total", "Tokens spent by runs of the agent.", "type")
	warnings  = desc("codex_warnings_total", "Warnings seen that did not block, by name.", "warning")
	budget    = desc("codex_budget_remaining_runs", "Runs of the agent left within the day's budget.", "service")
)

// Describe sends nothing: what there is to export follows from the configuration, which may be reloaded.
func (c *Collector) Describe(chan<- *prometheus.Desc) {}

// scrapeWait bounds how long a scrape waits for the watcher, which answers within microseconds unless it is stuck.
const scrapeWait = time.Second

// Collect sends one moment.
func (c *Collector) Collect(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), scrapeWait)
	defer cancel()
	now := time.Now()
	if c.Now != nil {
		now = c.Now()
	}
	c.Ledger.View(func(records map[ledger.Key]*ledger.Record, warned map[string]uint64, spent probe.TokensSpent) {
		for key, rec := range records {
			c.collectProbe(out, key, rec, now)
		}
		for warning, n := range warned {
			out <- counter(warnings, labelPairs("warning", warning), float64(n))
		}
		collectTokens(out, spent)
	})
	if status, err := c.Source.Status(ctx); err == nil {
		c.collectStatus(out, status)
	}
	c.counters.collect(out)
}

func collectTokens(out chan<- prometheus.Metric, spent probe.TokensSpent) {
	out <- counter(tokens, labelPairs("type", "input"), float64(spent.Input))
	out <- counter(tokens, labelPairs("type", "cached_input"), float64(spent.CachedInput))
	out <- counter(tokens, labelPairs("type", "output"), float64(spent.Output))
}

// A gauge disappears rather than freeze when its probe has not run for three intervals; one that is made on suspicion
// only, after as long as Prometheus itself keeps a value (its lookback of five minutes).
const (
	staleAfter   = 3
	staleOutside = 5 * time.Minute
)

func fresh(rec *ledger.Record, now time.Time) bool {
	limit := staleAfter * rec.Interval
	if rec.Interval == 0 {
		limit = staleOutside
	}
	return now.Sub(rec.Latest.Start)-rec.Latest.Elapsed.Duration() <= limit
}

func (c *Collector) collectProbe(out chan<- prometheus.Metric, key ledger.Key, rec *ledger.Record, now time.Time) {
	labels := labelPairs("service", key.Service, "probe", key.Probe, "kind", key.Kind.String(), "vantage", key.Vantage.String())
	if fresh(rec, now) {
		collectLatest(out, labels, rec)
	}
	if !rec.LastSuccess.IsZero() {
		out <- gauge(lastSuccess, labels, unix(rec.LastSuccess))
	}
	out <- gauge(lastRun, labels, unix(rec.Latest.Start))
	out <- counter(runs, with(labels, "result", "success"), float64(rec.Succeeded))
	out <- counter(runs, with(labels, "result", "failure"), float64(rec.Failed))
	for _, seen := range rec.Classes {
		if seen.Class != probe.OK {
			out <- counter(failures, with(labels, "class", seen.Class.String()), float64(seen.Count))
		}
	}
	out <- &histogram{labels: labels, h: rec.Durations.Clone()}
	if about, ok := c.Info(key); ok {
		out <- gauge(info, with(labels, "target", about.Target, "interval", about.Interval, "expectation", about.Expectation), 1)
	}
}

func collectLatest(out chan<- prometheus.Metric, labels []*dto.LabelPair, rec *ledger.Record) {
	latest := rec.Latest
	out <- gauge(success, labels, bit(latest.OK()))
	out <- gauge(duration, labels, float64(latest.Elapsed))
	for _, p := range probe.AllPhases() {
		if latest.Phases[p] > 0 {
			out <- gauge(phase, with(labels, "phase", p.String()), float64(latest.Phases[p]))
		}
	}
	for _, seen := range rec.Classes {
		out <- gauge(errorClass, with(labels, "class", seen.Class.String()), bit(seen.Class == latest.Class))
	}
}

// allCausesUpTo is the number of services up to which each exports every cause; beyond it only those seen since the
// start, since a thousand services with all twenty-three would be most of the scrape.
const allCausesUpTo = 100

func (c *Collector) collectStatus(out chan<- prometheus.Metric, status *watch.Status) {
	for _, s := range status.Services {
		c.collectStanding(out, s, len(status.Services) <= allCausesUpTo)
	}
	for _, signal := range status.Sandboxed.Signals {
		out <- gauge(sandboxed, labelPairs("signal", signal), 1)
	}
}

func (c *Collector) collectStanding(out chan<- prometheus.Metric, s watch.Standing, all bool) {
	found := map[diagnose.Cause]bool{s.Cause: true}
	for _, also := range s.Also {
		found[also.Cause] = true
	}
	for cause := range diagnose.Causes() {
		seen := c.counters.changesTo(s.Service, cause)
		if !all && !found[cause] && seen == 0 {
			continue
		}
		labels := labelPairs("cause", cause.String(), "service", s.Service)
		out <- gauge(verdict, labels, bit(cause == s.Cause))
		out <- gauge(finding, labels, bit(found[cause]))
		if seen > 0 {
			out <- counter(changes, labels, seen)
		}
	}
	now := labelPairs("cause", s.Cause.String(), "service", s.Service)
	out <- gauge(since, now, unix(s.Since))
	out <- gauge(delay, now, float64(s.Delay))
	if s.Budget != nil {
		out <- gauge(budget, labelPairs("service", s.Service), float64(*s.Budget))
	}
}

func bit(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func unix(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }
