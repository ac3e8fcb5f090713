package rollup

import (
	"iter"
	"maps"
	"netwatchd/internal/ledger"
	"slices"
	"time"
)

// A Minute is the roll-ups of one minute, by series.
type Minute struct {
	At    time.Time
	Parts []Part
}

// A Part is the roll-up of one series.
type Part struct {
	ledger.Key
	Rollup
}

// Curves are the measurements of some series between two times, in steps of a minute or more. A step without attempts
// has no point. Where only hours are stored, there is one point per hour.
type Curves struct {
	From, To time.Time
	Step     time.Duration
	points   map[ledger.Key]map[int64]*Rollup // by the number of the step
}

// A Point is one step of a series.
type Point struct {
	At time.Time // its start
	Rollup
}

// NewCurves returns curves of keys without points.
func NewCurves(keys []ledger.Key, from, to time.Time, step time.Duration) *Curves {
	c := &Curves{
		From:   from,
		To:     to,
		Step:   max(step, time.Minute),
		points: make(map[ledger.Key]map[int64]*Rollup, len(keys)),
	}
	for _, k := range keys {
		c.points[k] = make(map[int64]*Rollup)
	}
	return c
}

// Keys returns the series of the curves.
func (c *Curves) Keys() iter.Seq[ledger.Key] { return maps.Keys(c.points) }

// Add adds u at a time to the curve of k. It ignores other series and times out of range.
func (c *Curves) Add(k ledger.Key, at time.Time, u *Rollup) {
	points := c.points[k]
	if points == nil || at.Before(c.From) || !at.Before(c.To) {
		return
	}
	n := FloorDiv(at.UnixMilli(), c.Step.Milliseconds())
	if points[n] == nil {
		points[n] = new(Rollup)
	}
	points[n].Merge(u)
}

// Points returns the points of k in order.
func (c *Curves) Points(k ledger.Key) []Point {
	points := make([]Point, 0, len(c.points[k]))
	for n, u := range c.points[k] {
		points = append(points, Point{time.UnixMilli(n * c.Step.Milliseconds()).UTC(), *u})
	}
	slices.SortFunc(points, func(a, b Point) int { return a.At.Compare(b.At) })
	return points
}

// FloorDiv returns a/b rounded down, also for negative a: times before 1970 are negative.
func FloorDiv(a, b int64) int64 {
	if a < 0 {
		return (a - b + 1) / b
	}
	return a / b
}
