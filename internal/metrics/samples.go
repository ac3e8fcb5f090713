package metrics

import (
	"slices"
	"strings"

	dto "github.com/prometheus/client_model/go"

	"netwatchd/internal/ledger"
)

// samples collects the samples of one family. Label slices may be shared with other families.
type samples struct {
	kind dto.MetricType
	all  []*dto.Metric
}

// add adds a sample of a gauge or a counter.
func (s *samples) add(labels []*dto.LabelPair, value float64) {
	sample := new(struct { // one allocation, not three
		metric  dto.Metric
		gauge   dto.Gauge
		counter dto.Counter
		value   float64
	})
	sample.value = value
	sample.metric.Label = labels
	if s.kind == counter {
		sample.counter.Value = &sample.value
		sample.metric.Counter = &sample.counter
	} else {
		sample.gauge.Value = &sample.value
		sample.metric.Gauge = &sample.gauge
	}
	s.all = append(s.all, &sample.metric)
}

// probeSamples collects the samples of a family of probes. Most share the pairs of their other labels.
type probeSamples struct {
	*samples
	shared map[[2]string]*dto.LabelPair
}

func (s probeSamples) add(p *series, value float64, more labels) {
	s.samples.add(s.with(p.pairs(), more), value)
}

// with returns the probe's labels and more.
func (s probeSamples) with(own []*dto.LabelPair, more labels) []*dto.LabelPair {
	if more == (labels{}) {
		return own
	}
	all := append(make([]*dto.LabelPair, 0, len(own)+len(more)), own...)
	for _, pair := range more {
		if pair[0] == "" {
			break
		}
		if s.shared[pair] == nil {
			s.shared[pair] = labelPairs(pair[0], pair[1])[0]
		}
		all = append(all, s.shared[pair])
	}
	slices.SortFunc(all, byName)
	return all
}

// addHistogram adds native buckets, and classic ones for an old Prometheus.
func (s probeSamples) addHistogram(p *series) {
	h := &p.Durations
	exported := &dto.Histogram{
		SampleCount:   &h.Count,
		SampleSum:     &h.Sum,
		Schema:        new(int32(ledger.Schema)),
		ZeroThreshold: new(0.0),
		ZeroCount:     new(uint64(0)),
	}
	if p.classic {
		exported.Bucket = classic(h)
	}
	exported.PositiveSpan, exported.PositiveDelta = native(h.Native)
	s.all = append(s.all, &dto.Metric{Label: p.pairs(), Histogram: exported})
}

func classic(h *ledger.Histogram) []*dto.Bucket {
	pieces := new([len(ledger.Bounds)]struct {
		bucket dto.Bucket
		count  uint64
	})
	buckets := make([]*dto.Bucket, len(pieces))
	var below uint64
	for i, n := range h.Classic {
		below += uint64(n)
		pieces[i].count = below
		pieces[i].bucket.UpperBound, pieces[i].bucket.CumulativeCount = &ledger.Bounds[i], &pieces[i].count
		buckets[i] = &pieces[i].bucket
	}
	return buckets
}

// native encodes buckets as spans of neighbours and counts as deltas.
func native(buckets []ledger.Bucket) (spans []*dto.BucketSpan, deltas []int64) {
	var before int64
	next := int16(0) // the index that would continue the last span
	for i, b := range buckets {
		if i > 0 && b.Index == next {
			*spans[len(spans)-1].Length++
		} else {
			// The first offset is absolute, the others count from the end of the span before (client_model,
			// BucketSpan).
			spans = append(spans, &dto.BucketSpan{Offset: new(int32(b.Index - next)), Length: new(uint32(1))})
		}
		next = b.Index + 1
		deltas = append(deltas, int64(b.Count)-before)
		before = int64(b.Count)
	}
	return spans, deltas
}

// labelPairs makes label pairs of alternating names and values, sorted by name as the exposition format requires.
// Invalid UTF-8 in a value is replaced, because one invalid label would fail the whole scrape.
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

func byName(a, b *dto.LabelPair) int { return strings.Compare(a.GetName(), b.GetName()) }
