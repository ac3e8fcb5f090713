package web

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"netwatchd/internal/incident"
	"netwatchd/internal/ledger"
	"netwatchd/internal/probe"
	"netwatchd/internal/rollup"
)

// /api/v1/history returns measurements for charts: latency and failures of each matching probe, over a range that ends
// now.
//
//	GET /api/v1/history?service=codex&probe=head&vantage=host&range=1d&limit=24&offset=0
//
// service, probe and vantage may be given more than once; without them, everything matches. range is 1h (the default),
// 1d, 7d or 90d. limit is 1 to 100 series, 24 by default. Errors are 400 bad_parameter and 503 unavailable.
type chart struct {
	Range string    `json:"range"`
	From  time.Time `json:"from"`
	// Begin is where a chart begins: From, or later if netwatchd first ran later. FirstRun is that moment; nil: unknown,
	// or before From.
	Begin    time.Time     `json:"begin"`
	FirstRun *time.Time    `json:"first_run,omitempty"`
	To       time.Time     `json:"to"`
	Step     probe.Seconds `json:"step_seconds"` // length of one point: 60, 300, 1800 or 21600
	Series   []series      `json:"series"`       // ordered by service, probe, kind and vantage
	list
}

// A series is one probe from one vantage. Latencies are those of successful attempts, and null if there is none.
type series struct {
	Service  string         `json:"service"`
	Probe    string         `json:"probe"`
	Kind     probe.Kind     `json:"kind"`
	Vantage  probe.Vantage  `json:"vantage"`
	Attempts uint64         `json:"attempts"` // within the range
	Failed   uint64         `json:"failed"`
	P50      *probe.Seconds `json:"p50_seconds"` // quantiles are within 5 %
	P95      *probe.Seconds `json:"p95_seconds"`
	Points   []point        `json:"points"` // at most 361, in order; no point where there was no attempt
	Gaps     []gap          `json:"gaps"`   // in order; a chart must not draw across one
}

// A point counts the attempts within one step.
type point struct {
	At       time.Time              `json:"at"` // start of the step
	Attempts uint64                 `json:"attempts"`
	Failed   map[probe.Class]uint64 `json:"failed,omitempty"` // by class
	Min      *probe.Seconds         `json:"min_seconds,omitempty"`
	P50      *probe.Seconds         `json:"p50_seconds,omitempty"`
	P95      *probe.Seconds         `json:"p95_seconds,omitempty"`
	Max      *probe.Seconds         `json:"max_seconds,omitempty"`
}

// A gap is a span in which attempts were due and none was made.
type gap struct {
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
	Why  string    `json:"why"` // suspended (the host), not_running (netwatchd), or unknown
}

// A span is how far back a chart goes, in about three hundred steps: one or two pixels each.
type span struct {
	name       string
	long, step time.Duration
}

const day = 24 * time.Hour

var spans = []span{
	{"1h", time.Hour, time.Minute},
	{"1d", day, 5 * time.Minute},
	{"7d", 7 * day, 30 * time.Minute},
	{"90d", 90 * day, 6 * time.Hour},
}

// spanOf finds the span of that name.
func spanOf(name string) (span, error) {
	names := make([]string, len(spans))
	for i, s := range spans {
		if s.name == name {
			return s, nil
		}
		names[i] = s.name
	}
	return spans[0], fmt.Errorf("unknown range %q: use %s", name, strings.Join(names, ", "))
}

// from is the start of a chart that ends at to, rounded down to a step.
func (s span) from(to time.Time) time.Time { return to.Add(-s.long).Truncate(s.step) }

// A series costs a few hundred points and up to two thousand rows of the store.
const (
	defaultSeries = 24
	maxSeries     = 100
)

// leastSteps is the least that a chart shows, so that the first points are not stretched over its whole width.
const leastSteps = 3

// begin returns when a chart that ends at to begins: not before the first run of netwatchd, because hours without data
// show nothing.
func (s span) begin(to, firstRun time.Time) time.Time {
	least := to.Add(-leastSteps * s.step).Truncate(s.step)
	return latest(s.from(to), earliest(least, firstRun.Truncate(s.step)))
}

func (s *Server) apiHistory(w http.ResponseWriter, r *http.Request) {
	q := wanted{span: spans[0]}
	known := q.with(defaultSeries, maxSeries, parameters{
		"service": anyOf(&q.services), "probe": anyOf(&q.probes), "vantage": wordsOf(&q.vantages),
		"range": one(func(name string) (err error) { q.span, err = spanOf(name); return err }),
	})
	if !known.read(w, r) {
		return
	}
	if s.History == nil {
		writeError(w, r, http.StatusServiceUnavailable, "unavailable", "there is no history")
		return
	}
	c, err := s.chart(r.Context(), q, time.Now())
	if err != nil {
		writeError(w, r, http.StatusServiceUnavailable, "unavailable", err.Error())
		return
	}
	c.list = listOf(r, q.window, len(c.Series), c.Total)
	writeJSON(w, http.StatusOK, c)
}

// wanted selects the series of a chart.
type wanted struct {
	services, probes []string
	vantages         []probe.Vantage
	span             span
	window
}

func (q wanted) matches(k ledger.Key) bool {
	return among(q.probes, k.Probe) && among(q.vantages, k.Vantage)
}

func (s *Server) chart(ctx context.Context, q wanted, now time.Time) (*chart, error) {
	keys, err := s.History.Keys(ctx, q.services...)
	if err != nil {
		return nil, err
	}
	keys = slices.DeleteFunc(keys, func(k ledger.Key) bool { return !q.matches(k) })
	c := &chart{Range: q.span.name, From: q.span.from(now), To: now, Step: probe.InSeconds(q.span.step),
		Series: []series{}, list: list{Total: len(keys)}}
	from := min(q.offset, len(keys))
	keys = keys[from:min(from+q.limit, len(keys))]
	curves := rollup.NewCurves(keys, c.From, c.To, q.span.step)
	if err := s.History.Series(ctx, curves); err != nil {
		return nil, err
	}
	absences, err := s.History.Gaps(ctx, c.From, c.To)
	if err != nil {
		return nil, err
	}
	first, err := s.History.Begin(ctx)
	if err != nil {
		return nil, err
	}
	c.Begin = q.span.begin(now, first)
	if first.After(c.From) {
		c.FirstRun = &first
	}
	for _, k := range keys {
		c.Series = append(c.Series, seriesOf(k, curves, absences))
	}
	return c, nil
}

func seriesOf(k ledger.Key, c *rollup.Curves, absences []incident.Gap) series {
	points := c.Points(k)
	s := series{Service: k.Service, Probe: k.Probe, Kind: k.Kind, Vantage: k.Vantage,
		Points: make([]point, len(points)), Gaps: gaps(points, c, absences)}
	var all rollup.Rollup
	for i, p := range points {
		s.Points[i] = pointOf(p)
		all.Merge(&p.Rollup)
	}
	s.Attempts, s.Failed = all.Count, all.Failed()
	if all.OK() > 0 {
		s.P50, s.P95 = new(all.Quantile(.5)), new(all.Quantile(.95))
	}
	return s
}

func pointOf(p rollup.Point) point {
	shown := point{At: p.At, Attempts: p.Count}
	if p.OK() > 0 {
		shown.Min, shown.P50, shown.P95, shown.Max = new(p.Min), new(p.Quantile(.5)), new(p.Quantile(.95)), new(p.Max)
	}
	if len(p.Failures) > 0 {
		shown.Failed = make(map[probe.Class]uint64, len(p.Failures))
		for _, f := range p.Failures {
			shown.Failed[f.Class] = f.Count
		}
	}
	return shown
}

// gaps are the stretches without points that are longer than the usual pause between attempts, or in which netwatchd
// did not run or the host was suspended.
func gaps(points []rollup.Point, c *rollup.Curves, absences []incident.Gap) []gap {
	found := []gap{}
	pause := usualPause(points)
	empty := func(from, to time.Time) {
		if to.Sub(from) < c.Step {
			return
		}
		known := false
		for _, a := range absences {
			g := gap{latest(from, a.From), earliest(to, a.To), "not_running"}
			if a.Suspended {
				g.Why = "suspended"
			}
			// Less than half a step: a restart between two attempts.
			if g.To.Sub(g.From) >= c.Step/2 {
				found, known = append(found, g), true
			}
		}
		if !known && pause > 0 && to.Sub(from) > 2*pause {
			found = append(found, gap{from, to, "unknown"})
		}
	}
	end := c.From
	for _, p := range points {
		empty(end, p.At)
		end = p.At.Add(c.Step)
	}
	empty(end, c.To)
	return found
}

// With fewer than minPoints, the usual distance of points is not known.
const minPoints = 4

// usualPause is the median distance of points; zero if there are too few.
func usualPause(points []rollup.Point) time.Duration {
	if len(points) < minPoints {
		return 0
	}
	apart := make([]time.Duration, len(points)-1)
	for i := range apart {
		apart[i] = points[i+1].At.Sub(points[i].At)
	}
	slices.Sort(apart)
	return apart[len(apart)/2]
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func earliest(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
