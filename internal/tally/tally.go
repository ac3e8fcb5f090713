// Package tally counts over rounds how the attempts of one probe end. It finds a fault in pieces: attempts fail and
// succeed by turns, so that each round by itself shows a service that works.
package tally

import (
	"math/bits"
	"time"

	"netwatchd/internal/probe"
)

// Limits say how many failures are a fault in pieces.
type Limits struct {
	// Failures is how many separate failures it takes: each came after an attempt that succeeded. Zero: nothing is
	// counted.
	Failures int
	Of       int // among this many of the latest attempts; at most MaxOf
}

const (
	// MaxOf keeps all attempts that a Tally remembers in the bits of one word: there may be ten thousand probes.
	MaxOf = 64 / calm

	// calm is how many times Of attempts must succeed in a row before the fault is over. Of 60 attempts in a row one that
	// fails every fifth time never spares all (0.8^60 is one in 600,000), and one that fails every tenth time does so once
	// in 500: then the verdict does not go back and forth. At the default interval the end is noticed after half an hour.
	calm = 3

	// keptFor is how long counts outlast the end of the daemon. An upgrade takes seconds; after a quarter of an hour,
	// thirty attempts at the default interval are missing, and the old ones say nothing about now.
	keptFor = 15 * time.Minute
)

// A Tally is how the latest attempts of one probe ended, from its first failure on. The zero Tally has none.
type Tally struct {
	Failed uint64 `json:"failed"` // a bit for each attempt that failed, the latest is the lowest
	Count  int    `json:"count"`  // attempts counted, up to 64
	// Stands: the attempts fail too often, and have not been calm since.
	Stands bool `json:"stands,omitempty"`
	// Last is the latest attempt that failed.
	Last probe.Result `json:"last"`
	// At is the start of the latest attempt.
	At time.Time `json:"at"`
}

// Add counts r. It reports false if there is nothing left to remember: then the Tally is zero again.
func (t *Tally) Add(r probe.Result, l Limits) bool {
	t.Failed <<= 1
	t.Count = min(t.Count+1, 64)
	t.At = r.Start
	if !r.OK() {
		t.Failed |= 1
		t.Last = r
	}
	t.Stands = t.Stands || t.separate(l.Of) >= l.Failures
	remembered := l.Of
	if t.Stands {
		remembered *= calm
	}
	isSteady := t.Count >= l.Of && t.failures(l.Of) == l.Of // it does not fail in pieces, but always
	if t.failures(remembered) == 0 || isSteady && t.Stands {
		*t = Tally{}
		return false
	}
	return true
}

// failures returns how many of the latest n attempts failed.
func (t *Tally) failures(n int) int { return bits.OnesCount64(t.Failed & latest(n)) }

// separate returns how many of the latest n attempts failed after one that had succeeded. The first one counted did.
func (t *Tally) separate(n int) int {
	return bits.OnesCount64(t.Failed & ^(t.Failed >> 1) & latest(min(n, t.Count)))
}

// latest is a mask of the lowest n bits.
func latest(n int) uint64 { return 1<<n - 1 }

// Share returns how many of the attempts that it remembers failed, and how many these are.
func (t *Tally) Share(l Limits) (failed, of int) {
	of = min(t.Count, calm*l.Of)
	return t.failures(of), of
}

// Row returns how many of the latest attempts failed in a row.
func (t *Tally) Row() int { return bits.TrailingZeros64(^t.Failed) }

// IsValid reports whether t, which an earlier run of the daemon has kept, still says something at that time about the
// probe of Last.
func (t *Tally) IsValid(now time.Time) bool {
	age := now.Sub(t.At)
	return age >= 0 && age <= keptFor && t.Count > 0 && t.Count <= 64 && t.Failed != 0 && t.Failed&^latest(t.Count) == 0 &&
		t.Last.Role == probe.OfService && t.Last.Vantage == probe.FromHost && !t.Last.OK() && !t.Last.Start.After(now)
}
