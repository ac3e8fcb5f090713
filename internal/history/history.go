// Package history listens to the watcher, keeps the book of incidents, and writes what happened to the store.
//
// Nothing here may delay an attempt: what is heard is entered in memory, and one goroutine writes it down. What cannot be
// written is kept, within bounds, until it can.
package history

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"netwatchd/internal/diagnose"
	"netwatchd/internal/incident"
	"netwatchd/internal/ledger"
	"netwatchd/internal/probe"
	"netwatchd/internal/rollup"
	"netwatchd/internal/store"
	"netwatchd/internal/watch"
)

// Options are what a Recorder needs.
type Options struct {
	Dir     string               // of the store
	Keep    func() time.Duration // how long history is kept; asked each time, since a reload may change it
	Version string
	Log     *slog.Logger
	// Snapshot takes a snapshot of what an agent's run depends on here, for the record of an incident that begins; nil: none is
	// taken. It may take seconds.
	Snapshot func(ctx context.Context) any
}

// A Recorder keeps history. It is an observer of the watcher, and its budget store.
type Recorder struct {
	watch.NopObserver

	Options
	errors       atomic.Uint64
	wake         chan struct{} // there is something to write
	needSnapshot chan struct{} // there are incidents that have no snapshot

	mu              sync.Mutex // unstored for microseconds only: the watcher waits for it
	book            *incident.Book
	dirty           map[*incident.Incident]bool
	signatures      map[*incident.Incident]map[signature]bool // of the evidence entered
	withoutSnapshot []string                                  // IDs of incidents that have no snapshot
	entries         []store.Entry
	weight          int // of the entries
	lost            int // entries dropped since they could not be written for too long
	current         map[ledger.Key]*rollup.Rollup
	minutes         []rollup.Minute
	costs           map[string]watch.Costs
	open            *store.Store // nil: it could not be opened
	fault           string       // why history is not kept, which was logged; empty: it is

	// Of the writing goroutine alone.
	run           incident.DaemonRun
	retry         time.Duration
	maintained    time.Time
	started       time.Time
	currentMinute time.Time // the minute that is being filled
}

// New opens the store and reads what an earlier run has left. A store that cannot be opened is logged, counted and tried
// again: the watcher does without.
func New(o Options) *Recorder {
	now := time.Now()
	rec := &Recorder{
		Options: o,
		wake:    make(chan struct{}, 1), needSnapshot: make(chan struct{}, 1),
		book: incident.NewBook(), dirty: make(map[*incident.Incident]bool), signatures: make(map[*incident.Incident]map[signature]bool),
		current: make(map[ledger.Key]*rollup.Rollup), costs: make(map[string]watch.Costs),
		run:     incident.DaemonRun{Version: o.Version, Started: now, Seen: now},
		started: now, currentMinute: now.Truncate(time.Minute),
	}
	rec.report(rec.reopen(context.Background()))
	return rec
}

// Errors is how often the store could not be opened or written to.
func (rec *Recorder) Errors() float64 { return float64(rec.errors.Load()) }

// Fault says why history is not being kept, and what to do; empty while it is.
func (rec *Recorder) Fault() string {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	return rec.fault
}

func (rec *Recorder) setFault(fault string) {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	rec.fault = fault
}

// Attempted rolls r up, and keeps it whole if it is a run of an agent.
func (rec *Recorder) Attempted(r probe.Result, interval time.Duration) {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	key := ledger.KeyOf(r.Spec)
	u := rec.current[key]
	if u == nil {
		u = new(rollup.Rollup)
		rec.current[key] = u
	}
	u.Add(r.Class, r.Elapsed)
	if r.Kind == probe.KindExec && r.Role == probe.OfService && (interval == 0 || interval >= rareInterval) {
		rec.enqueue(store.Attempt{Result: r})
	}
}

// rareInterval is how seldom a command is run whose every run is kept whole: an agent's is, hourly by default; a script run each
// half minute is rolled up like any probe.
const rareInterval = 5 * time.Minute

// Resumed keeps that the host was away.
func (rec *Recorder) Resumed(away time.Duration, _ int) {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	rec.enqueue(store.Suspend{Suspend: incident.Suspend{At: time.Now(), Away: away}})
}

// Judged enters the verdict in the book.
func (rec *Recorder) Judged(now watch.ServiceStatus, was diagnose.Cause) {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	moved := now.Cause != was
	at := time.Now()
	if moved {
		at = now.Since
	}
	i, changed := rec.book.Enter(now.Verdict, at)
	if changed {
		rec.changed(i)
	}
	if moved {
		rec.enqueue(verdict(now, was, i, at))
	}
	if i != nil && i.IsOpen() && now.Cause.Fault() {
		rec.addEvidence(i, now)
	}
}

func (rec *Recorder) changed(i *incident.Incident) {
	rec.dirty[i] = true
	if rec.signatures[i] == nil && i.IsOpen() {
		rec.signatures[i] = make(map[signature]bool)
		rec.withoutSnapshot = append(rec.withoutSnapshot, i.ID)
		signal(rec.needSnapshot)
	}
	signal(rec.wake)
}

// wholeRounds is how many verdicts of one incident are kept with the whole of their rounds; those of a fault that flaps on
// are kept with their evidence only, which is some 5 KB instead of 20.
const wholeRounds = 50

func verdict(now watch.ServiceStatus, was diagnose.Cause, i *incident.Incident, at time.Time) store.VerdictChange {
	v := store.VerdictChange{VerdictChange: incident.VerdictChange{At: at, Was: was, Status: now}}
	if i != nil {
		v.Incident = i.ID
		if i.Moves+i.Returns > wholeRounds {
			v.Status.Results = nil
		}
	}
	return v
}

// A signature is what makes two results tell the same.
type signature struct {
	role    probe.Role
	service string
	name    string
	vantage probe.Vantage
	server  string
	class   probe.Class
}

func (s signature) String() string {
	return s.role.String() + " " + s.service + " " + s.name + " " + s.vantage.String() + " " + s.server + " " + s.class.String()
}

// signatureLimit bounds the evidence of one incident. A ladder's round has some thirty results; each can fail in a few ways.
const signatureLimit = 200

// addEvidence keeps the first result of each signature.
func (rec *Recorder) addEvidence(i *incident.Incident, now watch.ServiceStatus) {
	signatures := rec.signatures[i]
	if signatures == nil { // it was open before this run
		signatures = make(map[signature]bool)
		rec.signatures[i] = signatures
	}
	for _, list := range [][]probe.Result{now.Evidence, now.Results} {
		for _, r := range list {
			s := signature{r.Role, r.Service, r.Name, r.Vantage, r.Server, r.Class}
			if r.OK() || signatures[s] || len(signatures) >= signatureLimit {
				continue
			}
			signatures[s] = true
			rec.enqueue(store.Evidence{Incident: i.ID, Signature: s.String(), Result: r})
		}
	}
}

// weightLimit bounds what waits to be written, in results: 8 MB at about a kilobyte each. While the disk is full that is
// more than a week's worth of verdicts; ten thousand services that fail at once fill half of it for a moment.
const weightLimit = 8 << 10

func (rec *Recorder) enqueue(e store.Entry) {
	rec.entries = append(rec.entries, e)
	rec.weight += weightOf(e)
	for rec.weight > weightLimit && len(rec.entries) > 1 {
		rec.weight -= weightOf(rec.entries[0])
		rec.entries[0] = nil
		rec.entries = rec.entries[1:]
		rec.lost++
	}
	signal(rec.wake)
}

func weightOf(e store.Entry) int {
	if v, ok := e.(store.VerdictChange); ok {
		return 1 + len(v.Status.Results) + len(v.Status.Evidence)
	}
	return 1
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default: // it is on already
	}
}

// Costs are what was known of the service's costs.
func (rec *Recorder) Costs(service string) watch.Costs {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	return rec.costs[service]
}

// SetCosts keeps them.
func (rec *Recorder) SetCosts(service string, c watch.Costs) {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	rec.costs[service] = c
	rec.enqueue(store.Costs{Service: service, Costs: c})
}

// CloseUnwatched ends the incidents of services that are not watched any more.
func (rec *Recorder) CloseUnwatched(services []string) {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	for _, i := range rec.book.CloseUnwatched(func(name string) bool { return slices.Contains(services, name) }, time.Now()) {
		rec.dirty[i] = true
	}
	signal(rec.wake)
}
