package ledger

import (
	"math"
	"slices"
)

// Schema is the resolution of the native histogram: eight buckets for each doubling, so that a quantile is within 5 %
// (Prometheus, "Native Histograms", standard exponential schemas).
const Schema = 3

// Bounds are the upper bounds of the classic buckets, in seconds: from a local resolver (1 ms) to the longest default
// timeout (90 s, a run of the agent), and denser where the bounds for late answers usually are.
var Bounds = [...]float64{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 90}

// A Histogram counts durations in classic and native buckets. It is small because there may be ten thousand: about
// 150 bytes with the usual few native buckets. That of client_golang takes some kilobytes.
type Histogram struct {
	Count   uint64
	Sum     float64
	Classic [len(Bounds)]uint32 // not cumulative; durations above the last bound are in Count only
	Native  []Bucket            // ascending; only buckets that were ever used
}

// A Bucket of a native histogram: Index i of schema 3 holds (2^((i-1)/8), 2^(i/8)] seconds.
type Bucket struct {
	Index int16
	Count uint32
}

// IndexOf returns the index of the bucket for a duration. Durations below a microsecond, zero included, share its
// bucket: the clock's resolution is no better.
func IndexOf(seconds float64) int16 {
	return int16(math.Ceil(math.Log2(max(seconds, 1e-6)) * (1 << Schema)))
}

// Observe counts one duration.
func (h *Histogram) Observe(seconds float64) {
	h.Count++
	h.Sum += seconds
	if i, _ := slices.BinarySearch(Bounds[:], seconds); i < len(Bounds) {
		h.Classic[i]++
	}
	index := IndexOf(seconds)
	i, found := slices.BinarySearchFunc(
		h.Native,
		index,
		func(b Bucket, index int16) int { return int(b.Index) - int(index) },
	)
	if !found {
		h.Native = slices.Insert(h.Native, i, Bucket{Index: index})
	}
	h.Native[i].Count++
}
