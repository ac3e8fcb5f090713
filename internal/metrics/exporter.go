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
	// Extra are exported as well.
	Extra []prometheus.Collector
	// Now is the clock by which gauges age; nil is time.Now.
	Now func() time.Time
	Log *slog.Logger

	counters   *Counters
	registry   *prometheus.Registry // what is counted as it happens, and the process itself
	slots      chan struct{}
	lastScrape atomic.Pointer[time.Time] // when someone last read all of it; nil: nobody has
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
	e.registry = prometheus.NewRegistry()
	e.registry.MustRegister(
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
	e.registry.MustRegister(e.Extra...)
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
type scrape struct {
	ledger.Snapshot
	series  []series
	status  *watch.Status // nil if the watcher did not answer
	changes map[change]float64

	lastScrape *time.Time // when someone last read all of this; nil: nobody has
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

func (e *Exporter) now() time.Time {
	if e.Now == nil {
		return time.Now()
	}
	return e.Now()
}

// scrapeWait bounds how long a scrape waits for the watcher, which answers within microseconds unless it is stuck.
const scrapeWait = time.Second

func (e *Exporter) begin(ctx context.Context) *scrape {
	ctx, cancel := context.WithTimeout(ctx, scrapeWait)
	defer cancel()
	now := e.now()
	sc := &scrape{Snapshot: e.Ledger.Snapshot(), changes: e.counters.verdictChanges(), lastScrape: e.lastScrape.Load()}
	if status, err := e.Source.Status(ctx); err == nil {
		sc.status = status
	}
	sc.series = make([]series, len(sc.Records))
	for i := range sc.Records {
		if i%yieldEvery == 0 {
			runtime.Gosched()
		}
		rec := &sc.Records[i]
		labels := labelPairs("service", rec.Service, "probe", rec.Probe, "kind", rec.Kind.String(), "vantage", rec.Vantage.String())
		sc.series[i] = series{rec, labels, fresh(rec, now), e.Info}
	}
	return sc
}

// Families yields all there is to export, one family after the other: all samples of ten thousand probes at once would
// take more memory than everything else the daemon does. An error costs its own metrics only.
func (e *Exporter) Families(ctx context.Context) iter.Seq2[*dto.MetricFamily, error] {
	return func(yield func(*dto.MetricFamily, error) bool) {
		sc := e.begin(ctx)
		counted, err := e.registry.Gather() // has what there is even if some of it failed
		if err != nil && !yield(nil, err) {
			return
		}
		for _, f := range counted {
			if !yield(f, nil) {
				return
			}
		}
		for i := range families {
			if f := families[i].collect(sc); len(f.Metric) > 0 && !yield(f, nil) {
				return
			}
		}
	}
}

// turn is after how many probes others have theirs: attempts that are due should not wait for a scrape.
const yieldEvery = 100

func (f *family) collect(sc *scrape) *dto.MetricFamily {
	out := &samples{kind: f.kind}
	if f.global != nil {
		f.global(sc, out)
	} else {
		out.all = make([]*dto.Metric, 0, len(sc.series))
		for i := range sc.series {
			if i%yieldEvery == 0 {
				runtime.Gosched()
			}
			f.perProbe(&sc.series[i], out)
		}
	}
	return &dto.MetricFamily{Name: &f.name, Help: &f.help, Type: &f.kind, Metric: out.all}
}
