package metrics

import (
	"maps"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"netwatchd/internal/diagnose"
	"netwatchd/internal/watch"
)

// Counters count what passes by. They are an observer of the watcher.
type Counters struct {
	watch.Indifferent
	lag        prometheus.Histogram
	missed     prometheus.Counter
	suspends   prometheus.Counter
	discarded  prometheus.Counter
	reloadOK   prometheus.Gauge
	reloadTime prometheus.Gauge

	mu      sync.Mutex
	changes map[change]float64
}

type change struct {
	service string
	cause   diagnose.Cause
}

func newCounters() *Counters {
	return &Counters{
		lag: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "netwatchd_scheduler_lag_seconds", Help: "How late attempts began, against the plan.",
			// The plan's grid is 4 ms, the promise 5 ms at the 99th percentile; a second is a daemon in trouble.
			Buckets:                     []float64{.0005, .001, .002, .005, .01, .025, .1, 1},
			NativeHistogramBucketFactor: 1.1,
			// Lags span six decades at the most: more buckets than this would be noise.
			NativeHistogramMaxBucketNumber: 100,
		}),
		missed:     prometheus.NewCounter(prometheus.CounterOpts{Name: "netwatchd_scheduler_missed_runs_total", Help: "Planned attempts not made since the one before was still under way or the daemon was late."}),
		suspends:   prometheus.NewCounter(prometheus.CounterOpts{Name: "netwatchd_host_suspends_total", Help: "How often this host was found to have been away (suspended or stopped)."}),
		discarded:  prometheus.NewCounter(prometheus.CounterOpts{Name: "netwatchd_host_suspend_discarded_runs_total", Help: "Attempts discarded since the host was away during them."}),
		reloadOK:   prometheus.NewGauge(prometheus.GaugeOpts{Name: "netwatchd_config_last_reload_successful", Help: "Whether the last reload of the configuration succeeded."}),
		reloadTime: prometheus.NewGauge(prometheus.GaugeOpts{Name: "netwatchd_config_last_reload_success_timestamp_seconds", Help: "When the configuration was last loaded with success."}),
		changes:    make(map[change]float64),
	}
}

// all are those that are counted as they happen; the changes of verdicts are exported with the verdicts.
func (c *Counters) all() []prometheus.Metric {
	return []prometheus.Metric{c.lag, c.missed, c.suspends, c.discarded, c.reloadOK, c.reloadTime}
}

// Describe is for the registry.
func (c *Counters) Describe(out chan<- *prometheus.Desc) {
	for _, m := range c.all() {
		out <- m.Desc()
	}
}

// Collect is for the registry.
func (c *Counters) Collect(out chan<- prometheus.Metric) {
	for _, m := range c.all() {
		out <- m
	}
}

// Reloaded notes how a reload of the configuration went.
func (c *Counters) Reloaded(err error) {
	if err != nil {
		c.reloadOK.Set(0)
		return
	}
	c.reloadOK.Set(1)
	c.reloadTime.SetToCurrentTime()
}

// Started counts how late an attempt began.
func (c *Counters) Started(late time.Duration, missed int) {
	c.lag.Observe(late.Seconds())
	if missed > 0 {
		c.missed.Add(float64(missed))
	}
}

// Judged counts verdicts that moved.
func (c *Counters) Judged(now watch.Standing, was diagnose.Cause) {
	if now.Cause == was {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.changes[change{now.Service, now.Cause}]++
}

// Resumed counts a suspend.
func (c *Counters) Resumed(_ time.Duration, discarded int) {
	c.suspends.Inc()
	c.discarded.Add(float64(discarded))
}

func (c *Counters) verdictChanges() map[change]float64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.changes)
}
