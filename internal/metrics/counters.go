package metrics

import (
	"maps"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"netwatchd/internal/causes"
	"netwatchd/internal/watch"
)

// Counters count events as they happen. They implement watch's observer.
type Counters struct {
	watch.NopObserver
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
	cause   causes.Cause
}

func newCounters() *Counters {
	return &Counters{
		lag: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "netwatchd_scheduler_lag_seconds", Help: "How late attempts started, compared with the schedule.",
			// The scheduler's grid is 4 ms and its promise is 5 ms at the 99th percentile. At one second the daemon
			// is in trouble.
			Buckets:                     []float64{.0005, .001, .002, .005, .01, .025, .1, 1},
			NativeHistogramBucketFactor: 1.1,
			// Lags span at most six decades: more buckets would be noise.
			NativeHistogramMaxBucketNumber: 100,
		}),
		missed: newCounter("netwatchd_scheduler_missed_runs_total",
			"Scheduled attempts skipped because the previous one was still running or the daemon was late."),
		suspends: newCounter("netwatchd_host_suspends_total", "How often this host was suspended or stopped."),
		discarded: newCounter("netwatchd_host_suspend_discarded_runs_total",
			"Attempts discarded because the host was suspended while they ran."),
		reloadOK: newGauge(
			"netwatchd_config_last_reload_successful",
			"1 if the last reload of the configuration succeeded, 0 if not.",
		),
		reloadTime: newGauge("netwatchd_config_last_reload_success_timestamp_seconds",
			"When the configuration was last loaded successfully."),
		changes: make(map[change]float64),
	}
}

func newCounter(name, help string) prometheus.Counter {
	return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
}

func newGauge(name, help string) prometheus.Gauge {
	return prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help})
}

// all returns the metrics counted here. Changes of verdicts are exported with the verdicts.
func (c *Counters) all() []prometheus.Metric {
	return []prometheus.Metric{c.lag, c.missed, c.suspends, c.discarded, c.reloadOK, c.reloadTime}
}

// Describe implements prometheus.Collector.
func (c *Counters) Describe(out chan<- *prometheus.Desc) {
	for _, m := range c.all() {
		out <- m.Desc()
	}
}

// Collect implements prometheus.Collector.
func (c *Counters) Collect(out chan<- prometheus.Metric) {
	for _, m := range c.all() {
		out <- m
	}
}

// Reloaded records the outcome of a reload of the configuration.
func (c *Counters) Reloaded(err error) {
	if err != nil {
		c.reloadOK.Set(0)
		return
	}
	c.reloadOK.Set(1)
	c.reloadTime.SetToCurrentTime()
}

// Started records how late an attempt started, and how many were skipped before it.
func (c *Counters) Started(late time.Duration, missed int) {
	c.lag.Observe(late.Seconds())
	if missed > 0 {
		c.missed.Add(float64(missed))
	}
}

// Judged counts changes of the verdict.
func (c *Counters) Judged(now watch.ServiceStatus, was causes.Cause) {
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
