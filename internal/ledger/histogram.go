package ledger

import (
	"math"
	"slices"
)

// Schema is the resolution of the native histogram: eight buckets to each doubling, so that a quantile is within 5 %
// (Prometheus, "Native Histograms", standard exponential schemas).
const Schema = 3

// Bounds are the upper bounds of the classic buckets, in seconds: a resolver in the house (1 ms) to the longest default
// timeout (90 s, an agent's run), denser where people ask whether an answer was late.
var Bounds = [...]float64{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 90}

// A Histogram counts durations in classic and in native buckets. It is small on purpose, since there may be ten thousand:
// about 150 bytes with the usual handful of native buckets, where client_golang's own takes some kilobytes.
type Histogram struct {
	Count   uint64
	Sum     float64
	Classic [len(Bounds)]uint32 // not cumulative; what is above the last bound is in Count alone
	Native  []Bucket            // ascending, only those ever used
}

// A Bucket of a native histogram: Index i of schema 3 holds (2^((i-1)/8), 2^(i/8)] seconds.
type Bucket struct {
	Index int16
	Count uint32
}

// IndexOf is the index of the bucket that holds a duration. A microsecond is the clock's resolution here: anything shorter
// shares its bucket, and zero has none of its own.
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
	i, found := slices.BinarySearchFunc(h.Native, index, func(b Bucket, index int16) int { return int(b.Index) - int(index) })
	if !found {
		h.Native = slices.Insert(h.Native, i, Bucket{Index: index})
	}
	h.Native[i].Count++
}
