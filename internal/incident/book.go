package incident

import (
	"cmp"
	"slices"
	"time"

	"netwatchd/internal/diagnose"
)

const (
	// flapping is how soon after its end an incident that comes back is the same one. A verdict needs two votes, half a
	// minute apart by default, and a network that comes and goes (Wi-Fi at the edge of its reach, a VPN that reconnects)
	// does so within minutes: ten of them tell one bad afternoon from two bad mornings.
	flapping = 10 * time.Minute

	// How many causes of one incident are kept: how it began and how it is now. A fault that flaps all night has thousands.
	keptFirst = 20
	keptLast  = 80
)

// A Book holds the incidents that are open, or were until lately. It is not safe for concurrent use.
type Book struct {
	latest map[string]*Incident // by service
	number map[day]int          // the highest number given
}

type day struct{ day, service string }

// NewBook returns an empty book.
func NewBook() *Book {
	return &Book{latest: make(map[string]*Incident), number: make(map[day]int)}
}

// A Judgement is a verdict at a moment.
type Judgement struct {
	Service  string
	Cause    diagnose.Cause
	Severity diagnose.Severity
	Title    string
	At       time.Time
}

// Enter enters a judgement. It returns the incident it belongs to, nil if there is none, and whether that has changed.
//
// A fault opens an incident or moves its cause; health, even with reservations, closes it. What says nothing either way
// (the daemon starts, the host was away, the round was inconclusive) leaves everything as it was.
func (b *Book) Enter(j Judgement) (*Incident, bool) {
	j.At = Moment(j.At)
	i := b.latest[j.Service]
	open := i != nil && i.IsOpen()
	switch {
	case j.Cause.Fault() && open:
		return i, i.move(j)
	case j.Cause.Fault() && i != nil && i.Ended == "" && near(j.At, *i.Closed):
		i.Closed = nil
		i.Returns++
		i.begin(j)
		return i, true
	case j.Cause.Fault():
		i = b.open(j)
		return i, true
	case open && isWell(j.Cause):
		i.close(j.At)
		return i, true
	case open:
		return i, false
	}
	return nil, false
}

// Moment is t as it is kept: a millisecond is finer than any probe's schedule, and what is read back compares equal.
func Moment(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }

// isWell reports whether c says that the service can be used.
func isWell(c diagnose.Cause) bool { return c >= diagnose.ResolverDegraded && c <= diagnose.Healthy }

// near reports whether two moments are within what counts as flapping, whichever came first: a clock may have been set back.
func near(a, b time.Time) bool { return a.Sub(b).Abs() <= flapping }

func (b *Book) open(j Judgement) *Incident {
	i := &Incident{Service: j.Service, Opened: j.At, Day: dayOf(j.At)}
	b.Name(i)
	i.begin(j)
	b.latest[j.Service] = i
	return i
}

// Name gives i the next ID of its day. Services whose names begin alike share their numbers, since their IDs do.
func (b *Book) Name(i *Incident) {
	key := day{i.Day, i.Service[:min(len(i.Service), idLimit)]}
	b.number[key]++
	i.Number = b.number[key]
	i.ID = ID(i.Day, i.Service, i.Number)
}

func (i *Incident) begin(j Judgement) {
	i.Causes = append(i.Causes, Span{Cause: j.Cause, From: j.At})
	if len(i.Causes) > keptFirst+keptLast {
		i.Causes = slices.Delete(i.Causes, keptFirst, keptFirst+1)
	}
	i.describe(j)
}

func (i *Incident) describe(j Judgement) {
	i.Severity, i.Title = max(i.Severity, j.Severity), j.Title
}

// move reports whether j changed anything.
func (i *Incident) move(j Judgement) bool {
	if i.Cause() == j.Cause {
		changed := i.Title != j.Title || j.Severity > i.Severity
		i.describe(j)
		return changed
	}
	i.endSpan(j.At)
	i.Moves++
	i.begin(j)
	return true
}

// endSpan ends the cause that holds; never before it began, whatever the clock says.
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

// Watch closes, and returns, the open incidents of services that are not watched any more: nobody would ever end them.
func (b *Book) Watch(watched func(service string) bool, at time.Time) []*Incident {
	at = Moment(at)
	var ended []*Incident
	for name, i := range b.latest {
		if i.IsOpen() && !watched(name) {
			i.Ended = "no longer watched"
			i.close(at)
			ended = append(ended, i)
		}
	}
	return ended
}

// Open returns the incidents that last, the oldest first.
func (b *Book) Open() []*Incident {
	var open []*Incident
	for _, i := range b.latest {
		if i.IsOpen() {
			open = append(open, i)
		}
	}
	slices.SortFunc(open, func(x, y *Incident) int { return cmp.Or(x.Opened.Compare(y.Opened), cmp.Compare(x.ID, y.ID)) })
	return open
}

// Latest is the latest incident of a service, open or not; nil if none is known.
func (b *Book) Latest(service string) *Incident { return b.latest[service] }

// Restore enters what an earlier run has left: its latest incident of each service, and the highest number given to each
// day and service. Where something was opened meanwhile, before the store could be read, the two become one if the
// earlier was still open or ended just now; else the later one is named anew. Restore returns what has to be written again.
func (b *Book) Restore(latest []*Incident, numbers map[string]int) []*Incident {
	for id, n := range numbers {
		if on, service, _, ok := ParseID(id + "-1"); ok {
			key := day{on, service}
			b.number[key] = max(b.number[key], n)
		}
	}
	var changed []*Incident
	for _, stored := range latest {
		now := b.latest[stored.Service]
		switch {
		case now == nil:
			b.latest[stored.Service] = stored
		case now.ID == stored.ID && now.Opened.Equal(stored.Opened):
			// The store was away for a while and has come back: what we know is the later state of the same incident.
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
			if known[service] || now.Number <= numbers[now.Day+"-"+service[:min(len(service), idLimit)]] {
				b.Name(now)
			}
			changed = append(changed, now)
		}
	}
	return changed
}

// continueWith makes later the continuation of i.
func (i *Incident) continueWith(later *Incident) {
	if !i.IsOpen() {
		i.Closed = nil
		i.Returns++
	}
	for n, span := range later.Causes {
		if n == 0 && i.Cause() == span.Cause && len(i.Causes) > 0 && i.Causes[len(i.Causes)-1].To == nil {
			i.Causes[len(i.Causes)-1].To = span.To
			continue
		}
		i.endSpan(span.From)
		i.Causes = append(i.Causes, span)
		i.Moves++
	}
	i.Closed, i.Ended, i.Title = later.Closed, later.Ended, later.Title
	i.Severity, i.Returns = max(i.Severity, later.Severity), i.Returns+later.Returns
}
