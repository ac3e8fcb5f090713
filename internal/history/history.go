// Package history records what the watcher observes: it turns verdicts into incidents and writes everything to the
// store.
//
// Recording must never delay a probe: events are queued in memory and one goroutine writes them. What cannot be
// written is retained, within limits, until it can be.
package history

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"netwatchd/internal/causes"
	"netwatchd/internal/incident"
	"netwatchd/internal/ledger"
	"netwatchd/internal/probe"
	"netwatchd/internal/rollup"
	"netwatchd/internal/store"
	"netwatchd/internal/watch"
)

// Options configure a Recorder.
type Options struct {
	Dir     string               // the directory of the store
	Keep    func() time.Duration // how long history is kept; called each time, because a reload may change it
	Version string
	Log     *slog.Logger
	// Snapshot returns the state of this host that an agent's run depends on, for the record of an incident that begins
	// or closes; nil: no snapshots. It may take seconds.
	Snapshot func(ctx context.Context) any
}

// A Recorder records history. It observes the watcher, and stores what services keep.
type Recorder struct {
	watch.NopObserver

	Options
	errors       atomic.Uint64
	damaged      atomic.Uint64
	wake         chan struct{} // there is something to write
	needSnapshot chan struct{} // there are incidents without a snapshot, or closed ones without one of their end

	mu              sync.Mutex // held for microseconds only: the watcher waits for it
	book            *incident.Book
	dirty           map[*incident.Incident]bool
	signatures      map[*incident.Incident]map[signature]bool // of the evidence already queued
	withoutSnapshot []string                                  // IDs of incidents without a snapshot
	withoutEnd      []string                                  // IDs of closed incidents without a snapshot of their end
	loads           int                                       // batches taken from the queue
	written         int                                       // the number of the last batch that was stored
	stored          chan struct{}                             // closed when written changes
	entries         []store.Entry
	weight          int // of entries
	lost            int // entries dropped because the store could not be written for too long
	current         map[ledger.Key]*rollup.Rollup
	minutes         []rollup.Minute
	kept            map[string]watch.Kept
	open            *store.Store // nil: the store could not be opened
	fault           string       // why history cannot be written, as logged; empty: it can
	malformed       error        // what a reader found, until the writing goroutine replaces the store
	moved           string       // where a malformed store was moved; empty: there was none

	// Used by the writing goroutine only.
	run           incident.DaemonRun
	retry         time.Duration
	batch         int // how many incidents and entries the next transaction may have
	maintained    time.Time
	started       time.Time
	currentMinute time.Time // the minute of current

	// emptied serves the next minute: growing a map of ten thousand probes makes 3 MB of garbage.
	emptied map[ledger.Key]*rollup.Rollup
}

// New opens the store and restores the state of earlier runs. If the store cannot be opened, that is logged and
// counted, and Run tries again; the Recorder works in memory until then.
func New(o Options) *Recorder {
	now := time.Now()
	rec := &Recorder{
		Options: o,
		wake:    make(chan struct{}, 1), needSnapshot: make(chan struct{}, 1),
		book: incident.NewBook(), dirty: make(map[*incident.Incident]bool),
		signatures: make(map[*incident.Incident]map[signature]bool), stored: make(chan struct{}),
		current: make(map[ledger.Key]*rollup.Rollup), emptied: make(map[ledger.Key]*rollup.Rollup),
		kept:    make(map[string]watch.Kept),
		run:     incident.DaemonRun{Version: o.Version, Started: now, Seen: now},
		started: now, currentMinute: now.Truncate(time.Minute), batch: batchLimit,
	}
	rec.report(rec.reopen(context.Background()))
	return rec
}

// Errors returns how often the store could not be opened or written.
func (rec *Recorder) Errors() float64 { return float64(rec.errors.Load()) }

// Fault returns why history cannot be written, and what to do; empty while it can.
func (rec *Recorder) Fault() string {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	return rec.fault
}

// DamagedRows returns how many rows of the store could not be decoded. They were moved to its table damaged.
func (rec *Recorder) DamagedRows() float64 { return float64(rec.damaged.Load()) }

// Moved returns where a malformed store was moved since the daemon started; empty: there was none. History from before
// is in that file.
func (rec *Recorder) Moved() string {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	return rec.moved
}

func (rec *Recorder) setFault(fault string) {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	rec.fault = fault
}

// Attempted adds r to the roll-ups, and stores it whole if it is a run of an agent.
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

// rareInterval is the shortest interval of a command whose runs are stored whole. An agent runs hourly by default; a
// script that runs every half minute is only rolled up, like any other probe.
const rareInterval = 5 * time.Minute

// Resumed records that the host was suspended.
func (rec *Recorder) Resumed(away time.Duration, _ int) {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	rec.enqueue(store.Suspend{Suspend: incident.Suspend{At: time.Now(), Away: away}})
}

// Judged enters the verdict in the book of incidents.
func (rec *Recorder) Judged(now watch.ServiceStatus, was causes.Cause) {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	newCause := now.Cause != was
	at := time.Now()
	if newCause {
		at = now.Since
	}
	i, changed := rec.book.Enter(now.Verdict, at)
	if changed {
		rec.markDirty(i)
	}
	if newCause {
		rec.enqueue(verdictChange(now, was, i, at))
	}
	if i != nil && i.IsOpen() && now.IsIncident() {
		rec.addEvidence(i, now)
	}
	if i := rec.book.Burst(now.Verdict, at); i != nil {
		rec.markDirty(i)
		rec.enqueue(verdictChange(now, now.Cause, i, at))
	}
	rec.endObservation(now)
}

func (rec *Recorder) markDirty(i *incident.Incident) {
	rec.dirty[i] = true
	if rec.signatures[i] == nil && i.IsOpen() {
		rec.signatures[i] = make(map[signature]bool)
		rec.withoutSnapshot = append(rec.withoutSnapshot, i.ID)
		signal(rec.needSnapshot)
	}
	if !i.IsOpen() {
		rec.snapshotEnd(i)
	}
	signal(rec.wake)
}

// snapshotEnd has a snapshot taken of the host as it was when i ended.
func (rec *Recorder) snapshotEnd(i *incident.Incident) {
	if !slices.Contains(rec.withoutEnd, i.ID) {
		rec.withoutEnd = append(rec.withoutEnd, i.ID)
	}
	signal(rec.needSnapshot)
}

// wholeRounds is how many verdicts of one incident are stored with all results of their rounds. Later ones, of a fault
// that keeps flapping, are stored with their evidence only: 5 KB instead of 20.
const wholeRounds = 50

func verdictChange(
	now watch.ServiceStatus,
	was causes.Cause,
	i *incident.Incident,
	at time.Time,
) store.VerdictChange {
	v := store.VerdictChange{VerdictChange: incident.VerdictChange{At: at, Was: was, Status: now}}
	if i != nil {
		v.Incident = i.ID
		if i.CauseChanges+i.Recurrences > wholeRounds {
			v.Status.Results = nil
		}
	}
	return v
}

// Results with the same signature are equal as evidence.
type signature struct {
	role    probe.Role
	service string
	name    string
	vantage probe.Vantage
	server  string
	class   probe.Class
}

func signatureOf(r probe.Result) signature {
	return signature{r.Role, r.Service, r.Name, r.Vantage, r.Server, r.Class}
}

func (s signature) String() string {
	parts := []string{s.role.String(), s.service, s.name, s.vantage.String(), s.server, s.class.String()}
	return strings.Join(parts, " ")
}

// signatureLimit bounds the evidence of one incident. A round has about thirty results; each can fail in a few ways.
const signatureLimit = 200

// addEvidence queues the first result of each signature.
func (rec *Recorder) addEvidence(i *incident.Incident, now watch.ServiceStatus) {
	signatures := rec.signatures[i]
	if signatures == nil { // the incident was opened by an earlier run
		signatures = make(map[signature]bool)
		rec.signatures[i] = signatures
	}
	for _, list := range [][]probe.Result{now.Evidence, now.Results} {
		for _, r := range list {
			s := signatureOf(r)
			if r.OK() || signatures[s] || len(signatures) >= signatureLimit {
				continue
			}
			signatures[s] = true
			rec.enqueue(store.Evidence{Incident: i.ID, Signature: s.String(), Result: r})
		}
	}
}

// weightLimit bounds the queue, in results of about a kilobyte each: 8 MB. That is more than a week of verdicts while
// the disk is full; ten thousand services that fail at once fill half of it for a moment.
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
	default: // already signaled
	}
}

// Recall returns what a service kept.
func (rec *Recorder) Recall(service string) watch.Kept {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	return rec.kept[service]
}

// Remember stores what a service keeps.
func (rec *Recorder) Remember(service string, k watch.Kept) {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	rec.kept[service] = k
	rec.enqueue(store.Kept{Service: service, Kept: k})
}

// CloseUnwatched closes the open incidents of services that are not in services.
func (rec *Recorder) CloseUnwatched(services []string) {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	watched := func(name string) bool { return slices.Contains(services, name) }
	for _, i := range rec.book.CloseUnwatched(watched, time.Now()) {
		rec.dirty[i] = true
	}
	signal(rec.wake)
}
