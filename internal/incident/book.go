package incident

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"netwatchd/internal/diagnose"
)

const (
	// reopenWithin is how soon after its end a recurring fault reopens the incident. A verdict needs two votes, half a
	// minute apart by default, and a network that comes and goes (Wi-Fi at the edge of its range, a VPN that
	// reconnects) does so within minutes: ten of them tell one bad afternoon from two bad mornings.
	reopenWithin = 10 * time.Minute

	// How many causes of one incident are kept, at its start and at its end. A fault that flaps all night has
	// thousands.
	keepFirst = 20
	keepLast  = 80
)

// A Book holds the latest incident and the latest observation of each kind of each service. It is not safe for
// concurrent use.
type Book struct {
	latest   map[string]*Incident // by service; faults only
	observed map[seen]*Incident
	number   map[day]int           // the highest number used
	reported map[string][]Reported // by service; recent failures only
}

type day struct{ day, service string }

// seen is a kind of observations of a service: backtests, or commands that an agent reports. Each has its own record.
type seen struct {
	service  string
	reported bool
}

func seenOf(i *Incident) seen { return seen{i.Service, len(i.Reports) > 0} }

// NewBook returns an empty book.
func NewBook() *Book {
	return &Book{latest: make(map[string]*Incident), observed: make(map[seen]*Incident), number: make(map[day]int),
		reported: make(map[string][]Reported)}
}

// Enter enters a service's verdict at a time. It returns the incident that the verdict belongs to, nil if there is
// none, and whether that incident has changed.
//
// A fault opens an incident or changes its cause, and so does a probe that fails again and again. Any other verdict
// that the service can be used, even degraded, closes it. Any other verdict (the daemon is starting, the host was
// suspended, the round was inconclusive) changes nothing.
func (b *Book) Enter(v diagnose.Verdict, at time.Time) (*Incident, bool) {
	at = truncate(at)
	i := b.latest[v.Service]
	open := i != nil && i.IsOpen()
	switch {
	case v.IsIncident() && open:
		return i, i.move(v, at)
	case v.IsIncident() && i != nil && i.Ended == "" && near(at, *i.Closed):
		i.Closed = nil
		i.Recurrences++
		i.begin(v, at)
		b.addRecent(i, at)
		return i, true
	case v.IsIncident():
		i = b.open(v, at)
		return i, true
	case open && v.Cause.Usable() && (!i.ByAgent || i.isQuiet(at)):
		i.close(at)
		return i, true
	case open:
		return i, false
	}
	return nil, false
}

// truncate rounds t down to a millisecond, as it is stored: that is finer than any probe's schedule, and a time that
// is read back compares equal.
func truncate(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }

// near reports whether a and b are within reopenWithin of each other. Either may be first: the clock may have been set
// back.
func near(a, b time.Time) bool { return a.Sub(b).Abs() <= reopenWithin }

func (b *Book) open(v diagnose.Verdict, at time.Time) *Incident {
	i := &Incident{Service: v.Service, Opened: at, Day: dayOf(at)}
	b.AssignID(i)
	i.begin(v, at)
	b.addRecent(i, at)
	b.latest[v.Service] = i
	return i
}

// AssignID gives i the next ID of its day. Services whose names start with the same idLimit bytes share their numbers,
// because they share their IDs.
func (b *Book) AssignID(i *Incident) {
	key := day{i.Day, i.Service[:min(len(i.Service), idLimit)]}
	b.number[key]++
	i.Number = b.number[key]
	i.ID = idOf(i.Day, i.Service, i.Number)
}

func (i *Incident) begin(v diagnose.Verdict, at time.Time) {
	i.Causes = append(i.Causes, Span{Cause: v.Cause, From: at})
	if len(i.Causes) > keepFirst+keepLast {
		i.Causes = slices.Delete(i.Causes, keepFirst, keepFirst+1)
	}
	i.setTitle(v)
}

func (i *Incident) setTitle(v diagnose.Verdict) {
	i.Severity, i.Title = max(i.Severity, v.Severity), v.Title
}

// move applies the verdict of a fault to an open incident, and reports whether it changed anything.
func (i *Incident) move(v diagnose.Verdict, at time.Time) bool {
	i.ByAgent = false
	if i.Cause() == v.Cause {
		changed := i.Title != v.Title || v.Severity > i.Severity
		i.setTitle(v)
		return changed
	}
	i.endSpan(at)
	i.CauseChanges++
	i.begin(v, at)
	return true
}

// endSpan ends the current cause, never before its start, even if the clock was set back.
func (i *Incident) endSpan(at time.Time) {
	if last := len(i.Causes) - 1; last >= 0 && i.Causes[last].To == nil {
		i.Causes[last].To = new(later(at, i.Causes[last].From))
	}
}

func (i *Incident) close(at time.Time) {
	i.endSpan(at)
	i.Closed = new(later(at, i.Opened))
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// CloseUnwatched closes and returns the open incidents of services that are no longer monitored: no verdict would ever
// close them.
func (b *Book) CloseUnwatched(watched func(service string) bool, at time.Time) []*Incident {
	at = truncate(at)
	var ended []*Incident
	for name, i := range b.latest {
		if i.IsOpen() && !watched(name) {
			i.Ended = "the service was removed from the configuration"
			i.close(at)
			ended = append(ended, i)
		}
	}
	return ended
}

// Open returns the open incidents, the oldest first.
func (b *Book) Open() []*Incident {
	var open []*Incident
	for _, i := range b.latest {
		if i.IsOpen() {
			open = append(open, i)
		}
	}
	slices.SortFunc(open, func(x, y *Incident) int {
		return cmp.Or(x.Opened.Compare(y.Opened), cmp.Compare(x.ID, y.ID))
	})
	return open
}

// Latest returns the latest fault of a service, open or closed; nil if none is known.
func (b *Book) Latest(service string) *Incident { return b.latest[service] }

// Holds reports whether i is the latest fault or the latest observation of its service.
func (b *Book) Holds(i *Incident) bool { return b.latest[i.Service] == i || b.observed[seenOf(i)] == i }

// Observations returns the latest observation of each service, in no particular order.
func (b *Book) Observations() []*Incident { return slices.Collect(maps.Values(b.observed)) }

// Restore enters what an earlier run stored: its latest incident and its latest observation of each service, and the
// highest number used per day and service. If an incident was opened before the store could be read, it continues the
// stored one if that is open or was closed within reopenWithin; otherwise it gets a new ID. Restore returns the
// incidents that must be written again.
func (b *Book) Restore(latest []*Incident, numbers map[string]int) []*Incident {
	for id, n := range numbers {
		if on, service, _, ok := ParseID(id + "-1"); ok {
			key := day{on, service}
			b.number[key] = max(b.number[key], n)
		}
	}
	latest, observed := split(latest)
	changed := b.restoreObservations(observed, numbers)
	for _, stored := range latest {
		now := b.latest[stored.Service]
		switch {
		case now == nil:
			b.latest[stored.Service] = stored
		case now.ID == stored.ID && now.Opened.Equal(stored.Opened):
			// The store was unavailable for a while: the state in memory is the newer one of the same incident.
			changed = append(changed, now)
		case stored.IsOpen() || stored.Ended == "" && near(now.Opened, *stored.Closed):
			stored.continueWith(now)
			b.latest[stored.Service] = stored
			changed = append(changed, stored)
		}
	}
	known := make(map[string]bool, len(latest))
	for _, stored := range latest {
		known[stored.Service] = true
	}
	for service, now := range b.latest {
		if !slices.Contains(latest, now) && !slices.Contains(changed, now) {
			if known[service] || isTaken(now, numbers) {
				b.AssignID(now)
			}
			changed = append(changed, now)
		}
	}
	return changed
}

// split separates faults from observations.
func split(all []*Incident) (faults, observations []*Incident) {
	for _, i := range all {
		if i.Observation {
			observations = append(observations, i)
		} else {
			faults = append(faults, i)
		}
	}
	return faults, observations
}

// isTaken reports whether a stored incident has the number of i.
func isTaken(i *Incident, numbers map[string]int) bool {
	return i.Number <= numbers[i.Day+"-"+i.Service[:min(len(i.Service), idLimit)]]
}

// restoreObservations enters the stored observations. One that was made before the store could be read stays by itself,
// under a free ID. It returns those that must be written again.
func (b *Book) restoreObservations(stored []*Incident, numbers map[string]int) (changed []*Incident) {
	for _, now := range b.observed {
		known := slices.ContainsFunc(stored, func(s *Incident) bool { return s.ID == now.ID && s.Opened.Equal(now.Opened) })
		if !known && isTaken(now, numbers) {
			b.AssignID(now)
		}
		changed = append(changed, now)
	}
	for _, s := range stored {
		if b.observed[seenOf(s)] == nil {
			b.observed[seenOf(s)] = s
		}
	}
	return changed
}

// continueWith appends later to i.
func (i *Incident) continueWith(later *Incident) {
	if !i.IsOpen() {
		i.Closed = nil
		i.Recurrences++
	}
	for n, span := range later.Causes {
		if n == 0 && i.Cause() == span.Cause && len(i.Causes) > 0 && i.Causes[len(i.Causes)-1].To == nil {
			i.Causes[len(i.Causes)-1].To = span.To
			continue
		}
		i.endSpan(span.From)
		i.Causes = append(i.Causes, span)
		i.CauseChanges++
	}
	i.Closed, i.Ended, i.Title = later.Closed, later.Ended, later.Title
	i.Severity, i.Recurrences = max(i.Severity, later.Severity), i.Recurrences+later.Recurrences
}
