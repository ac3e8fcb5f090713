package push

import (
	"iter"
	"math"
	"strings"
	"time"

	dto "github.com/prometheus/client_model/go"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// staleNaN is the value that ends a series: Prometheus' staleness marker, one particular NaN
// (https://prometheus.io/docs/specs/prw/remote_write_spec_2_0/#stale-markers). In a histogram or a summary it is the
// sum.
var staleNaN = math.Float64frombits(0x7ff0000000000002)

func isStale(v float64) bool { return math.Float64bits(v) == math.Float64bits(staleNaN) }

// A tracker keeps the series that were sent, so that each one that disappears is marked stale once.
type tracker struct {
	started *timestamppb.Timestamp
	round   int
	series  map[string]*tracked
}

type tracked struct {
	round  int
	family *dto.MetricFamily
	metric *dto.Metric
}

func newTracker(started time.Time) *tracker {
	return &tracker{started: timestamppb.New(started), series: make(map[string]*tracked)}
}

// next yields the families of one snapshot. It adds created timestamps to counters that lack them, and a staleness
// marker for each series that has disappeared since the previous snapshot.
func (p *tracker) next(families iter.Seq[*dto.MetricFamily]) iter.Seq[*dto.MetricFamily] {
	return func(yield func(*dto.MetricFamily) bool) {
		p.round++
		for f := range families {
			head := &dto.MetricFamily{Name: f.Name, Help: f.Help, Type: f.Type, Unit: f.Unit}
			for _, m := range f.Metric {
				p.setCreated(m)
				p.track(head, m)
			}
			if !yield(f) {
				return
			}
		}
		p.yieldStale(yield)
	}
}

// allStale yields a staleness marker for every series.
func (p *tracker) allStale() iter.Seq[*dto.MetricFamily] {
	return func(yield func(*dto.MetricFamily) bool) {
		p.round++
		p.yieldStale(yield)
	}
}

// setCreated sets m's created timestamp to the start of the daemon, if it has none.
func (p *tracker) setCreated(m *dto.Metric) {
	switch {
	case m.Counter != nil && m.Counter.CreatedTimestamp == nil:
		m.Counter.CreatedTimestamp = p.started
	case m.Histogram != nil && m.Histogram.CreatedTimestamp == nil:
		m.Histogram.CreatedTimestamp = p.started
	case m.Summary != nil && m.Summary.CreatedTimestamp == nil:
		m.Summary.CreatedTimestamp = p.started
	}
}

func (p *tracker) track(head *dto.MetricFamily, m *dto.Metric) {
	var b strings.Builder
	b.WriteString(head.GetName())
	for _, l := range m.Label {
		b.WriteString("\x00" + l.GetName() + "\x00" + l.GetValue())
	}
	if known := p.series[b.String()]; known != nil {
		known.round, known.metric = p.round, m
	} else {
		p.series[b.String()] = &tracked{p.round, head, m}
	}
}

func (p *tracker) yieldStale(yield func(*dto.MetricFamily) bool) {
	families := make(map[string]*dto.MetricFamily)
	for key, s := range p.series {
		if s.round == p.round {
			continue
		}
		delete(p.series, key)
		markStale(s.metric)
		f := families[s.family.GetName()]
		if f == nil {
			f = s.family
			f.Metric = nil
			families[f.GetName()] = f
		}
		f.Metric = append(f.Metric, s.metric)
	}
	for _, f := range families {
		if !yield(f) {
			return
		}
	}
}

// markStale turns m into a staleness marker.
func markStale(m *dto.Metric) {
	switch {
	case m.Gauge != nil:
		m.Gauge.Value = &staleNaN
	case m.Counter != nil:
		m.Counter.Value = &staleNaN
	case m.Untyped != nil:
		m.Untyped.Value = &staleNaN
	case m.Histogram != nil:
		m.Histogram.SampleSum = &staleNaN
	case m.Summary != nil:
		m.Summary.SampleSum = &staleNaN
	}
}
