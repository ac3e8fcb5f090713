// Package ledger keeps what is known of each probe: its latest result and its running counts.
package ledger

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"netwatchd/internal/probe"
)

// A Key names a series of attempts that are counted together.
type Key struct {
	Service, Probe string
	Kind           probe.Kind
	Vantage        probe.Vantage
}

// KeyOf is the key r is counted under.
func KeyOf(r probe.Spec) Key { return Key{r.Service, r.Name, r.Kind, r.Vantage} }

// A Record is what is known of one probe since the start.
type Record struct {
	Latest      probe.Result
	Interval    time.Duration // between planned attempts; zero: made only on suspicion
	LastSuccess time.Time
	Succeeded   uint64
	Failed      uint64
	Classes     []ClassCount // those seen, in the order they were first seen
	Durations   Histogram
}

// ClassCount is how often a class was seen.
type ClassCount struct {
	Class probe.Class
	Count uint64
}

// A Ledger is safe for concurrent use.
type Ledger struct {
	mu       sync.Mutex
	records  map[Key]*Record
	warnings map[string]uint64
	tokens   probe.TokensSpent
}

// New returns an empty ledger.
func New() *Ledger {
	return &Ledger{records: make(map[Key]*Record), warnings: make(map[string]uint64)}
}

// Add enters a result. Interval is how often such attempts are planned, zero for those made only on suspicion.
func (l *Ledger) Add(r probe.Result, interval time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	rec := l.records[KeyOf(r.Spec)]
	if rec == nil {
		rec = new(Record)
		l.records[KeyOf(r.Spec)] = rec
	}
	rec.add(r, interval)
	for _, w := range r.Warnings {
		l.warnings[w]++
	}
	if t := r.Tokens; t != nil {
		l.tokens.Input += t.Input
		l.tokens.CachedInput += t.CachedInput
		l.tokens.Output += t.Output
	}
}

func (rec *Record) add(r probe.Result, interval time.Duration) {
	rec.Latest, rec.Interval = r, interval
	rec.Durations.Observe(float64(r.Elapsed))
	if r.OK() {
		rec.LastSuccess = r.Start.Add(r.Elapsed.Duration())
		rec.Succeeded++
	} else {
		rec.Failed++
	}
	i := slices.IndexFunc(rec.Classes, func(c ClassCount) bool { return c.Class == r.Class })
	if i < 0 {
		i = len(rec.Classes)
		rec.Classes = append(rec.Classes, ClassCount{Class: r.Class})
	}
	rec.Classes[i].Count++
}

// Keep forgets every record whose key is not wanted any more.
func (l *Ledger) Keep(wanted func(Key) bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	maps.DeleteFunc(l.records, func(k Key, _ *Record) bool { return !wanted(k) })
}

// View calls see with everything known, at one moment. What it is given must not be kept.
func (l *Ledger) View(see func(map[Key]*Record, map[string]uint64, probe.TokensSpent)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	see(l.records, l.warnings, l.tokens)
}

// Latest returns the latest result of every probe, ordered by service, probe and vantage.
func (l *Ledger) Latest() []probe.Result {
	l.mu.Lock()
	defer l.mu.Unlock()
	latest := make([]probe.Result, 0, len(l.records))
	for _, rec := range l.records {
		latest = append(latest, rec.Latest)
	}
	slices.SortFunc(latest, func(a, b probe.Result) int {
		if by := strings.Compare(a.Service, b.Service); by != 0 {
			return by
		}
		if by := strings.Compare(a.Name, b.Name); by != 0 {
			return by
		}
		return int(a.Vantage) - int(b.Vantage)
	})
	return latest
}
