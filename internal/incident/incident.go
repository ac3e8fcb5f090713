// Package incident keeps the book of what was wrong, when, and what showed it.
//
// It is pure: verdicts and times go in, incidents come out. Where they are kept is another's business.
package incident

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"netwatchd/internal/diagnose"
)

// An Incident is a span of time in which something was wrong with a service, whatever the causes that followed each other.
type Incident struct {
	ID      string     `json:"id"`
	Service string     `json:"service"`
	Causes  []Span     `json:"causes"` // in the order in which they held; the last is open while the incident is
	Opened  time.Time  `json:"opened"`
	Closed  *time.Time `json:"closed"` // nil: still open
	Notes   []Note     `json:"notes"`

	Severity diagnose.Severity `json:"severity"`        // the highest there was
	Title    string            `json:"title"`           // of the latest cause
	Returns  int               `json:"returns"`         // how often it came back after it had been closed
	Moves    int               `json:"moves"`           // how often the cause moved, those beyond what is kept included
	Ended    string            `json:"ended,omitempty"` // why it was closed, if not by recovery
	Number   int               `json:"-"`               // the last part of the ID
	Day      string            `json:"-"`               // its first
}

// A Span is a time during which one cause held.
type Span struct {
	Cause diagnose.Cause `json:"cause"`
	From  time.Time      `json:"from"`
	To    *time.Time     `json:"to"` // nil: it still holds
}

// A Note is what a person wrote beside an incident.
type Note struct {
	At   time.Time `json:"at"`
	Text string    `json:"text"`
}

// IsOpen reports whether the incident lasts.
func (i *Incident) IsOpen() bool { return i.Closed == nil }

// Cause is the latest of its causes.
func (i *Incident) Cause() diagnose.Cause {
	if len(i.Causes) == 0 {
		return diagnose.Inconclusive
	}
	return i.Causes[len(i.Causes)-1].Cause
}

// Clone is a copy that shares nothing with i that may change.
func (i *Incident) Clone() *Incident {
	c := *i
	c.Causes, c.Notes = slices.Clone(i.Causes), slices.Clone(i.Notes)
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

// idLimit bounds the service's part of an ID: IDs are typed.
const idLimit = 40

// ID is what people call the n-th incident of a service on a day: 20261123-codex-1. IDs sort by day.
func ID(day, service string, n int) string {
	return fmt.Sprintf("%s-%s-%d", day, service[:min(len(service), idLimit)], n)
}

// dayOf is the day of an ID, in UTC: an ID must not depend on where it is read.
func dayOf(t time.Time) string { return t.UTC().Format("20060102") }

// ParseID takes an ID apart, and reports whether it is one. A service's name may hold dashes of its own.
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
