package history

import (
	"context"
	"fmt"
	"time"

	"netwatchd/internal/causes"
	"netwatchd/internal/incident"
	"netwatchd/internal/probe"
	"netwatchd/internal/store"
	"netwatchd/internal/watch"
)

// Why an observation ended.
const (
	endedByProbe = "a probe inside the sandbox reached the service"
	endedByRun   = "a run inside the sandbox succeeded"
)

// RecordBacktest records a backtest, and returns the observation that it begins, extends or ends; without one, the open
// incident whose record shows the runs; nil if there is neither. It waits until the backtest is written or ctx ends.
func (rec *Recorder) RecordBacktest(ctx context.Context, b *incident.Backtest) *incident.Incident {
	rec.mu.Lock()
	i, entries := enter(rec.book, b)
	for _, e := range entries {
		rec.enqueue(e)
	}
	if i != nil && i.Observation {
		rec.dirty[i] = true
		i = i.Clone()
	} else if i = rec.book.Latest(b.Service); i != nil && i.IsOpen() {
		i = i.Clone()
	} else {
		i = nil
	}
	load := rec.loads + 1
	rec.mu.Unlock()
	rec.await(ctx, load)
	return i
}

// await waits until the batch of a number is written.
func (rec *Recorder) await(ctx context.Context, load int) {
	for {
		rec.mu.Lock()
		done, stored := rec.written >= load, rec.stored
		rec.mu.Unlock()
		if done {
			return
		}
		select {
		case <-stored:
		case <-ctx.Done():
			return
		}
	}
}

// WriteBacktest records a backtest in the store in dir like [Recorder.RecordBacktest], while no daemon uses the store.
func WriteBacktest(ctx context.Context, dir string, b *incident.Backtest) (*incident.Incident, error) {
	s, err := store.Open(dir)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	state, err := s.LoadState(ctx)
	if err != nil {
		return nil, err
	}
	book := incident.NewBook()
	book.Restore(state.Latest, state.Numbers)
	i, entries := enter(book, b)
	batch := &store.Batch{Entries: entries}
	if i != nil {
		batch.Incidents = []*incident.Incident{i}
	} else if latest := book.Latest(b.Service); latest != nil && latest.IsOpen() {
		i = latest
	}
	if err := s.Write(ctx, batch); err != nil {
		return nil, fmt.Errorf("recording the backtest: %w", err)
	}
	return i, nil
}

// enter enters a backtest in the book. It returns the observation that the backtest begins, extends or ends, if any,
// and what to store.
func enter(book *incident.Book, b *incident.Backtest) (i *incident.Incident, entries []store.Entry) {
	for _, r := range b.Runs {
		entries = append(entries, store.Attempt{Result: r, Manual: true})
	}
	from, to := b.Span()
	switch {
	case b.Blocked():
		i = book.Observe(b.Verdict(), from, to)
		status := b.Status
		status.Verdict = b.Verdict()
		status.Since = i.Opened
		entries = append(entries, store.VerdictChange{VerdictChange: incident.VerdictChange{
			At: to, Was: status.Cause, Incident: i.ID, Status: status}})
		entries = append(entries, evidence(i, status)...)
	case b.Passed():
		i = book.EndObservation(b.Service, endedByRun, to)
	}
	if i != nil && len(b.Snapshot) > 0 {
		entries = append(entries, store.Snapshot{Incident: i.ID, Body: b.Snapshot}) // unless there is one
		entries = append(entries, store.EndSnapshot{Incident: i.ID, Body: b.Snapshot})
	}
	return i, entries
}

// evidence returns the failed results of a backtest.
func evidence(i *incident.Incident, status watch.ServiceStatus) (entries []store.Entry) {
	for _, r := range status.Results {
		if r.OK() {
			continue
		}
		entries = append(entries, store.Evidence{Incident: i.ID, Signature: signatureOf(r).String(), Result: r})
	}
	return entries
}

// endObservation ends the observation of a closed sandbox when a probe inside reaches the service.
func (rec *Recorder) endObservation(now watch.ServiceStatus) {
	i := rec.book.Observed(now.Service, time.Now())
	if i == nil {
		return
	}
	for _, r := range now.Results {
		inside := r.Vantage == probe.FromSandbox && r.Role == probe.OfService && r.Kind == probe.KindHTTP
		if !inside || !r.OK() || !r.Start.After(*i.Closed) {
			continue
		}
		rec.book.EndObservation(now.Service, endedByProbe, r.Start)
		rec.enqueue(verdictChange(now, causes.Sandbox, i, r.Start))
		rec.dirty[i] = true
		rec.snapshotEnd(i)
		signal(rec.wake)
		return
	}
}
