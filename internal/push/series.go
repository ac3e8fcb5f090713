package push

import (
	"math"
	"slices"
	"strconv"
	"strings"

	dto "github.com/prometheus/client_model/go"

	"netwatchd/internal/config"
)

// A series is samples of one set of labels, in the order of time, as remote write sends them.
type series struct {
	labels  []config.Label // ordered by name
	family  *dto.MetricFamily
	samples []sample
	natives []native
}

type sample struct {
	value     float64
	at, since int64 // in milliseconds; since is the created timestamp of a counter, 0 for a gauge
}

// A native is a native histogram at one time.
type native struct {
	*dto.Histogram
	at, since int64
}

// A table turns metrics into series, and joins those of several snapshots.
type table struct {
	extra   []config.Label // labels of every series, unless the series has a label of that name
	natives bool           // whether to include native histograms
	byKey   map[string]*series
	all     []*series
	samples int
}

func newTable(extra []config.Label, natives bool) *table {
	return &table{extra: extra, natives: natives, byKey: make(map[string]*series)}
}

// add adds families with the timestamp at.
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
	value := func(v float64) sample { // a stale histogram makes all its series stale
		if isStale(h.GetSampleSum()) {
			v = staleNaN
		}
		return sample{v, at, since}
	}
	for _, b := range finiteBuckets(h) {
		t.sample(
			f,
			m,
			"_bucket",
			&config.Label{Name: "le", Value: formatFloat(b.GetUpperBound())},
			value(float64(b.GetCumulativeCount())),
		)
	}
	t.sample(f, m, "_bucket", &config.Label{Name: "le", Value: "+Inf"}, value(float64(h.GetSampleCount())))
	t.sample(f, m, "_sum", nil, value(h.GetSampleSum()))
	t.sample(f, m, "_count", nil, value(float64(h.GetSampleCount())))
	if t.natives && h.Schema != nil {
		s := t.seriesOf(f, m, "", nil)
		s.natives = append(s.natives, native{h, at, since})
	}
}

// finiteBuckets are all buckets but the +Inf one.
func finiteBuckets(h *dto.Histogram) []*dto.Bucket {
	if n := len(h.Bucket); n > 0 && math.IsInf(h.Bucket[n-1].GetUpperBound(), 1) {
		return h.Bucket[:n-1]
	}
	return h.Bucket
}

func (t *table) summary(at int64, f *dto.MetricFamily, m *dto.Metric) {
	since := m.Summary.GetCreatedTimestamp().AsTime().UnixMilli()
	value := func(v float64, since int64) sample {
		if isStale(m.Summary.GetSampleSum()) {
			v = staleNaN
		}
		return sample{v, at, since}
	}
	for _, q := range m.Summary.Quantile {
		t.sample(f, m, "", &config.Label{Name: "quantile", Value: formatFloat(q.GetQuantile())}, value(q.GetValue(), 0))
	}
	t.sample(f, m, "_sum", nil, value(m.Summary.GetSampleSum(), since))
	t.sample(f, m, "_count", nil, value(float64(m.Summary.GetSampleCount()), since))
}

// formatFloat writes a bound as OpenMetrics does (1.0 for 1), so that a pushed series has the labels of a scraped one.
func formatFloat(f float64) string {
	text := strconv.FormatFloat(f, 'g', -1, 64)
	if strings.ContainsAny(text, ".eIN") {
		return text
	}
	return text + ".0"
}

func (t *table) sample(f *dto.MetricFamily, m *dto.Metric, suffix string, more *config.Label, v sample) {
	s := t.seriesOf(f, m, suffix, more)
	s.samples = append(s.samples, v)
	t.samples++
}

// seriesOf returns the series of a metric, or of one part of it.
func (t *table) seriesOf(f *dto.MetricFamily, m *dto.Metric, suffix string, more *config.Label) *series {
	labels := make([]config.Label, 0, len(m.Label)+len(t.extra)+2)
	labels = append(labels, config.Label{Name: "__name__", Value: f.GetName() + suffix})
	for _, l := range m.Label {
		if l.GetValue() != "" { // an empty label is the same as no label
			labels = append(labels, config.Label{Name: l.GetName(), Value: l.GetValue()})
		}
	}
	if more != nil {
		labels = append(labels, *more)
	}
	for _, l := range t.extra {
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
