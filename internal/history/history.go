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

// Options are what a Keeper needs.
type Options struct {
	Dir     string               // of the store
	Keep    func() time.Duration // how long history is kept; asked each time, since a reload may change it
	Version string
	Log     *slog.Logger
	// Look takes a snapshot of what an agent's run depends on here, for the record of an incident that begins; nil: none is
	// taken. It may take seconds.
	Look func(ctx context.Context) any
}

// A Keeper keeps history. It is an observer of the watcher, and its purse.
type Keeper struct {
	watch.Indifferent

	Options
	errors atomic.Uint64
	wake   chan struct{} // there is something to write
	look   chan struct{} // there are incidents that have no snapshot

	mu      sync.Mutex // held for microseconds only: the watcher waits for it
	book    *incident.Book
	dirty   map[*incident.Incident]bool
	signs   map[*incident.Incident]map[sign]bool // of the evidence entered
	unseen  []string                             // IDs of incidents that have no snapshot
	entries []store.Entry
	weight  int // of the entries
	lost    int // entries dropped since they could not be written for too long
	current map[ledger.Key]*rollup.Rollup
	minutes []rollup.Minute
	costs   map[string]watch.Costs
	open    *store.Store // nil: it could not be opened
	fault   string       // why history is not kept, which was logged; empty: it is

	// Of the writing goroutine alone.
	run      incident.Run
	retry    time.Duration
	tidied   time.Time
	begun    time.Time
	lastPart time.Time // the minute that is being filled
}

// New opens the store and reads what an earlier run has left. A store that cannot be opened is logged, counted and tried
// again: the watcher does without.
func New(o Options) *Keeper {
	now := time.Now()
	k := &Keeper{
		Options: o,
		wake:    make(chan struct{}, 1), look: make(chan struct{}, 1),
		book: incident.NewBook(), dirty: make(map[*incident.Incident]bool), signs: make(map[*incident.Incident]map[sign]bool),
		current: make(map[ledger.Key]*rollup.Rollup), costs: make(map[string]watch.Costs),
		run:   incident.Run{Version: o.Version, Started: now, Seen: now},
		begun: now, lastPart: now.Truncate(time.Minute),
	}
	k.report(k.reopen(context.Background()))
	return k
}

// Errors is how often the store could not be opened or written to.
func (k *Keeper) Errors() float64 { return float64(k.errors.Load()) }

// Fault says why history is not being kept, and what to do; empty while it is.
func (k *Keeper) Fault() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.fault
}

func (k *Keeper) setFault(fault string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.fault = fault
}

// Attempted rolls r up, and keeps it whole if it is a run of an agent.
func (k *Keeper) Attempted(r probe.Result, interval time.Duration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	key := ledger.KeyOf(r.Spec)
	u := k.current[key]
	if u == nil {
		u = new(rollup.Rollup)
		k.current[key] = u
	}
	u.Add(r.Class, r.Elapsed)
	if r.Kind == probe.KindExec && r.Role == probe.OfService && (interval == 0 || interval >= rare) {
		k.enter(store.Attempt{Result: r})
	}
}

// rare is how seldom a command is run whose every run is kept whole: an agent's is, hourly by default; a script run each
// half minute is rolled up like any probe.
const rare = 5 * time.Minute

// Resumed keeps that the host was away.
func (k *Keeper) Resumed(away time.Duration, _ int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.enter(store.Suspend{Suspend: incident.Suspend{At: time.Now(), Away: away}})
}

// Judged enters the verdict in the book.
func (k *Keeper) Judged(now watch.Standing, was diagnose.Cause) {
	k.mu.Lock()
	defer k.mu.Unlock()
	moved := now.Cause != was
	at := time.Now()
	if moved {
		at = now.Since
	}
	i, changed := k.book.Enter(incident.Judgement{Service: now.Service, Cause: now.Cause, Severity: now.Severity, Title: now.Title, At: at})
	if changed {
		k.changed(i)
	}
	if moved {
		k.enter(verdict(now, was, i, at))
	}
	if i != nil && i.IsOpen() && now.Cause.Fault() {
		k.addEvidence(i, now)
	}
}

func (k *Keeper) changed(i *incident.Incident) {
	k.dirty[i] = true
	if k.signs[i] == nil && i.IsOpen() {
		k.signs[i] = make(map[sign]bool)
		k.unseen = append(k.unseen, i.ID)
		signal(k.look)
	}
	signal(k.wake)
}

// wholeRounds is how many verdicts of one incident are kept with the whole of their rounds; those of a fault that flaps on
// are kept with their evidence only, which is some 5 KB instead of 20.
const wholeRounds = 50

func verdict(now watch.Standing, was diagnose.Cause, i *incident.Incident, at time.Time) store.Verdict {
	v := store.Verdict{Verdict: incident.Verdict{At: at, Was: was, Standing: now}}
	if i != nil {
		v.Incident = i.ID
		if i.Moves+i.Returns > wholeRounds {
			v.Standing.Results = nil
		}
	}
	return v
}

// A sign is what makes two results tell the same.
type sign struct {
	role    probe.Role
	service string
	name    string
	vantage probe.Vantage
	server  string
	class   probe.Class
}

func (s sign) String() string {
	return s.role.String() + " " + s.service + " " + s.name + " " + s.vantage.String() + " " + s.server + " " + s.class.String()
}

// signLimit bounds the evidence of one incident. A ladder's round has some thirty results; each can fail in a few ways.
const signLimit = 200

// addEvidence keeps the first result of each sign.
func (k *Keeper) addEvidence(i *incident.Incident, now watch.Standing) {
	signs := k.signs[i]
	if signs == nil { // it was open before this run
		signs = make(map[sign]bool)
		k.signs[i] = signs
	}
	for _, list := range [][]probe.Result{now.Evidence, now.Results} {
		for _, r := range list {
			s := sign{r.Role, r.Service, r.Name, r.Vantage, r.Server, r.Class}
			if r.OK() || signs[s] || len(signs) >= signLimit {
				continue
			}
			signs[s] = true
			k.enter(store.Evidence{Incident: i.ID, Sign: s.String(), Result: r})
		}
	}
}

// weightLimit bounds what waits to be written, in results: 8 MB at about a kilobyte each. While the disk is full that is
// more than a week's worth of verdicts; ten thousand services that fail at once fill half of it for a moment.
const weightLimit = 8 << 10

func (k *Keeper) enter(e store.Entry) {
	k.entries = append(k.entries, e)
	k.weight += weigh(e)
	for k.weight > weightLimit && len(k.entries) > 1 {
		k.weight -= weigh(k.entries[0])
		k.entries[0] = nil
		k.entries = k.entries[1:]
		k.lost++
	}
	signal(k.wake)
}

func weigh(e store.Entry) int {
	if v, ok := e.(store.Verdict); ok {
		return 1 + len(v.Standing.Results) + len(v.Standing.Evidence)
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
func (k *Keeper) Costs(service string) watch.Costs {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.costs[service]
}

// SetCosts keeps them.
func (k *Keeper) SetCosts(service string, c watch.Costs) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.costs[service] = c
	k.enter(store.Costs{Service: service, Costs: c})
}

// Watch ends the incidents of services that are not watched any more.
func (k *Keeper) Watch(services []string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, i := range k.book.Watch(func(name string) bool { return slices.Contains(services, name) }, time.Now()) {
		k.dirty[i] = true
	}
	signal(k.wake)
}
