// Package metrics exports what is known to Prometheus.
//
// Everything is read at the scrape, from one snapshot of the ledger and one of the standing verdicts, so that one scrape
// never mixes two moments and nothing freezes at its last value.
package metrics

import (
	"context"
	"iter"
	"log/slog"
	"runtime"
	"slices"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	dto "github.com/prometheus/client_model/go"

	"netwatchd/internal/ledger"
	"netwatchd/internal/watch"
)

// A Source says what is known now.
type Source interface {
	Status(context.Context) (*watch.Status, error)
}

// An Exporter is asked by Prometheus, over HTTP.
type Exporter struct {
	Ledger *ledger.Ledger
	Source Source
	// Info describes a probe: what it is aimed at, how often, what it expects.
	Info func(ledger.Key) (Info, bool)
	// Platform is what this host runs on: rules tell by it a host that is asleep from one that is down.
	Platform string
	// StoreErrors is how often history could not be kept; nil is never.
	StoreErrors func() float64
	// Beside are exported as well.
	Beside []prometheus.Collector
	// Now is the clock by which gauges age; nil is time.Now.
	Now func() time.Time
	Log *slog.Logger

	counters *Counters
	others   *prometheus.Registry // what is counted as it happens, and the process itself
	slots    chan struct{}
	scraped  atomic.Pointer[time.Time] // when someone last read all of it; nil: nobody has
}

// Info is the part of a probe that never changes while it runs.
type Info struct{ Target, Interval, Expectation string }

// Build says which program this is.
type Build struct{ Version, Revision, GoVersion string }

// Codex says which agent was found; its zero value says that none was.
type Codex struct{ Version, Path, SandboxMode string }

// NewExporter completes e, and returns the counters that must hear of the watcher.
func NewExporter(e *Exporter, build Build, codex func() Codex) (*Exporter, *Counters) {
	e.counters = newCounters()
	e.slots = make(chan struct{}, scrapesAtOnce)
	e.others = prometheus.NewRegistry()
	e.others.MustRegister(
		e.counters,
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "netwatchd_build_info", Help: "Which program this is; always 1.",
			ConstLabels: prometheus.Labels{"version": build.Version, "revision": build.Revision, "goversion": build.GoVersion},
		}, func() float64 { return 1 }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "netwatchd_host_info", Help: "What this host runs on (linux, wsl1, wsl2); always 1.",
			ConstLabels: prometheus.Labels{"platform": e.Platform},
		}, func() float64 { return 1 }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "netwatchd_store_errors_total", Help: "How often the store could not be opened or written to.",
		}, e.storeErrors),
		codexInfo{codex},
	)
	e.others.MustRegister(e.Beside...)
	return e, e.counters
}

func (e *Exporter) storeErrors() float64 {
	if e.StoreErrors == nil {
		return 0
	}
	return e.StoreErrors()
}

var codexDesc = prometheus.NewDesc("netwatchd_codex_info",
	"Which agent is installed, and how its sandbox is run; absent where none was found.", []string{"version", "path", "sandbox_mode"}, nil)

// codexInfo is read at the scrape: an agent is upgraded while the daemon runs.
type codexInfo struct{ find func() Codex }

func (codexInfo) Describe(out chan<- *prometheus.Desc) { out <- codexDesc }

func (c codexInfo) Collect(out chan<- prometheus.Metric) {
	if found := c.find(); found != (Codex{}) {
		out <- prometheus.MustNewConstMetric(codexDesc, prometheus.GaugeValue, 1, found.Version, found.Path, found.SandboxMode)
	}
}

// A moment is everything known at one time.
type moment struct {
	ledger.Snapshot
	series []series
	status *watch.Status // nil if the watcher did not answer
	moves  map[move]float64

	scraped *time.Time // when someone last read all of this; nil: nobody has
}

// A series is one probe's part of it.
type series struct {
	*ledger.Record
	labels []*dto.LabelPair
	fresh  bool
	info   func(ledger.Key) (Info, bool)
}

// with are the probe's labels and more.
func (p *series) with(namesAndValues ...string) []*dto.LabelPair {
	all := slices.Concat(p.labels, labelPairs(namesAndValues...))
	slices.SortFunc(all, byName)
	return all
}

func (e *Exporter) clock() time.Time {
	if e.Now == nil {
		return time.Now()
	}
	return e.Now()
}

// scrapeWait bounds how long a scrape waits for the watcher, which answers within microseconds unless it is stuck.
const scrapeWait = time.Second

func (e *Exporter) now(ctx context.Context) *moment {
	ctx, cancel := context.WithTimeout(ctx, scrapeWait)
	defer cancel()
	now := e.clock()
	m := &moment{Snapshot: e.Ledger.Snapshot(), moves: e.counters.movesSoFar(), scraped: e.scraped.Load()}
	if status, err := e.Source.Status(ctx); err == nil {
		m.status = status
	}
	m.series = make([]series, len(m.Records))
	for i := range m.Records {
		if i%turn == 0 {
			runtime.Gosched()
		}
		rec := &m.Records[i]
		labels := labelPairs("service", rec.Service, "probe", rec.Probe, "kind", rec.Kind.String(), "vantage", rec.Vantage.String())
		m.series[i] = series{rec, labels, fresh(rec, now), e.Info}
	}
	return m
}

// Families yields all there is to export, one family after the other: all samples of ten thousand probes at once would
// take more memory than everything else the daemon does. An error costs its own metrics only.
func (e *Exporter) Families(ctx context.Context) iter.Seq2[*dto.MetricFamily, error] {
	return func(yield func(*dto.MetricFamily, error) bool) {
		m := e.now(ctx)
		others, err := e.others.Gather() // has what there is even if some of it failed
		if err != nil && !yield(nil, err) {
			return
		}
		for _, f := range others {
			if !yield(f, nil) {
				return
			}
		}
		for i := range families {
			if f := families[i].at(m); len(f.Metric) > 0 && !yield(f, nil) {
				return
			}
		}
	}
}

// turn is after how many probes others have theirs: attempts that are due should not wait for a scrape.
const turn = 100

func (f *family) at(m *moment) *dto.MetricFamily {
	out := &samples{kind: f.kind}
	if f.of != nil {
		f.of(m, out)
	} else {
		out.all = make([]*dto.Metric, 0, len(m.series))
		for i := range m.series {
			if i%turn == 0 {
				runtime.Gosched()
			}
			f.ofProbe(&m.series[i], out)
		}
	}
	return &dto.MetricFamily{Name: &f.name, Help: &f.help, Type: &f.kind, Metric: out.all}
}
