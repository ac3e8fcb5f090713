package history

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"time"

	"netwatchd/internal/incident"
	"netwatchd/internal/ledger"
	"netwatchd/internal/record"
	"netwatchd/internal/rollup"
	"netwatchd/internal/store"
)

// Incidents returns the matching incidents, the latest first, and the total number that match. Incidents that are not
// written yet are included. While the store is unavailable, it returns what is in memory.
func (rec *Recorder) Incidents(
	ctx context.Context, f incident.Filter,
) (found []*incident.Incident, total int, err error) {
	s := rec.store()
	if s == nil {
		return rec.inMemory(f)
	}
	unwritten := rec.unstored(f.Services, false)
	wide := f // each unwritten incident can shift the stored ones by one
	wide.Offset = max(f.Offset-len(unwritten), 0)
	if f.Limit > 0 {
		wide.Limit += len(unwritten)
	}
	found, total, err = s.Incidents(ctx, wide)
	if err != nil {
		rec.noticed(s, err)
		return rec.inMemory(f)
	}
	for _, i := range unwritten {
		if stored, err := s.Incident(ctx, i.ID); err == nil {
			i.Notes = stored.Notes
			found = slices.DeleteFunc(found, func(other *incident.Incident) bool { return other.ID == i.ID })
			if matches(f, stored) {
				total--
			}
		}
		if matches(f, i) {
			found = append(found, i)
			total++
		}
	}
	f.Offset -= wide.Offset
	return page(found, f), total, nil
}

func matches(f incident.Filter, i *incident.Incident) bool {
	return (i.IsOpen() || !f.OpenOnly) && f.Kind.Has(i)
}

// inMemory returns the matching incidents that are in memory.
func (rec *Recorder) inMemory(f incident.Filter) (found []*incident.Incident, total int, err error) {
	found = slices.DeleteFunc(rec.unstored(f.Services, true), func(i *incident.Incident) bool { return !matches(f, i) })
	return page(found, f), len(found), nil
}

// page returns the part of all that f selects, the latest first.
func page(all []*incident.Incident, f incident.Filter) []*incident.Incident {
	slices.SortFunc(all, func(a, b *incident.Incident) int {
		return cmp.Or(b.Opened.Compare(a.Opened), cmp.Compare(b.ID, a.ID))
	})
	all = all[min(f.Offset, len(all)):]
	if f.Limit > 0 {
		all = all[:min(f.Limit, len(all))]
	}
	return all
}

// unstored returns the incidents of services that are not written yet; without services, of all. If withOpen is set,
// it also returns the open ones that are written.
func (rec *Recorder) unstored(services []string, withOpen bool) (found []*incident.Incident) {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	known := maps.Clone(rec.dirty)
	if withOpen {
		for _, i := range rec.book.Open() {
			known[i] = true
		}
	}
	for i := range known {
		if len(services) == 0 || slices.Contains(services, i.Service) {
			found = append(found, i.Clone())
		}
	}
	return found
}

// errUnavailable means that nothing can be read.
var errUnavailable = errors.New("the store is unavailable: see the daemon's log")

// Record returns the record of an incident, including what is not written yet, or [incident.ErrNotFound].
func (rec *Recorder) Record(ctx context.Context, id string) (*record.Record, error) {
	detail, err := (*incident.Detail)(nil), errUnavailable
	if s := rec.store(); s != nil {
		detail, err = s.Detail(ctx, id)
		rec.noticed(s, err)
	}
	for _, i := range rec.unstored(nil, detail == nil) {
		switch {
		case i.ID != id:
		case detail == nil:
			detail, err = &incident.Detail{Incident: i}, nil
		default:
			i.Notes = detail.Incident.Notes
			detail.Incident = i
		}
	}
	if err != nil {
		return nil, err
	}
	rec.addUnwritten(detail)
	return record.Of(detail), nil
}

// addUnwritten adds what is queued about the incident.
func (rec *Recorder) addUnwritten(t *incident.Detail) {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	id := t.Incident.ID
	for _, e := range rec.entries {
		switch e := e.(type) {
		case store.VerdictChange:
			if e.Incident == id {
				t.Verdicts = append(t.Verdicts, e.VerdictChange)
			}
		case store.Evidence:
			if e.Incident == id {
				t.Evidence = append(t.Evidence, e.Result)
			}
		case store.Attempt:
			switch {
			case e.Result.Service != t.Incident.Service || e.Result.Start.Before(t.Incident.Opened):
			case e.Manual:
				t.Manual = append(t.Manual, e.Result)
			default:
				t.Attempts = append(t.Attempts, e.Result)
			}
		case store.Snapshot:
			if e.Incident == id && len(t.Snapshot) == 0 {
				t.Snapshot, _ = json.Marshal(e.Body) // without JSON, the record reports that there is no snapshot
			}
		case store.EndSnapshot:
			if e.Incident == id {
				t.End, _ = json.Marshal(e.Body)
			}
		}
	}
}

// Keys lists the series of services, including those not written yet; without services, of all.
func (rec *Recorder) Keys(ctx context.Context, services ...string) (keys []ledger.Key, err error) {
	if s := rec.store(); s != nil {
		keys, err = s.Keys(ctx, services...)
		rec.noticed(s, err)
	}
	known := make(map[ledger.Key]bool, len(keys))
	for _, key := range keys {
		known[key] = true
	}
	rec.mu.Lock()
	defer rec.mu.Unlock()
	add := func(key ledger.Key) {
		if !known[key] && (len(services) == 0 || slices.Contains(services, key.Service)) {
			known[key] = true
			keys = append(keys, key)
		}
	}
	for key := range rec.current {
		add(key)
	}
	for _, m := range rec.minutes {
		for _, p := range m.Parts {
			add(p.Key)
		}
	}
	slices.SortFunc(keys, ledger.Key.Compare)
	return keys, err
}

// Series adds the stored measurements to curves, and those not written yet. While a minute is being written, it is in
// neither.
func (rec *Recorder) Series(ctx context.Context, c *rollup.Curves) (err error) {
	if s := rec.store(); s != nil {
		err = s.Series(ctx, c)
		rec.noticed(s, err)
	}
	rec.mu.Lock()
	defer rec.mu.Unlock()
	for _, m := range rec.minutes {
		for _, p := range m.Parts {
			c.Add(p.Key, m.At, &p.Rollup)
		}
	}
	now := time.Now().Truncate(time.Minute)
	for key := range c.Keys() { // not the other way round: current may have ten thousand
		if u := rec.current[key]; u != nil {
			c.Add(key, now, u)
		}
	}
	return err
}

// Begin returns when netwatchd first ran; the zero time while the store is unavailable.
func (rec *Recorder) Begin(ctx context.Context) (time.Time, error) {
	s := rec.store()
	if s == nil {
		return time.Time{}, nil
	}
	at, err := s.Begin(ctx)
	rec.noticed(s, err)
	return at, err
}

// Gaps lists the spans without monitoring. While the store is unavailable, none are known.
func (rec *Recorder) Gaps(ctx context.Context, from, to time.Time) ([]incident.Gap, error) {
	s := rec.store()
	if s == nil {
		return nil, nil
	}
	gaps, err := s.Gaps(ctx, from, to)
	rec.noticed(s, err)
	return gaps, err
}
