// Package incident turns verdicts into incidents: what was wrong, when, and the evidence.
//
// It does no I/O and has no clock: verdicts and times go in, incidents come out.
package incident

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"netwatchd/internal/causes"
)

// An Incident is a span of time during which a service had a fault. The cause may change during it.
type Incident struct {
	ID      string     `json:"id"`
	Service string     `json:"service"`
	Causes  []Span     `json:"causes"` // in order; the last is open while the incident is
	Opened  time.Time  `json:"opened"`
	Closed  *time.Time `json:"closed"` // nil: still open
	Notes   []Note     `json:"notes"`

	Severity     causes.Severity `json:"severity"`        // the highest so far
	Title        string          `json:"title"`           // of the latest cause
	Recurrences  int             `json:"returns"`         // how often it recurred after it had been closed
	CauseChanges int             `json:"moves"`           // how often the cause changed, more than Causes may show
	Ended        string          `json:"ended,omitempty"` // why it was closed, unless the service recovered

	// Observation marks something that was seen and is not a fault, such as an agent's run that failed in a sandbox that
	// is closed as configured. Opened is when it was first seen, Closed when it was last seen.
	Observation bool `json:"observation,omitempty"`

	// Reports are the failures that the agent's own session files show, by class.
	Reports []Report `json:"agent_reports,omitempty"`
	// ByAgent marks an incident that only the agent's session files show: no verdict has named a fault yet.
	ByAgent bool `json:"by_agent,omitempty"`

	Number int    `json:"-"` // the last part of the ID
	Day    string `json:"-"` // its first
}

// A Span is a time during which one cause was the verdict.
type Span struct {
	Cause causes.Cause `json:"cause"`
	From  time.Time    `json:"from"`
	To    *time.Time   `json:"to"` // nil: still the verdict
}

// A Note is a comment that a person added to an incident.
type Note struct {
	At   time.Time `json:"at"`
	Text string    `json:"text"`
}

// IsOpen reports whether the incident is ongoing.
func (i *Incident) IsOpen() bool { return i.Closed == nil }

// Cause returns the latest cause.
func (i *Incident) Cause() causes.Cause {
	if len(i.Causes) == 0 {
		return causes.Inconclusive
	}
	return i.Causes[len(i.Causes)-1].Cause
}

// Clone returns a copy that shares no mutable data with i.
func (i *Incident) Clone() *Incident {
	c := *i
	c.Causes, c.Notes, c.Reports = slices.Clone(i.Causes), slices.Clone(i.Notes), slices.Clone(i.Reports)
	return &c
}

// MarshalJSON writes an empty list as [], never as null.
func (i Incident) MarshalJSON() ([]byte, error) {
	type plain Incident
	if i.Causes == nil {
		i.Causes = []Span{}
	}
	if i.Notes == nil {
		i.Notes = []Note{}
	}
	return json.Marshal(plain(i))
}

// idLimit bounds the service's part of an ID, because people type IDs.
const idLimit = 40

// idOf returns the ID of the n-th incident of a service on a day, like 20261123-codex-1. IDs sort by day.
func idOf(day, service string, n int) string {
	return fmt.Sprintf("%s-%s-%d", day, service[:min(len(service), idLimit)], n)
}

// dayOf returns the day of an ID, in UTC: an ID must not depend on the reader's time zone.
func dayOf(t time.Time) string { return t.UTC().Format("20060102") }

// ParseID splits an ID into its parts, and reports whether it is valid. A service's name may contain dashes.
func ParseID(id string) (day, service string, n int, ok bool) {
	first, last := strings.IndexByte(id, '-'), strings.LastIndexByte(id, '-')
	if first != len("20060102") || last <= first {
		return "", "", 0, false
	}
	if _, err := fmt.Sscanf(id[last+1:], "%d", &n); err != nil || fmt.Sprint(n) != id[last+1:] {
		return "", "", 0, false
	}
	return id[:first], id[first+1 : last], n, true
}

// Chain returns the causes in order, without repetitions.
func (i Incident) Chain() []causes.Cause {
	chain := make([]causes.Cause, len(i.Causes))
	for n, c := range i.Causes {
		chain[n] = c.Cause
	}
	return slices.Compact(chain)
}
