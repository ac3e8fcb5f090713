// Package ledger keeps the latest result and the running counts of each probe.
package ledger

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"netwatchd/internal/probe"
)

// A Key identifies attempts that are counted together.
type Key struct {
	Service, Probe string
	Kind           probe.Kind
	Vantage        probe.Vantage
}

// KeyOf returns the key for attempts of r.
func KeyOf(r probe.Spec) Key { return Key{r.Service, r.Name, r.Kind, r.Vantage} }

// Compare orders keys by service, probe, kind and vantage.
func (k Key) Compare(other Key) int {
	return cmp.Or(
		strings.Compare(k.Service, other.Service), strings.Compare(k.Probe, other.Probe),
		int(k.Kind)-int(other.Kind), int(k.Vantage)-int(other.Vantage),
	)
}

// A Record is what is known of one probe since the start, as [Ledger.Snapshot] copies it.
type Record struct {
	Key
	Counts
	Latest Attempt
}

// An Attempt is what a Record has of an attempt: a third of a [probe.Result].
type Attempt struct {
	Start   time.Time
	Elapsed probe.Seconds
	Phases  probe.Phases
	Class   probe.Class
	TLS     *probe.TLS
}

// OK reports whether the attempt saw exactly what it expected.
func (a Attempt) OK() bool { return a.Class == probe.OK }

// Counts are those of one probe since the start.
type Counts struct {
	Interval    time.Duration // between planned attempts; zero: in confirming rounds only
	LastSuccess time.Time
	Succeeded   uint64
	Failed      uint64
	Classes     []ClassCount // in the order they were first seen
	Durations   Histogram
}

// ClassCount is how often a class was seen.
type ClassCount struct {
	Class probe.Class
	Count uint64
}

// A record is the latest result and the counts of one probe. Its key is that of the result.
type record struct {
	Counts
	latest probe.Result
}

func (rec *record) key() Key { return KeyOf(rec.latest.Spec) }

// A Ledger keeps a record for each probe. It is safe for concurrent use.
type Ledger struct {
	mu       sync.Mutex
	records  map[Key]*record
	ordered  []*record // the same records; sorted by key unless unsorted is set
	unsorted bool
	runs     map[string]*Runs
}

// Runs are the warnings, the requests, the tokens and the cost of all attempts with one command.
type Runs struct {
	Warnings map[string]uint64
	Tokens   probe.TokensSpent
	Requests uint64
	CostUSD  *float64 // nil: none was reported
}

// New returns an empty ledger.
func New() *Ledger {
	return &Ledger{records: make(map[Key]*record), runs: make(map[string]*Runs)}
}

// Add counts a result. Interval is how often such attempts are planned; zero if they are made in confirming rounds
// only.
func (l *Ledger) Add(r probe.Result, interval time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.record(r.Spec).add(r, interval)
	if len(r.Warnings) == 0 && r.Tokens == nil && r.Requests == 0 && r.CostUSD == nil {
		return
	}
	runs := l.runsOf(r)
	for _, w := range r.Warnings {
		runs.Warnings[w]++
	}
	if t := r.Tokens; t != nil {
		runs.Tokens.Add(*t)
	}
	runs.Requests += uint64(max(r.Requests, 0))
	if cost := r.CostUSD; cost != nil && *cost >= 0 { // a counter never falls
		if runs.CostUSD == nil {
			runs.CostUSD = new(float64)
		}
		*runs.CostUSD += *cost
	}
}

func (l *Ledger) runsOf(r probe.Result) *Runs {
	command := "" // of attempts that run none
	if r.Kind == probe.KindExec || r.Kind == probe.KindStatus {
		command = r.Target
	}
	if l.runs[command] == nil {
		l.runs[command] = &Runs{Warnings: make(map[string]uint64)}
	}
	return l.runs[command]
}

func (l *Ledger) record(spec probe.Spec) *record {
	k := KeyOf(spec)
	rec := l.records[k]
	if rec == nil {
		rec = new(record)
		rec.latest.Spec = spec
		l.records[k] = rec
		l.ordered, l.unsorted = append(l.ordered, rec), true
	}
	return rec
}

// sort sorts the records by key. It is called by readers, not by Add: a start adds up to ten thousand records.
func (l *Ledger) sort() {
	if l.unsorted {
		slices.SortFunc(l.ordered, func(a, b *record) int { return a.key().Compare(b.key()) })
		l.unsorted = false
	}
}

func (rec *record) add(r probe.Result, interval time.Duration) {
	rec.latest, rec.Interval = r, interval
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

// Keep removes every record whose key is not wanted.
func (l *Ledger) Keep(wanted func(Key) bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ordered = slices.DeleteFunc(l.ordered, func(rec *record) bool { return !wanted(rec.key()) })
	maps.DeleteFunc(l.records, func(k Key, _ *record) bool { return !wanted(k) })
}

// A Snapshot is a copy of everything in a Ledger. The caller owns it.
type Snapshot struct {
	Records []Record        // ordered by key
	Runs    map[string]Runs // by command: an agent's preset, a program; empty: attempts that run none

	// The slices of all records share two arrays. Two for each record would be twenty thousand allocations.
	classes []ClassCount
	buckets []Bucket
}

// Snapshot copies the ledger, which takes some milliseconds for ten thousand probes. Formatting takes a hundred times
// as long: it uses the copy, so that Add does not have to wait for it. It uses the memory of an earlier snapshot, which
// may be the zero value: for ten thousand probes it is 4 MB.
func (l *Ledger) Snapshot(earlier Snapshot) Snapshot {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sort()
	s := Snapshot{Records: resized(earlier.Records, len(l.ordered)), Runs: make(map[string]Runs, len(l.runs))}
	for command, runs := range l.runs {
		clone := *runs
		clone.Warnings = maps.Clone(runs.Warnings)
		if runs.CostUSD != nil {
			clone.CostUSD = new(*runs.CostUSD)
		}
		s.Runs[command] = clone
	}
	var ofClasses, ofBuckets int
	for _, rec := range l.ordered {
		ofClasses, ofBuckets = ofClasses+len(rec.Classes), ofBuckets+len(rec.Durations.Native)
	}
	classes, buckets := resized(earlier.classes, ofClasses)[:0], resized(earlier.buckets, ofBuckets)[:0]
	for i, rec := range l.ordered {
		s.Records[i] = rec.snapshot()
		s.Records[i].Classes, classes = copied(classes, rec.Classes)
		s.Records[i].Durations.Native, buckets = copied(buckets, rec.Durations.Native)
	}
	s.classes, s.buckets = classes, buckets
	return s
}

// resized returns a slice of length n, in the memory of s if that has room.
func resized[T any](s []T, n int) []T { return slices.Grow(s[:0], n)[:n] }

func (rec *record) snapshot() Record {
	r := &rec.latest
	latest := Attempt{Start: r.Start, Elapsed: r.Elapsed, Phases: r.Phases, Class: r.Class, TLS: r.TLS}
	return Record{rec.key(), rec.Counts, latest}
}

// copied appends more to all. It returns the copy of more, and all.
func copied[T any](all, more []T) (its, longer []T) {
	all = append(all, more...)
	return all[len(all)-len(more) : len(all) : len(all)], all
}

// Latest returns the latest result of every probe, ordered by service, probe, kind and vantage.
func (l *Ledger) Latest() []probe.Result {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sort()
	latest := make([]probe.Result, len(l.ordered))
	for i, rec := range l.ordered {
		latest[i] = rec.latest
	}
	return latest
}
