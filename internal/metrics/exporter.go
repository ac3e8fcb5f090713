// Package metrics exports the daemon's state to Prometheus.
//
// A scrape reads one snapshot of the ledger and one of the verdicts, so that it is consistent and no gauge freezes at
// its last value.
package metrics

import (
	"compress/gzip"
	"context"
	"iter"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	dto "github.com/prometheus/client_model/go"

	"netwatchd/internal/ledger"
	"netwatchd/internal/panics"
	"netwatchd/internal/watch"
)

// A Source returns the current verdicts.
type Source interface {
	Status(context.Context) (*watch.Status, error)
}

// An Exporter serves /metrics.
type Exporter struct {
	Ledger *ledger.Ledger
	Source Source
	// Info describes a probe: its target, interval and expectation.
	Info func(ledger.Key) (Info, bool)
	// Platform is what this host runs on. Alerting rules use it to tell a sleeping host from one that is down.
	Platform string
	// StoreErrors counts failed writes of history; nil means 0.
	StoreErrors func() float64
	// DamagedRows counts the rows of the store that could not be decoded; nil means 0.
	DamagedRows func() float64
	// Connections counts those to the page, the API and the metrics; nil: there are none.
	Connections func() Connections
	// Classic is which services export durations in classic buckets. Every service exports native ones.
	Classic Detail
	// Redundant is which services export series whose value their others tell.
	Redundant Detail
	// Extra are exported too.
	Extra []prometheus.Collector
	// Now is the clock by which gauges become stale; nil means time.Now.
	Now func() time.Time
	Log *slog.Logger

	counters   *Counters
	registry   *prometheus.Registry // counters, and the metrics of the Go runtime and the process
	slots      chan struct{}
	lastScrape atomic.Pointer[time.Time] // when the last complete scrape ended; nil: there was none
	// What a scrape of ten thousand probes needs, 6 MB, would stay resident until the next collection if each made it.
	spare       atomic.Pointer[scrape]      // of one that has ended, for the next one; nil: there is none
	spareZipper atomic.Pointer[gzip.Writer] // the same
}

// Info is the part of a probe that does not change while it runs.
type Info struct{ Target, Interval, Expectation string }

// Build identifies the program.
type Build struct{ Version, Revision, GoVersion string }

// Agent identifies an installed agent. SandboxMode is how its sandbox is configured.
type Agent struct{ Name, Version, Path, SandboxMode string }

// NewExporter completes e. The counters it returns must observe the watcher.
func NewExporter(e *Exporter, build Build, agents func() []Agent) (*Exporter, *Counters) {
	e.counters = newCounters()
	e.slots = make(chan struct{}, scrapesAtOnce)
	e.registry = prometheus.NewRegistry()
	e.registry.MustRegister(
		e.counters,
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "netwatchd_build_info", Help: "Version of netwatchd; always 1.",
			ConstLabels: prometheus.Labels{"version": build.Version, "revision": build.Revision, "goversion": build.GoVersion},
		}, func() float64 { return 1 }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "netwatchd_host_info", Help: "Platform of this host (linux, wsl1, wsl2); always 1.",
			ConstLabels: prometheus.Labels{"platform": e.Platform},
		}, func() float64 { return 1 }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "netwatchd_store_errors_total", Help: "How often the store could not be opened or written to.",
		}, orZero(e.StoreErrors)),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "netwatchd_store_damaged_rows_total",
			Help: "Rows of the store that could not be decoded and were moved to its table damaged.",
		}, orZero(e.DamagedRows)),
		panicCounts{},
		shortages{},
		agentInfo{agents, e.Log},
	)
	if e.Connections != nil {
		e.registry.MustRegister(connections(e.Connections))
	}
	e.registry.MustRegister(e.Extra...)
	return e, e.counters
}

func orZero(count func() float64) func() float64 {
	if count == nil {
		return func() float64 { return 0 }
	}
	return count
}

var agentDesc = prometheus.NewDesc("netwatchd_agent_info",
	"Version of the installed agent and how its sandbox is configured; absent if the agent was not found.",
	[]string{"agent", "version", "path", "sandbox_mode"}, nil)

var codexDesc = prometheus.NewDesc(
	"netwatchd_codex_info",
	"Version of the installed codex and how its sandbox is configured; absent if codex was not found.",
	[]string{"version", "path", "sandbox_mode"},
	nil,
)

// agentInfo is read at each scrape, because an agent may be upgraded while the daemon runs.
type agentInfo struct {
	find func() []Agent
	log  *slog.Logger
}

func (agentInfo) Describe(out chan<- *prometheus.Desc) {
	out <- agentDesc
	out <- codexDesc
}

// Collect implements prometheus.Collector. The agent's files are not ours: a panic in reading them must not fail the
// scrape.
func (c agentInfo) Collect(out chan<- prometheus.Metric) {
	var found []Agent
	if err := panics.Run(panics.Scrape, func() error { found = c.find(); return nil }); err != nil {
		c.log.Error("cannot describe the agent: please report this", "error", err)
	}
	for _, a := range found {
		out <- prometheus.MustNewConstMetric(agentDesc, prometheus.GaugeValue, 1, a.Name, a.Version, a.Path, a.SandboxMode)
		if a.Name == codexName {
			out <- prometheus.MustNewConstMetric(codexDesc, prometheus.GaugeValue, 1, a.Version, a.Path, a.SandboxMode)
		}
	}
}

var panicsDesc = prometheus.NewDesc("netwatchd_panics_total",
	"Panics that were recovered, by the part of the daemon. Each is a bug: please report it.", []string{"where"}, nil)

// panicCounts exports the panics of the process.
type panicCounts struct{}

func (panicCounts) Describe(out chan<- *prometheus.Desc) { out <- panicsDesc }

func (panicCounts) Collect(out chan<- prometheus.Metric) {
	for _, p := range panics.All() {
		out <- prometheus.MustNewConstMetric(panicsDesc, prometheus.CounterValue, float64(panics.Count(p)), p.String())
	}
}

// A scrape is the consistent state that one response exports.
type scrape struct {
	turn
	ledger.Snapshot
	series  []series
	status  *watch.Status // nil if the watcher did not answer
	changes map[change]float64

	lastScrape *time.Time // when the scrape before ended; nil: there was none
}

// A series is one probe's part of a scrape.
type series struct {
	*ledger.Record
	fresh     bool
	classic   bool // export classic buckets
	redundant bool // export series whose value others tell
	info      func(ledger.Key) (Info, bool)

	labels []*dto.LabelPair // see pairs
}

// A probeOutput takes the samples of a family.
type probeOutput interface {
	add(p *series, value float64, more labels)
	addHistogram(p *series)
}

// Labels are pairs of a name and a value besides those of the probe, sorted by name; the unused ones are empty. They
// are no slice, because a scrape of ten thousand probes would allocate fifty thousand.
type labels [3][2]string

// pairs returns the probe's labels.
func (p *series) pairs() []*dto.LabelPair {
	if p.labels == nil {
		p.labels = labelPairs("service", p.Service, "probe", p.Probe, "kind", p.Kind.String(), "vantage", p.Vantage.String())
	}
	return p.labels
}

// keep keeps the memory of sc for the next scrape, without what it refers to.
func (e *Exporter) keep(sc *scrape) {
	clear(sc.series)
	clear(sc.Records)
	e.spare.Store(&scrape{Snapshot: sc.Snapshot, series: sc.series})
}

func (e *Exporter) now() time.Time {
	if e.Now == nil {
		return time.Now()
	}
	return e.Now()
}

// scrapeWait bounds how long a scrape waits for the watcher, which responds within microseconds unless it is stuck.
const scrapeWait = time.Second

// begin begins a scrape in the memory of an earlier one, which may be the zero value.
func (e *Exporter) begin(ctx context.Context, earlier *scrape) *scrape {
	ctx, cancel := context.WithTimeout(ctx, scrapeWait)
	defer cancel()
	now := e.now()
	sc := &scrape{Snapshot: e.Ledger.Snapshot(earlier.Snapshot), changes: e.counters.verdictChanges(),
		lastScrape: e.lastScrape.Load()}
	if status, err := e.Source.Status(ctx); err == nil {
		sc.status = status
	}
	auto := autoDetail(sc.Records)
	sc.series = slices.Grow(earlier.series[:0], len(sc.Records))[:len(sc.Records)]
	for i := range sc.Records {
		sc.yieldAt(i)
		rec := &sc.Records[i]
		detailed := auto(rec.Service)
		sc.series[i] = series{Record: rec, fresh: fresh(rec, now), classic: e.Classic.includes(detailed),
			redundant: e.Redundant.includes(detailed), info: e.Info}
	}
	return sc
}

// Families yields one family at a time, because all samples of ten thousand probes together would take more memory
// than the rest of the daemon. An error concerns only its own metrics.
func (e *Exporter) Families(ctx context.Context) iter.Seq2[*dto.MetricFamily, error] {
	return func(yield func(*dto.MetricFamily, error) bool) {
		sc := e.begin(ctx, new(scrape)) // a caller may keep its families
		for f, err := range e.gathered() {
			if !yield(f, err) {
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

// gathered yields the families that are kept in a registry.
func (e *Exporter) gathered() iter.Seq2[*dto.MetricFamily, error] {
	return func(yield func(*dto.MetricFamily, error) bool) {
		all, err := e.registry.Gather() // returns what could be gathered, even with an error
		if err != nil && !yield(nil, err) {
			return
		}
		for _, f := range all {
			if !yield(f, nil) {
				return
			}
		}
	}
}

func (f *family) collect(sc *scrape) *dto.MetricFamily {
	out := &samples{kind: f.kind}
	if f.global != nil {
		f.global(sc, out)
	} else {
		out.all = make([]*dto.Metric, 0, len(sc.series))
		probes := probeSamples{out, make(map[[2]string]*dto.LabelPair)}
		for i := range sc.series {
			sc.yieldAt(i)
			f.perProbe(&sc.series[i], probes)
		}
	}
	return &dto.MetricFamily{Name: &f.name, Help: &f.help, Type: &f.kind, Metric: out.all}
}
