package record

import (
	"slices"
	"strings"
	"time"

	"netwatchd/internal/humanize"
	"netwatchd/internal/incident"
	"netwatchd/internal/probe"
)

// A Recovery is what showed that an incident was over.
type Recovery struct {
	At     time.Time `json:"at"`     // of the round that closed it
	Probes []string  `json:"probes"` // of the service that succeeded in that round, on this host
	Runs   int       `json:"runs"`   // of the agent in the hour after
	OK     int       `json:"ok"`     // of these runs
}

// recovery returns nil for an observation, for an open incident, and for one that closed without a round: its service
// was removed.
func (r *Record) recovery(d *incident.Detail) {
	if r.Observation || r.Closed == nil || r.Ended != "" || len(d.Verdicts) == 0 {
		return
	}
	last := d.Verdicts[len(d.Verdicts)-1]
	if last.Status.Cause.Fault() {
		return
	}
	found := &Recovery{At: last.At, Probes: []string{}}
	for _, p := range last.Status.Results {
		if p.Role == probe.OfService && p.Vantage == probe.FromHost && p.OK() && p.Kind != probe.KindExec {
			found.Probes = addOnce(found.Probes, p.Name)
		}
	}
	slices.Sort(found.Probes)
	if r.Backtest != nil {
		found.Runs, found.OK = r.Backtest.Runs, r.Backtest.OK
	}
	r.Recovery = found
}

// Text says what ran after the fault, and what did not.
func (c Recovery) Text() string {
	words := "The round that closed the incident"
	if len(c.Probes) > 0 {
		words += " had " + humanize.Count(len(c.Probes), "successful probe") + " of the service: " +
			strings.Join(c.Probes, ", ") + "."
	} else {
		words += " is not stored in full."
	}
	if c.Runs == 0 {
		return words + " The agent itself did not run within an hour after it."
	}
	return words
}

// Fold shortens a report for a terminal, which cannot fold: what the Markdown has folded is one line.
func Fold(markdown string) string {
	const begin, middle, end = "<details><summary>", "</summary>", "</details>"
	for {
		before, rest, found := strings.Cut(markdown, begin)
		summary, body, ok := strings.Cut(rest, middle)
		_, after, closed := strings.Cut(body, end)
		if !found || !ok || !closed {
			return markdown
		}
		markdown = before + summary + " (--json has them all, and so has a file)" + after
	}
}
