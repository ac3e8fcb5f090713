package metrics

import (
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"netwatchd/internal/ledger"
)

// A sample is a gauge or a counter whose labels may be shared with its neighbours: with ten thousand probes the label
// pairs that client_golang's own constant metrics allocate anew for each would be most of a scrape's memory.
type sample struct {
	desc    *prometheus.Desc
	labels  []*dto.LabelPair
	value   float64
	counter bool
}

func gauge(d *prometheus.Desc, labels []*dto.LabelPair, v float64) prometheus.Metric {
	return &sample{desc: d, labels: labels, value: v}
}

func counter(d *prometheus.Desc, labels []*dto.LabelPair, v float64) prometheus.Metric {
	return &sample{desc: d, labels: labels, value: v, counter: true}
}

func (s *sample) Desc() *prometheus.Desc { return s.desc }

func (s *sample) Write(m *dto.Metric) error {
	m.Label = s.labels
	if s.counter {
		m.Counter = &dto.Counter{Value: &s.value}
	} else {
		m.Gauge = &dto.Gauge{Value: &s.value}
	}
	return nil
}

// labelPairs makes label pairs of names and values in turn, ordered by name as the exposition wants them. A value that is
// not UTF-8 is mended, since one such label would fail the whole scrape.
func labelPairs(namesAndValues ...string) []*dto.LabelPair {
	pairs := make([]*dto.LabelPair, 0, len(namesAndValues)/2)
	for i := 0; i < len(namesAndValues); i += 2 {
		pairs = append(pairs, &dto.LabelPair{
			Name: &namesAndValues[i], Value: new(strings.ToValidUTF8(namesAndValues[i+1], "\uFFFD")),
		})
	}
	slices.SortFunc(pairs, byName)
	return pairs
}

// with adds to labels, without touching them.
func with(labels []*dto.LabelPair, namesAndValues ...string) []*dto.LabelPair {
	all := append(slices.Clone(labels), labelPairs(namesAndValues...)...)
	slices.SortFunc(all, byName)
	return all
}

func byName(a, b *dto.LabelPair) int { return strings.Compare(a.GetName(), b.GetName()) }

// A histogram is exported in classic and in native buckets: an old Prometheus scrapes the ones, a new one the others.
type histogram struct {
	labels []*dto.LabelPair
	h      ledger.Histogram
}

func (h *histogram) Desc() *prometheus.Desc { return durations }

func (h *histogram) Write(m *dto.Metric) error {
	m.Label = h.labels
	m.Histogram = &dto.Histogram{
		SampleCount:   &h.h.Count,
		SampleSum:     &h.h.Sum,
		Bucket:        classic(h.h),
		Schema:        new(int32(ledger.Schema)),
		ZeroThreshold: new(0.0),
		ZeroCount:     new(uint64(0)),
	}
	m.Histogram.PositiveSpan, m.Histogram.PositiveDelta = native(h.h.Native)
	return nil
}

func classic(h ledger.Histogram) []*dto.Bucket {
	buckets := make([]*dto.Bucket, len(ledger.Bounds))
	var below uint64
	for i, n := range h.Classic {
		below += uint64(n)
		buckets[i] = &dto.Bucket{UpperBound: &ledger.Bounds[i], CumulativeCount: new(below)}
	}
	return buckets
}

// native writes buckets as runs of neighbours, each count as its difference from the one before.
func native(buckets []ledger.Bucket) (spans []*dto.BucketSpan, deltas []int64) {
	var before int64
	next := int16(0) // the index that would continue the last span
	for i, b := range buckets {
		if i > 0 && b.Index == next {
			*spans[len(spans)-1].Length++
		} else {
			// The first offset is absolute, the others count from the end of the span before (client_model, BucketSpan).
			spans = append(spans, &dto.BucketSpan{Offset: new(int32(b.Index - next)), Length: new(uint32(1))})
		}
		next = b.Index + 1
		deltas = append(deltas, int64(b.Count)-before)
		before = int64(b.Count)
	}
	return spans, deltas
}
