package push

import (
	"math"
	"slices"
	"strconv"
	"strings"

	dto "github.com/prometheus/client_model/go"

	"netwatchd/internal/config"
)

// A series is what remote write sends: samples in the order of their time under one set of labels.
type series struct {
	labels  []config.Label // in the order of their names
	family  *dto.MetricFamily
	samples []sample
	natives []native
}

type sample struct {
	value     float64
	at, since int64 // in milliseconds; since is when a counter began to count, 0 for what is no counter
}

// A native is a native histogram at one time.
type native struct {
	*dto.Histogram
	at, since int64
}

// A table makes series of metrics. Those of several moments meet in the same series.
type table struct {
	beside  []config.Label // of every series, unless it has one of that name
	natives bool           // whether they are wanted
	byKey   map[string]*series
	all     []*series
	samples int
}

func newTable(beside []config.Label, natives bool) *table {
	return &table{beside: beside, natives: natives, byKey: make(map[string]*series)}
}

// add adds families as they were at a time.
func (t *table) add(at int64, families []*dto.MetricFamily) {
	for _, f := range families {
		for _, m := range f.Metric {
			t.metric(at, f, m)
		}
	}
}

func (t *table) metric(at int64, f *dto.MetricFamily, m *dto.Metric) {
	switch {
	case m.Histogram != nil:
		t.histogram(at, f, m)
	case m.Summary != nil:
		t.summary(at, f, m)
	case m.Counter != nil:
		t.sample(f, m, "", nil, sample{m.Counter.GetValue(), at, m.Counter.GetCreatedTimestamp().AsTime().UnixMilli()})
	case m.Gauge != nil:
		t.sample(f, m, "", nil, sample{m.Gauge.GetValue(), at, 0})
	case m.Untyped != nil:
		t.sample(f, m, "", nil, sample{m.Untyped.GetValue(), at, 0})
	}
}

func (t *table) histogram(at int64, f *dto.MetricFamily, m *dto.Metric) {
	h := m.Histogram
	since := h.GetCreatedTimestamp().AsTime().UnixMilli()
	value := func(v float64) sample { // a histogram ends with all that it is made of
		if isGone(h.GetSampleSum()) {
			v = gone
		}
		return sample{v, at, since}
	}
	for _, b := range bounded(h) {
		t.sample(f, m, "_bucket", &config.Label{Name: "le", Value: number(b.GetUpperBound())}, value(float64(b.GetCumulativeCount())))
	}
	t.sample(f, m, "_bucket", &config.Label{Name: "le", Value: "+Inf"}, value(float64(h.GetSampleCount())))
	t.sample(f, m, "_sum", nil, value(h.GetSampleSum()))
	t.sample(f, m, "_count", nil, value(float64(h.GetSampleCount())))
	if t.natives && h.Schema != nil {
		s := t.of(f, m, "", nil)
		s.natives = append(s.natives, native{h, at, since})
	}
}

// bounded are the buckets that have a bound.
func bounded(h *dto.Histogram) []*dto.Bucket {
	if n := len(h.Bucket); n > 0 && math.IsInf(h.Bucket[n-1].GetUpperBound(), 1) {
		return h.Bucket[:n-1]
	}
	return h.Bucket
}

func (t *table) summary(at int64, f *dto.MetricFamily, m *dto.Metric) {
	since := m.Summary.GetCreatedTimestamp().AsTime().UnixMilli()
	value := func(v float64, since int64) sample {
		if isGone(m.Summary.GetSampleSum()) {
			v = gone
		}
		return sample{v, at, since}
	}
	for _, q := range m.Summary.Quantile {
		t.sample(f, m, "", &config.Label{Name: "quantile", Value: number(q.GetQuantile())}, value(q.GetValue(), 0))
	}
	t.sample(f, m, "_sum", nil, value(m.Summary.GetSampleSum(), since))
	t.sample(f, m, "_count", nil, value(float64(m.Summary.GetSampleCount()), since))
}

// number writes a bound as OpenMetrics does, 1.0 for 1: as in a scrape, so that both make the same series.
func number(f float64) string {
	text := strconv.FormatFloat(f, 'g', -1, 64)
	if strings.ContainsAny(text, ".eIN") {
		return text
	}
	return text + ".0"
}

func (t *table) sample(f *dto.MetricFamily, m *dto.Metric, suffix string, more *config.Label, v sample) {
	s := t.of(f, m, suffix, more)
	s.samples = append(s.samples, v)
	t.samples++
}

// of is the series of a metric, or of a part of it.
func (t *table) of(f *dto.MetricFamily, m *dto.Metric, suffix string, more *config.Label) *series {
	labels := make([]config.Label, 0, len(m.Label)+len(t.beside)+2)
	labels = append(labels, config.Label{Name: "__name__", Value: f.GetName() + suffix})
	for _, l := range m.Label {
		if l.GetValue() != "" { // a label without a value is one that is not there
			labels = append(labels, config.Label{Name: l.GetName(), Value: l.GetValue()})
		}
	}
	if more != nil {
		labels = append(labels, *more)
	}
	for _, l := range t.beside {
		if !slices.ContainsFunc(labels, func(own config.Label) bool { return own.Name == l.Name }) {
			labels = append(labels, l)
		}
	}
	slices.SortFunc(labels, func(a, b config.Label) int { return strings.Compare(a.Name, b.Name) })
	var key strings.Builder
	for _, l := range labels {
		key.WriteString(l.Name + "\x00" + l.Value + "\x00")
	}
	s := t.byKey[key.String()]
	if s == nil {
		s = &series{labels: labels, family: f}
		t.byKey[key.String()] = s
		t.all = append(t.all, s)
	}
	return s
}
