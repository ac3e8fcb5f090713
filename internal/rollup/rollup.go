// Package rollup summarizes attempts per series and minute: counts, failures by class and a sketch of latencies. It
// does no I/O.
package rollup

import (
	"math"
	"slices"

	"netwatchd/internal/ledger"
	"netwatchd/internal/probe"
)

// A Rollup summarizes many attempts of one probe. Latency is that of successful attempts: how long one took to fail is
// mostly its timeout, and would hide the rest.
type Rollup struct {
	Count    uint64 // attempts, including failed ones
	Failures []Failures
	Sum      probe.Seconds // of the latencies, like Min and Max
	Min, Max probe.Seconds
	Sketch   []ledger.Bucket // of the latencies: one count per success
}

// Failures is the number of attempts that ended in a class.
type Failures struct {
	Class probe.Class
	Count uint64
}

// Add counts one attempt.
func (u *Rollup) Add(class probe.Class, took probe.Seconds) {
	u.Count++
	if class != probe.OK {
		u.fail(class, 1)
		return
	}
	if u.OK() == 1 {
		u.Min, u.Max = took, took
	}
	u.Sum, u.Min, u.Max = u.Sum+took, min(u.Min, took), max(u.Max, took)
	u.sketch(ledger.IndexOf(float64(took)), 1)
}

func (u *Rollup) fail(class probe.Class, n uint64) {
	i := slices.IndexFunc(u.Failures, func(f Failures) bool { return f.Class == class })
	if i < 0 {
		i = len(u.Failures)
		u.Failures = append(u.Failures, Failures{Class: class})
	}
	u.Failures[i].Count += n
}

func (u *Rollup) sketch(index int16, n uint32) {
	i, found := slices.BinarySearchFunc(
		u.Sketch,
		index,
		func(b ledger.Bucket, index int16) int { return int(b.Index) - int(index) },
	)
	if !found {
		u.Sketch = slices.Insert(u.Sketch, i, ledger.Bucket{Index: index})
	}
	u.Sketch[i].Count += n
}

// Failed returns how many attempts failed.
func (u *Rollup) Failed() (n uint64) {
	for _, f := range u.Failures {
		n += f.Count
	}
	return n
}

// OK returns how many attempts succeeded.
func (u *Rollup) OK() uint64 { return u.Count - u.Failed() }

// Merge adds all of other.
func (u *Rollup) Merge(other *Rollup) {
	switch {
	case other.OK() == 0:
	case u.OK() == 0:
		u.Min, u.Max = other.Min, other.Max
	default:
		u.Min, u.Max = min(u.Min, other.Min), max(u.Max, other.Max)
	}
	u.Count += other.Count
	u.Sum += other.Sum
	for _, f := range other.Failures {
		u.fail(f.Class, f.Count)
	}
	for _, b := range other.Sketch {
		u.sketch(b.Index, b.Count)
	}
}

// Mean returns the mean latency; zero if nothing succeeded.
func (u *Rollup) Mean() probe.Seconds {
	if u.OK() == 0 {
		return 0
	}
	return u.Sum / probe.Seconds(u.OK())
}

// Quantile returns the latency below which the fraction q of successes lies, within 5 %; zero if nothing succeeded.
func (u *Rollup) Quantile(q float64) probe.Seconds {
	rank := q * float64(u.OK())
	var below float64
	for _, b := range u.Sketch {
		below += float64(b.Count)
		if below >= rank {
			middle := math.Exp2((float64(b.Index) - .5) / (1 << ledger.Schema))
			return min(max(probe.Seconds(middle), u.Min), u.Max)
		}
	}
	return u.Max
}
