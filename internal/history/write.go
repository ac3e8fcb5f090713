package history

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"netwatchd/internal/incident"
	"netwatchd/internal/ledger"
	"netwatchd/internal/rollup"
	"netwatchd/internal/store"
)

const (
	// writeInterval is between two transactions: what happens in the same moment is written in one.
	writeInterval = 100 * time.Millisecond

	// A store that fails is tried again after a second, then ever more rarely: a disk someone makes room on is used again
	// within a minute.
	firstRetry = time.Second
	lastRetry  = time.Minute

	// maintainEvery is how often hours are gathered and old rows forgotten.
	maintainEvery = 10 * time.Minute

	// minUptime is how long the daemon must have run before anything is forgotten: after a resume or a boot the clock can be
	// years ahead until it is set, and all of history would look old.
	minUptime = time.Hour
	// maxClockStep is how far the wall clock may have moved against the time that went by, for its word to be taken on what is old.
	maxClockStep = 10 * time.Minute

	// batchLimit bounds a transaction: others wait for its end, a person who writes a note among them. Five hundred results
	// take a quarter of a second, most of it to take the secrets out.
	batchLimit = 500

	// partLimit bounds the roll-ups that wait to be written, 6 MB of them: of the default configuration a day's worth. Beyond
	// it the oldest minutes are added up, so that nothing is lost but their resolution.
	partLimit = 40_000

	// lastWrite bounds what is written at the end: systemd waits for longer, and an NFS server that is gone for ever.
	lastWrite = 3 * time.Second
)

// Run writes until ctx ends, then writes the rest and closes the store.
func (rec *Recorder) Run(ctx context.Context) {
	var snapshots sync.WaitGroup
	snapshots.Go(func() { rec.takeSnapshots(ctx) })
	tick := time.NewTimer(untilNextMinute())
	defer tick.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-tick.C:
			rec.endMinute(time.Now())
			rec.write(ctx)
			rec.maintain(ctx)
			tick.Reset(untilNextMinute())
		case <-rec.wake:
			rec.write(ctx)
		}
		if rec.retry > 0 {
			rec.waitToRetry(ctx)
		} else {
			sleep(ctx, writeInterval)
		}
	}
	snapshots.Wait()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWrite)
	defer cancel()
	rec.endMinute(time.Now())
	rec.run.Ended = time.Now()
	rec.write(ctx)
	rec.close()
}

func untilNextMinute() time.Duration {
	now := time.Now()
	return now.Truncate(time.Minute).Add(time.Minute).Sub(now)
}

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// waitToRetry waits until it is time to try again; minutes go on meanwhile.
func (rec *Recorder) waitToRetry(ctx context.Context) {
	sleep(ctx, min(rec.retry, untilNextMinute()))
	signal(rec.wake)
}

// endMinute files what was rolled up since the last call under the minute in which that began.
func (rec *Recorder) endMinute(now time.Time) {
	fresh := make(map[ledger.Key]*rollup.Rollup)
	rec.mu.Lock()
	filled := rec.current
	rec.current = fresh
	rec.mu.Unlock()
	m := rollup.Minute{At: rec.currentMinute, Parts: make([]rollup.Part, 0, len(filled))}
	rec.currentMinute = now.Truncate(time.Minute)
	for key, u := range filled {
		m.Parts = append(m.Parts, rollup.Part{Key: key, Rollup: *u})
	}
	rec.mu.Lock()
	defer rec.mu.Unlock()
	if len(m.Parts) > 0 {
		rec.minutes = compact(append(rec.minutes, m))
	}
	rec.run.Seen = now
}

// compact adds the oldest minutes up until there are few enough roll-ups.
func compact(minutes []rollup.Minute) []rollup.Minute {
	parts := 0
	for _, m := range minutes {
		parts += len(m.Parts)
	}
	for parts > partLimit && len(minutes) > 1 {
		parts -= len(minutes[0].Parts) + len(minutes[1].Parts)
		minutes[1] = sum(minutes[0], minutes[1])
		minutes = minutes[1:]
		parts += len(minutes[0].Parts)
	}
	return minutes
}

func sum(a, b rollup.Minute) rollup.Minute {
	place := make(map[ledger.Key]int, len(a.Parts))
	for n, p := range a.Parts {
		place[p.Key] = n
	}
	for _, p := range b.Parts {
		if n, ok := place[p.Key]; ok {
			a.Parts[n].Merge(&p.Rollup)
		} else {
			a.Parts = append(a.Parts, p)
		}
	}
	return a
}

// A load is what is being written.
type load struct {
	store.Batch
	dirty []*incident.Incident // whose copies are in the batch
}

func (rec *Recorder) nextLoad() load {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	var l load
	for i := range rec.dirty {
		if len(l.dirty) == batchLimit {
			signal(rec.wake)
			break
		}
		l.dirty = append(l.dirty, i)
		l.Incidents = append(l.Incidents, i.Clone())
		delete(rec.dirty, i)
	}
	n := min(len(rec.entries), batchLimit)
	l.Entries = slices.Clone(rec.entries[:n])
	clear(rec.entries[:n])
	rec.entries = rec.entries[n:]
	for _, e := range l.Entries {
		rec.weight -= weightOf(e)
	}
	if len(rec.entries) > 0 {
		signal(rec.wake)
	} else {
		rec.entries = nil // the burst is over: give its memory back
	}
	l.Minutes, rec.minutes = rec.minutes, nil
	l.Run = &rec.run
	return l
}

// requeue keeps what could not be written, before whatever has come since.
func (rec *Recorder) requeue(l load) {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	for _, i := range l.dirty {
		rec.dirty[i] = true
	}
	since := rec.entries
	rec.entries, rec.weight = l.Entries, 0
	for _, e := range l.Entries {
		rec.weight += weightOf(e)
	}
	for _, e := range since {
		rec.enqueue(e)
	}
	rec.minutes = compact(append(l.Minutes, rec.minutes...))
}

// write writes all there is, or keeps it for later.
func (rec *Recorder) write(ctx context.Context) {
	if rec.store() == nil {
		if err := rec.reopen(ctx); err != nil {
			rec.report(err)
			return
		}
	}
	l := rec.nextLoad()
	err := rec.store().Write(ctx, &l.Batch)
	if err != nil {
		rec.requeue(l)
	}
	rec.report(err)
	if err != nil && !store.IsFull(err) {
		rec.close() // it may have been removed, replaced, or be in a state that only opening it anew mends
	}
	if err == nil {
		rec.prune()
	}
}

// prune forgets the signatures of incidents that are over: one that returns gathers them anew, and the store knows the rest.
func (rec *Recorder) prune() {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	maps.DeleteFunc(rec.signatures, func(i *incident.Incident, _ map[signature]bool) bool {
		return !i.IsOpen() && rec.book.Latest(i.Service) != i
	})
	if rec.lost > 0 {
		rec.Log.Warn("some of what happened was not kept: the store could not be written to for too long", "lost", rec.lost)
		rec.lost = 0
	}
}

func (rec *Recorder) store() *store.Store {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	return rec.open
}

func (rec *Recorder) close() {
	rec.mu.Lock()
	s := rec.open
	rec.open = nil
	rec.mu.Unlock()
	if s != nil {
		_ = s.Close()
	}
}

// reopen opens the store and takes up what is in it.
func (rec *Recorder) reopen(ctx context.Context) error {
	s, err := store.Open(rec.Dir)
	if err != nil {
		return err
	}
	state, err := s.LoadState(ctx)
	if err != nil {
		_ = s.Close()
		return err
	}
	rec.mu.Lock()
	defer rec.mu.Unlock()
	rec.open = s
	rec.restore(state)
	return nil
}

// restore puts what the store holds and what has happened since together.
func (rec *Recorder) restore(state *store.State) {
	before := make(map[string]string) // IDs by service
	for _, i := range rec.book.Open() {
		before[i.Service] = i.ID
	}
	// Those that are over already and were never written are not in the book any more: their numbers must be free as well.
	for i := range rec.dirty {
		if rec.book.Latest(i.Service) != i {
			rec.book.AssignID(i)
		}
	}
	for _, i := range rec.book.Restore(state.Latest, state.Numbers) {
		rec.dirty[i] = true
	}
	for service, id := range before {
		now := rec.book.Latest(service)
		if now == nil || now.ID == id {
			continue
		}
		for n, e := range rec.entries {
			if owned, ok := e.(store.Owned); ok {
				rec.entries[n] = owned.Reassign(id, now.ID)
			}
		}
	}
	maps.DeleteFunc(rec.dirty, func(i *incident.Incident, _ bool) bool {
		now := rec.book.Latest(i.Service)
		return now != nil && now != i && now.Opened.Equal(i.Opened) // it became one with what was stored
	})
	for service, c := range state.Costs {
		if _, known := rec.costs[service]; !known {
			rec.costs[service] = c
		}
	}
	for service, c := range rec.costs {
		rec.enqueue(store.Costs{Service: service, Costs: c})
	}
}

// report counts every failure, and logs one that is new, or that is over: a disk that stays full is one line.
func (rec *Recorder) report(err error) {
	switch was := rec.Fault(); {
	case err == nil && was != "":
		rec.Log.Info("history is kept again", "store", rec.Dir)
		rec.setFault("")
		rec.retry = 0
	case err == nil:
		rec.retry = 0
	case errors.Is(err, context.Canceled):
	default:
		rec.errors.Add(1)
		rec.retry = min(max(2*rec.retry, firstRetry), lastRetry)
		if err.Error() != was {
			rec.setFault(err.Error())
			rec.Log.Error("history is not kept; probing goes on", "error", err)
		}
	}
}

// maintain gathers what is to be gathered, and forgets what is old if the clock can be trusted to say so.
func (rec *Recorder) maintain(ctx context.Context) {
	now := time.Now()
	if rec.store() == nil || now.Sub(rec.maintained) < maintainEvery {
		return
	}
	rec.maintained = now
	keep := rec.Keep()
	if !rec.clockIsSteady(now) {
		keep = 0
	}
	if err := rec.store().Maintain(ctx, now, keep); err != nil && ctx.Err() == nil {
		rec.report(err)
	}
}

// clockIsSteady reports whether the wall clock has gone as the time has, for long enough.
func (rec *Recorder) clockIsSteady(now time.Time) bool {
	passed := now.Sub(rec.started) // by the monotonic clock
	return passed >= minUptime && (now.Round(0).Sub(rec.started.Round(0))-passed).Abs() <= maxClockStep
}

// takeSnapshots takes a snapshot for each incident that begins. It takes seconds, in which history goes on.
func (rec *Recorder) takeSnapshots(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-rec.needSnapshot:
		}
		if rec.Snapshot == nil {
			continue
		}
		snapshot := rec.Snapshot(ctx)
		rec.mu.Lock()
		for _, id := range rec.withoutSnapshot {
			rec.enqueue(store.Snapshot{Incident: id, Body: snapshot})
		}
		rec.withoutSnapshot = nil
		rec.mu.Unlock()
		sleep(ctx, time.Second) // when everything fails at once, one look does for all
	}
}
