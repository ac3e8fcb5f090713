package main

import (
	"math"
	"slices"
	"sync"
	"time"
)

// arrivals record when requests reached each target, and when their answers left.
type arrivals struct {
	begun time.Time

	mu      sync.Mutex
	first   time.Duration // when the first one came; zero: none has
	total   int
	perNode [][]exchange
}

// An exchange is one request, as time since the recording began; answered is zero if that is not recorded.
type exchange struct{ came, answered time.Duration }

func newArrivals(targets int) *arrivals {
	return &arrivals{begun: time.Now(), perNode: make([][]exchange, targets)}
}

// restart forgets what came before.
func (a *arrivals) restart() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.total = 0
	for i := range a.perNode {
		a.perNode[i] = a.perNode[i][:0]
	}
}

func (a *arrivals) add(target int, came, answered time.Time) {
	e := exchange{came: came.Sub(a.begun)}
	if !answered.IsZero() {
		e.answered = answered.Sub(a.begun)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.first == 0 {
		a.first = e.came
	}
	a.total++
	if target >= 0 && target < len(a.perNode) {
		a.perNode[target] = append(a.perNode[target], e)
	}
}

func (a *arrivals) count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.total
}

// deviations returns how far every request was from its target's schedule, sorted. The schedule of a target is what its
// requests fit best: its interval, from the median of their offsets.
func (a *arrivals) deviations(interval time.Duration) []time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	var all []time.Duration
	for _, came := range a.perNode {
		if len(came) < 3 { // two always fit
			continue
		}
		offsets := make([]time.Duration, len(came))
		for i, e := range came {
			since := e.came - came[0].came
			offsets[i] = since - time.Duration(math.Round(float64(since)/float64(interval)))*interval
		}
		slices.Sort(offsets)
		median := offsets[len(offsets)/2]
		for _, offset := range offsets {
			all = append(all, (offset - median).Abs())
		}
	}
	slices.Sort(all)
	return all
}

// at returns the value at that share of a sorted list; zero if it is empty.
func at(sorted []time.Duration, share float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[int(share*float64(len(sorted)-1))]
}
