package push

import (
	"iter"
	"math"
	"strings"
	"time"

	dto "github.com/prometheus/client_model/go"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// gone is the value that says of a series that it has ended: the staleness marker of Prometheus, one of the many NaNs
// (https://prometheus.io/docs/specs/prw/remote_write_spec_2_0/#stale-markers). Of a histogram or a summary it is the sum.
var gone = math.Float64frombits(0x7ff0000000000002)

func isGone(v float64) bool { return math.Float64bits(v) == math.Float64bits(gone) }

// A past remembers which series there were, so that of each that is no longer there it can be said once.
type past struct {
	started *timestamppb.Timestamp
	round   int
	series  map[string]*remembered
}

type remembered struct {
	round  int
	family *dto.MetricFamily
	metric *dto.Metric
}

func newPast(started time.Time) *past {
	return &past{started: timestamppb.New(started), series: make(map[string]*remembered)}
}

// next passes the families of one moment on, with what they lack: since when each counter counts, and the series that have
// ended since the moment before.
func (p *past) next(families iter.Seq[*dto.MetricFamily]) iter.Seq[*dto.MetricFamily] {
	return func(yield func(*dto.MetricFamily) bool) {
		p.round++
		for f := range families {
			head := &dto.MetricFamily{Name: f.Name, Help: f.Help, Type: f.Type, Unit: f.Unit}
			for _, m := range f.Metric {
				p.begin(m)
				p.remember(head, m)
			}
			if !yield(f) {
				return
			}
		}
		p.ended(yield)
	}
}

// end is all series ended.
func (p *past) end() iter.Seq[*dto.MetricFamily] {
	return func(yield func(*dto.MetricFamily) bool) {
		p.round++
		p.ended(yield)
	}
}

// begin says since when m counts, if it does not say so itself: like the daemon itself, from nothing.
func (p *past) begin(m *dto.Metric) {
	switch {
	case m.Counter != nil && m.Counter.CreatedTimestamp == nil:
		m.Counter.CreatedTimestamp = p.started
	case m.Histogram != nil && m.Histogram.CreatedTimestamp == nil:
		m.Histogram.CreatedTimestamp = p.started
	case m.Summary != nil && m.Summary.CreatedTimestamp == nil:
		m.Summary.CreatedTimestamp = p.started
	}
}

func (p *past) remember(head *dto.MetricFamily, m *dto.Metric) {
	var b strings.Builder
	b.WriteString(head.GetName())
	for _, l := range m.Label {
		b.WriteString("\x00" + l.GetName() + "\x00" + l.GetValue())
	}
	if known := p.series[b.String()]; known != nil {
		known.round, known.metric = p.round, m
	} else {
		p.series[b.String()] = &remembered{p.round, head, m}
	}
}

func (p *past) ended(yield func(*dto.MetricFamily) bool) {
	families := make(map[string]*dto.MetricFamily)
	for key, s := range p.series {
		if s.round == p.round {
			continue
		}
		delete(p.series, key)
		end(s.metric)
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

// end makes of a metric the word that it has ended.
func end(m *dto.Metric) {
	switch {
	case m.Gauge != nil:
		m.Gauge.Value = &gone
	case m.Counter != nil:
		m.Counter.Value = &gone
	case m.Untyped != nil:
		m.Untyped.Value = &gone
	case m.Histogram != nil:
		m.Histogram.SampleSum = &gone
	case m.Summary != nil:
		m.Summary.SampleSum = &gone
	}
}
