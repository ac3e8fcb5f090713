package web

import (
	"time"

	"netwatchd/internal/probe"
)

// /api/v1/history answers with what was measured, for charts: latency and failures of each matching probe over a range that
// ends now.
//
//	GET /api/v1/history?service=codex&probe=head&vantage=host&range=1d&limit=24&offset=0
//
// service, probe and vantage may be given more than once; left out, they match all. range is 1h (by default), 1d, 7d or 90d.
// limit is 1 to 100 series, 24 unless given. Errors are 400 bad_parameter and 503 unavailable.
type chart struct {
	Range  string        `json:"range"`
	From   time.Time     `json:"from"`
	To     time.Time     `json:"to"`
	Step   probe.Seconds `json:"step_seconds"` // what one point stands for: 60, 300, 1800 or 21600
	Series []series      `json:"series"`       // by service, probe and vantage
	Total  int           `json:"total"`        // that match, beyond the limit too
}

// A series is one probe from one vantage. Its latencies are those of attempts that succeeded, and null if none did.
type series struct {
	Service  string         `json:"service"`
	Probe    string         `json:"probe"`
	Kind     probe.Kind     `json:"kind"`
	Vantage  probe.Vantage  `json:"vantage"`
	Attempts uint64         `json:"attempts"` // within the range
	Failed   uint64         `json:"failed"`
	P50      *probe.Seconds `json:"p50_seconds"` // quantiles are within 5 %
	P95      *probe.Seconds `json:"p95_seconds"`
	Points   []point        `json:"points"` // at most 360, in order; none where nothing was attempted
	Gaps     []gap          `json:"gaps"`   // in order; a chart must not draw over one
}

// A point is what was attempted within one step.
type point struct {
	At       time.Time              `json:"at"` // its beginning
	Attempts uint64                 `json:"attempts"`
	Failed   map[probe.Class]uint64 `json:"failed,omitempty"` // by class
	Min      *probe.Seconds         `json:"min_seconds,omitempty"`
	P50      *probe.Seconds         `json:"p50_seconds,omitempty"`
	P95      *probe.Seconds         `json:"p95_seconds,omitempty"`
	Max      *probe.Seconds         `json:"max_seconds,omitempty"`
}

// A gap is a span in which a probe should have been made and was not.
type gap struct {
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
	Why  string    `json:"why"` // suspended: this host slept; not_running: netwatchd did; not_probed: neither
}
