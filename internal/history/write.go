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
	// writeInterval is the pause between two transactions, so that what happens together is written in one.
	writeInterval = 100 * time.Millisecond

	// A store that fails is retried after a second, then less and less often: after space is freed on a full disk,
	// writing resumes within a minute.
	firstRetry = time.Second
	lastRetry  = time.Minute

	// maintainEvery is how often past hours are rolled up and old rows deleted.
	maintainEvery = 10 * time.Minute

	// minUptime is how long the daemon must have run before anything is deleted: after a resume or a boot the clock
	// can be years ahead until it is set, and all of history would look old.
	minUptime = time.Hour
	// maxClockStep is how far the wall clock may deviate from the monotonic clock for old rows to be deleted.
	maxClockStep = 10 * time.Minute

	// batchLimit bounds a transaction, because others wait for it, such as a person who writes a note. Five hundred
	// results take a quarter of a second, mostly to remove secrets. On a full disk the limit is halved at each attempt,
	// so that what little space is freed is used.
	batchLimit = 500

	// partLimit bounds the roll-ups in memory to 6 MB: a day's worth in the default configuration. Beyond it the
	// oldest minutes are merged, so that only their resolution is lost.
	partLimit = 40_000

	// lastWrite bounds the final write: systemd waits longer than that, but a dead NFS server would block forever.
	lastWrite = 3 * time.Second
)

// Run writes to the store until ctx ends, then writes the rest and closes it.
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
			rec.setAside(ctx)
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
	for rec.write(ctx) && rec.queued() {
	}
	rec.reportLost()
	rec.close()
}

// queued reports whether there is something to write.
func (rec *Recorder) queued() bool {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	return len(rec.dirty)+len(rec.entries)+len(rec.minutes) > 0
}

// reportLost logs what could not be written before the end.
func (rec *Recorder) reportLost() {
	if !rec.queued() {
		return
	}
	rec.mu.Lock()
	defer rec.mu.Unlock()
	incidents := make([]string, 0, len(rec.dirty))
	for i := range rec.dirty {
		incidents = append(incidents, i.ID)
	}
	slices.Sort(incidents)
	rec.Log.Error("history is lost: it could not be written before the end", "incidents", incidents,
		"events", len(rec.entries), "minutes", len(rec.minutes), "error", rec.fault)
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

// waitToRetry waits for the next attempt to write, or for the end of the minute.
func (rec *Recorder) waitToRetry(ctx context.Context) {
	sleep(ctx, min(rec.retry, untilNextMinute()))
	signal(rec.wake)
}

// endMinute adds the roll-ups since the last call to minutes, under the minute of that call.
func (rec *Recorder) endMinute(now time.Time) {
	fresh := rec.emptied
	rec.mu.Lock()
	filled := rec.current
	rec.current = fresh
	rec.mu.Unlock()
	m := rollup.Minute{At: rec.currentMinute, Parts: make([]rollup.Part, 0, len(filled))}
	rec.currentMinute = now.Truncate(time.Minute)
	for key, u := range filled {
		m.Parts = append(m.Parts, rollup.Part{Key: key, Rollup: *u})
	}
	clear(filled)
	rec.emptied = filled
	rec.mu.Lock()
	defer rec.mu.Unlock()
	if len(m.Parts) > 0 {
		rec.minutes = compact(append(rec.minutes, m))
	}
	rec.run.Seen = now
}

// compact merges the oldest minutes until there are at most partLimit roll-ups.
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

// A load is a batch that is being written.
type load struct {
	store.Batch
	dirty []*incident.Incident // the originals of the copies in the batch
}

func (rec *Recorder) nextLoad() load {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	var l load
	for i := range rec.dirty {
		if len(l.dirty) == rec.batch {
			signal(rec.wake)
			break
		}
		l.dirty = append(l.dirty, i)
		l.Incidents = append(l.Incidents, i.Clone())
		delete(rec.dirty, i)
	}
	n := min(len(rec.entries), rec.batch)
	l.Entries = slices.Clone(rec.entries[:n])
	clear(rec.entries[:n])
	rec.entries = rec.entries[n:]
	for _, e := range l.Entries {
		rec.weight -= weightOf(e)
	}
	if len(rec.entries) > 0 {
		signal(rec.wake)
	} else {
		rec.entries = nil // release the memory of a burst
	}
	l.Minutes, rec.minutes = rec.minutes, nil
	l.Run = &rec.run
	rec.loads++
	return l
}

// requeue puts back what could not be written, before what was queued since.
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

// write writes a batch of what is queued, or puts it back. It reports whether that succeeded.
func (rec *Recorder) write(ctx context.Context) bool {
	if err := rec.takeMalformed(); err != nil {
		rec.handle(ctx, err)
	}
	if rec.store() == nil {
		if err := rec.reopen(ctx); err != nil {
			rec.report(err)
			return false
		}
	}
	l := rec.nextLoad()
	if err := rec.store().Write(ctx, &l.Batch); err != nil {
		rec.requeue(l)
		rec.handle(ctx, err)
		return false
	}
	rec.batch = min(2*rec.batch, batchLimit)
	rec.report(nil)
	rec.prune()
	return true
}

// handle reports an error of the open store and does what may help before the next attempt.
func (rec *Recorder) handle(ctx context.Context, err error) {
	rec.report(err)
	switch s := rec.store(); {
	case s == nil:
	case store.IsFull(err):
		rec.batch = max(rec.batch/2, 1)
		s.Shrink(ctx)
	case store.IsMalformed(err):
		rec.detach()
		if moved, err := s.MoveMalformed(); err != nil {
			rec.report(err)
		} else {
			rec.replaced(moved)
		}
	default:
		rec.close() // it may have been removed or replaced, or only reopening it may help
	}
}

// replaced records that a malformed store was moved away. The new one gets what is in memory.
func (rec *Recorder) replaced(moved string) {
	rec.mu.Lock()
	rec.moved = moved
	rec.mu.Unlock()
	rec.Log.Error("the store was malformed: it was moved away, and a new one begins", "moved", moved)
}

// setAside moves the damaged rows away that were found since the last call.
func (rec *Recorder) setAside(ctx context.Context) {
	s := rec.store()
	if s == nil {
		return
	}
	n, err := s.SetAside(ctx)
	if err != nil {
		rec.handle(ctx, err)
		return
	}
	if n > 0 {
		rec.damaged.Add(uint64(n))
		rec.Log.Error("rows of the store are damaged: they were moved to its table damaged", "rows", n)
	}
}

// noticed has the writing goroutine replace s if err, of a reader, says that it is malformed.
func (rec *Recorder) noticed(s *store.Store, err error) {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	if rec.open == s && store.IsMalformed(err) {
		rec.malformed = err
		signal(rec.wake)
	}
}

// takeMalformed returns what a reader has noticed of the open store.
func (rec *Recorder) takeMalformed() error {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	err := rec.malformed
	rec.malformed = nil
	return err
}

// prune drops the signatures of closed incidents. One that reopens collects them again, and the store ignores
// duplicates.
func (rec *Recorder) prune() {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	rec.written = rec.loads
	close(rec.stored)
	rec.stored = make(chan struct{})
	maps.DeleteFunc(rec.signatures, func(i *incident.Incident, _ map[signature]bool) bool {
		return !i.IsOpen() && rec.book.Latest(i.Service) != i
	})
	if rec.lost > 0 {
		rec.Log.Warn("some history was lost: the store could not be written for too long", "lost", rec.lost)
		rec.lost = 0
	}
}

func (rec *Recorder) store() *store.Store {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	return rec.open
}

func (rec *Recorder) close() {
	if s := rec.detach(); s != nil {
		_ = s.Close()
	}
}

// detach returns the open store, which is no longer used from then on.
func (rec *Recorder) detach() *store.Store {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	s := rec.open
	rec.open, rec.malformed = nil, nil
	return s
}

// reopen opens the store and restores its state.
func (rec *Recorder) reopen(ctx context.Context) error {
	s, err := store.Open(rec.Dir)
	if err != nil {
		return err
	}
	if s.Moved != "" {
		rec.replaced(s.Moved)
	}
	state, err := s.LoadState(ctx)
	if store.IsMalformed(err) {
		moved, err := s.MoveMalformed()
		if err != nil {
			return err
		}
		rec.replaced(moved)
		return rec.reopen(ctx)
	}
	if err != nil {
		_ = s.Close()
		return err
	}
	rec.mu.Lock()
	rec.open = s
	rec.restore(state)
	rec.mu.Unlock()
	rec.setAside(ctx)
	return nil
}

// restore combines the stored state with what has happened since.
func (rec *Recorder) restore(state *store.State) {
	before := make(map[string]string) // IDs by service
	for _, i := range rec.book.Open() {
		before[i.Service] = i.ID
	}
	observations := rec.book.Observations()
	observed := make([]string, len(observations)) // their IDs
	for n, i := range observations {
		observed[n] = i.ID
	}
	// Incidents that are closed and were never written are no longer in the book; they need free numbers too.
	for i := range rec.dirty {
		if !rec.book.Holds(i) {
			rec.book.AssignID(i)
		}
	}
	for _, i := range rec.book.Restore(state.Latest, state.Numbers) {
		rec.dirty[i] = true
	}
	renamed := make(map[string]string)
	for service, id := range before {
		if now := rec.book.Latest(service); now != nil {
			renamed[id] = now.ID
		}
	}
	for n, i := range observations {
		renamed[observed[n]] = i.ID
	}
	rec.reassign(renamed)
	maps.DeleteFunc(rec.dirty, func(i *incident.Incident, _ bool) bool {
		now := rec.book.Latest(i.Service)
		return !i.Observation && now != nil && now != i && now.Opened.Equal(i.Opened) // it now continues the stored incident
	})
	for service, c := range state.Kept {
		if _, known := rec.kept[service]; !known {
			rec.kept[service] = c
		}
	}
	for service, c := range rec.kept {
		rec.enqueue(store.Kept{Service: service, Kept: c})
	}
}

// reassign moves queued entries to the new IDs of their incidents. Each entry moves once: a new ID may be the old one
// of another incident.
func (rec *Recorder) reassign(renamed map[string]string) {
	for n, e := range rec.entries {
		owned, ok := e.(store.Owned)
		if !ok {
			continue
		}
		if to, ok := renamed[owned.Owner()]; ok {
			rec.entries[n] = owned.Reassign(to)
		}
	}
}

// report counts every failure, and logs when writing starts to fail or succeeds again: a disk that stays full is logged
// once.
func (rec *Recorder) report(err error) {
	switch was := rec.Fault(); {
	case err == nil && was != "":
		rec.Log.Info("history is written again", "store", rec.Dir)
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
			rec.Log.Error("history cannot be written; probing continues", "error", err)
		}
	}
}

// maintain rolls past hours up, and deletes old rows if the clock can be trusted.
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
		rec.handle(ctx, err)
	}
}

// clockIsSteady reports whether the wall clock has agreed with the monotonic clock for long enough.
func (rec *Recorder) clockIsSteady(now time.Time) bool {
	passed := now.Sub(rec.started) // by the monotonic clock
	return passed >= minUptime && (now.Round(0).Sub(rec.started.Round(0))-passed).Abs() <= maxClockStep
}

// takeSnapshots takes a snapshot for each incident that began or closed. That takes seconds, so it does not run in the
// writing goroutine.
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
		for _, id := range rec.withoutEnd {
			rec.enqueue(store.EndSnapshot{Incident: id, Body: snapshot})
		}
		rec.withoutSnapshot, rec.withoutEnd = nil, nil
		rec.mu.Unlock()
		sleep(ctx, time.Second) // when everything fails at once, one snapshot serves all
	}
}
