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
	// pause is between two transactions: what happens in the same moment is written in one.
	pause = 100 * time.Millisecond

	// A store that fails is tried again after a second, then ever more rarely: a disk someone makes room on is used again
	// within a minute.
	firstRetry = time.Second
	lastRetry  = time.Minute

	// tidying is how often hours are gathered and old rows forgotten.
	tidying = 10 * time.Minute

	// settled is how long the daemon must have run before anything is forgotten: after a resume or a boot the clock can be
	// years ahead until it is set, and all of history would look old.
	settled = time.Hour
	// stepped is how far the wall clock may have moved against the time that went by, for its word to be taken on what is old.
	stepped = 10 * time.Minute

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
func (k *Keeper) Run(ctx context.Context) {
	var looker sync.WaitGroup
	looker.Go(func() { k.lookAround(ctx) })
	tick := time.NewTimer(untilNextMinute())
	defer tick.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-tick.C:
			k.endMinute(time.Now())
			k.write(ctx)
			k.tidy(ctx)
			tick.Reset(untilNextMinute())
		case <-k.wake:
			k.write(ctx)
		}
		if k.retry > 0 {
			k.waitToRetry(ctx)
		} else {
			sleep(ctx, pause)
		}
	}
	looker.Wait()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWrite)
	defer cancel()
	k.endMinute(time.Now())
	k.run.Ended = time.Now()
	k.write(ctx)
	k.close()
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
func (k *Keeper) waitToRetry(ctx context.Context) {
	sleep(ctx, min(k.retry, untilNextMinute()))
	signal(k.wake)
}

// endMinute files what was rolled up since the last call under the minute in which that began.
func (k *Keeper) endMinute(now time.Time) {
	fresh := make(map[ledger.Key]*rollup.Rollup)
	k.mu.Lock()
	filled := k.current
	k.current = fresh
	k.mu.Unlock()
	m := rollup.Minute{At: k.lastPart, Parts: make([]rollup.Part, 0, len(filled))}
	k.lastPart = now.Truncate(time.Minute)
	for key, u := range filled {
		m.Parts = append(m.Parts, rollup.Part{Key: key, Rollup: *u})
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(m.Parts) > 0 {
		k.minutes = thin(append(k.minutes, m))
	}
	k.run.Seen = now
}

// thin adds the oldest minutes up until there are few enough roll-ups.
func thin(minutes []rollup.Minute) []rollup.Minute {
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

func (k *Keeper) take() load {
	k.mu.Lock()
	defer k.mu.Unlock()
	var l load
	for i := range k.dirty {
		if len(l.dirty) == batchLimit {
			signal(k.wake)
			break
		}
		l.dirty = append(l.dirty, i)
		l.Incidents = append(l.Incidents, i.Clone())
		delete(k.dirty, i)
	}
	n := min(len(k.entries), batchLimit)
	l.Entries = slices.Clone(k.entries[:n])
	clear(k.entries[:n])
	k.entries = k.entries[n:]
	for _, e := range l.Entries {
		k.weight -= weigh(e)
	}
	if len(k.entries) > 0 {
		signal(k.wake)
	} else {
		k.entries = nil // the burst is over: give its memory back
	}
	l.Minutes, k.minutes = k.minutes, nil
	l.Run = &k.run
	return l
}

// giveBack keeps what could not be written, before whatever has come since.
func (k *Keeper) giveBack(l load) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, i := range l.dirty {
		k.dirty[i] = true
	}
	since := k.entries
	k.entries, k.weight = l.Entries, 0
	for _, e := range l.Entries {
		k.weight += weigh(e)
	}
	for _, e := range since {
		k.enter(e)
	}
	k.minutes = thin(append(l.Minutes, k.minutes...))
}

// write writes all there is, or keeps it for later.
func (k *Keeper) write(ctx context.Context) {
	if k.store() == nil {
		if err := k.reopen(ctx); err != nil {
			k.report(err)
			return
		}
	}
	l := k.take()
	err := k.store().Write(ctx, &l.Batch)
	if err != nil {
		k.giveBack(l)
	}
	k.report(err)
	if err != nil && !store.IsFull(err) {
		k.close() // it may have been removed, replaced, or be in a state that only opening it anew mends
	}
	if err == nil {
		k.prune()
	}
}

// prune forgets the signs of incidents that are over: one that returns gathers them anew, and the store knows the rest.
func (k *Keeper) prune() {
	k.mu.Lock()
	defer k.mu.Unlock()
	maps.DeleteFunc(k.signs, func(i *incident.Incident, _ map[sign]bool) bool {
		return !i.IsOpen() && k.book.Latest(i.Service) != i
	})
	if k.lost > 0 {
		k.Log.Warn("some of what happened was not kept: the store could not be written to for too long", "lost", k.lost)
		k.lost = 0
	}
}

func (k *Keeper) store() *store.Store {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.open
}

func (k *Keeper) close() {
	k.mu.Lock()
	s := k.open
	k.open = nil
	k.mu.Unlock()
	if s != nil {
		_ = s.Close()
	}
}

// reopen opens the store and takes up what is in it.
func (k *Keeper) reopen(ctx context.Context) error {
	s, err := store.Open(k.Dir)
	if err != nil {
		return err
	}
	past, err := s.Past(ctx)
	if err != nil {
		_ = s.Close()
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.open = s
	k.restore(past)
	return nil
}

// restore puts what the store holds and what has happened since together.
func (k *Keeper) restore(past *store.Past) {
	before := make(map[string]string) // IDs by service
	for _, i := range k.book.Open() {
		before[i.Service] = i.ID
	}
	// Those that are over already and were never written are not in the book any more: their numbers must be free as well.
	for i := range k.dirty {
		if k.book.Latest(i.Service) != i {
			k.book.Name(i)
		}
	}
	for _, i := range k.book.Restore(past.Latest, past.Numbers) {
		k.dirty[i] = true
	}
	for service, id := range before {
		now := k.book.Latest(service)
		if now == nil || now.ID == id {
			continue
		}
		for n, e := range k.entries {
			if owned, ok := e.(store.Owned); ok {
				k.entries[n] = owned.Of(id, now.ID)
			}
		}
	}
	maps.DeleteFunc(k.dirty, func(i *incident.Incident, _ bool) bool {
		now := k.book.Latest(i.Service)
		return now != nil && now != i && now.Opened.Equal(i.Opened) // it became one with what was stored
	})
	for service, c := range past.Costs {
		if _, known := k.costs[service]; !known {
			k.costs[service] = c
		}
	}
	for service, c := range k.costs {
		k.enter(store.Costs{Service: service, Costs: c})
	}
}

// report counts every failure, and logs one that is new, or that is over: a disk that stays full is one line.
func (k *Keeper) report(err error) {
	switch was := k.Fault(); {
	case err == nil && was != "":
		k.Log.Info("history is kept again", "store", k.Dir)
		k.setFault("")
		k.retry = 0
	case err == nil:
		k.retry = 0
	case errors.Is(err, context.Canceled):
	default:
		k.errors.Add(1)
		k.retry = min(max(2*k.retry, firstRetry), lastRetry)
		if err.Error() != was {
			k.setFault(err.Error())
			k.Log.Error("history is not kept; probing goes on", "error", err)
		}
	}
}

// tidy gathers what is to be gathered, and forgets what is old if the clock can be trusted to say so.
func (k *Keeper) tidy(ctx context.Context) {
	now := time.Now()
	if k.store() == nil || now.Sub(k.tidied) < tidying {
		return
	}
	k.tidied = now
	keep := k.Keep()
	if !k.trusts(now) {
		keep = 0
	}
	if err := k.store().Tidy(ctx, now, keep); err != nil && ctx.Err() == nil {
		k.report(err)
	}
}

// trusts reports whether the wall clock has gone as the time has, for long enough.
func (k *Keeper) trusts(now time.Time) bool {
	passed := now.Sub(k.begun) // by the monotonic clock
	return passed >= settled && (now.Round(0).Sub(k.begun.Round(0))-passed).Abs() <= stepped
}

// lookAround takes a snapshot for each incident that begins. It takes seconds, in which history goes on.
func (k *Keeper) lookAround(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-k.look:
		}
		if k.Look == nil {
			continue
		}
		looked := k.Look(ctx)
		k.mu.Lock()
		for _, id := range k.unseen {
			k.enter(store.Snapshot{Incident: id, Body: looked})
		}
		k.unseen = nil
		k.mu.Unlock()
		sleep(ctx, time.Second) // when everything fails at once, one look does for all
	}
}
