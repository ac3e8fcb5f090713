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

// Incidents returns those that match, the latest first, and how many match in all: what is stored, and over it what could
// not be written yet. While the store cannot be used it is those that are known in memory.
func (k *Keeper) Incidents(ctx context.Context, f incident.Filter) (found []*incident.Incident, total int, err error) {
	s := k.store()
	if s == nil {
		return k.remembered(f)
	}
	unwritten := k.held(f.Services, false)
	wide := f // each of those may move the others by one
	wide.Offset = max(f.Offset-len(unwritten), 0)
	if f.Limit > 0 {
		wide.Limit += len(unwritten)
	}
	found, total, err = s.Incidents(ctx, wide)
	if err != nil {
		return k.remembered(f)
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

func matches(f incident.Filter, i *incident.Incident) bool { return i.IsOpen() || !f.OpenOnly }

// remembered are those in memory that match.
func (k *Keeper) remembered(f incident.Filter) (found []*incident.Incident, total int, err error) {
	found = slices.DeleteFunc(k.held(f.Services, true), func(i *incident.Incident) bool { return !matches(f, i) })
	return page(found, f), len(found), nil
}

// page is the part of all that f wants, the latest first.
func page(all []*incident.Incident, f incident.Filter) []*incident.Incident {
	slices.SortFunc(all, func(a, b *incident.Incident) int { return cmp.Or(b.Opened.Compare(a.Opened), cmp.Compare(b.ID, a.ID)) })
	all = all[min(f.Offset, len(all)):]
	if f.Limit > 0 {
		all = all[:min(f.Limit, len(all))]
	}
	return all
}

// held are the incidents of services, of all if none is named, that wait to be written; and those that are open, if written
// ones are asked for.
func (k *Keeper) held(services []string, written bool) (held []*incident.Incident) {
	k.mu.Lock()
	defer k.mu.Unlock()
	known := maps.Clone(k.dirty)
	if written {
		for _, i := range k.book.Open() {
			known[i] = true
		}
	}
	for i := range known {
		if len(services) == 0 || slices.Contains(services, i.Service) {
			held = append(held, i.Clone())
		}
	}
	return held
}

// errAway says that nothing can be read.
var errAway = errors.New("the store cannot be used now; the log says why")

// Record returns the record of an incident, of what is stored and of what could not be written yet; its error is
// [incident.ErrNoIncident] if there is none.
func (k *Keeper) Record(ctx context.Context, id string) (*record.Record, error) {
	told, err := (*incident.Told)(nil), errAway
	if s := k.store(); s != nil {
		told, err = s.Tell(ctx, id)
	}
	for _, i := range k.held(nil, told == nil) {
		switch {
		case i.ID != id:
		case told == nil:
			told, err = &incident.Told{Incident: i}, nil
		default:
			i.Notes = told.Incident.Notes
			told.Incident = i
		}
	}
	if err != nil {
		return nil, err
	}
	k.addUnwritten(told)
	return record.Of(told), nil
}

// addUnwritten adds what is to be written of the incident.
func (k *Keeper) addUnwritten(t *incident.Told) {
	k.mu.Lock()
	defer k.mu.Unlock()
	id := t.Incident.ID
	for _, e := range k.entries {
		switch e := e.(type) {
		case store.Verdict:
			if e.Incident == id {
				t.Verdicts = append(t.Verdicts, e.Verdict)
			}
		case store.Evidence:
			if e.Incident == id {
				t.Evidence = append(t.Evidence, e.Result)
			}
		case store.Attempt:
			if e.Result.Service == t.Incident.Service && !e.Result.Start.Before(t.Incident.Opened) {
				t.Attempts = append(t.Attempts, e.Result)
			}
		case store.Snapshot:
			if e.Incident == id && len(t.Snapshot) == 0 {
				t.Snapshot, _ = json.Marshal(e.Body) // one that has no JSON is missed in the record, which says so
			}
		}
	}
}

// Keys lists the series of services, or every one there is if none is named, those not written yet included.
func (k *Keeper) Keys(ctx context.Context, services ...string) (keys []ledger.Key, err error) {
	if s := k.store(); s != nil {
		keys, err = s.Keys(ctx, services...)
	}
	known := make(map[ledger.Key]bool, len(keys))
	for _, key := range keys {
		known[key] = true
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	add := func(key ledger.Key) {
		if !known[key] && (len(services) == 0 || slices.Contains(services, key.Service)) {
			known[key] = true
			keys = append(keys, key)
		}
	}
	for key := range k.current {
		add(key)
	}
	for _, m := range k.minutes {
		for _, p := range m.Parts {
			add(p.Key)
		}
	}
	slices.SortFunc(keys, ledger.Key.Compare)
	return keys, err
}

// Series adds to curves what is stored and what has not been written yet. For the moment in which a minute is being
// written it is in neither.
func (k *Keeper) Series(ctx context.Context, c *rollup.Curves) (err error) {
	if s := k.store(); s != nil {
		err = s.Series(ctx, c)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, m := range k.minutes {
		for _, p := range m.Parts {
			c.Add(p.Key, m.At, &p.Rollup)
		}
	}
	now := time.Now().Truncate(time.Minute)
	for key := range c.Keys() { // not the other way round: there may be ten thousand others
		if u := k.current[key]; u != nil {
			c.Add(key, now, u)
		}
	}
	return err
}

// Absences lists the spans in which nothing was watched. While the store cannot be used none is known.
func (k *Keeper) Absences(ctx context.Context, from, to time.Time) ([]incident.Absence, error) {
	if s := k.store(); s != nil {
		return s.Absences(ctx, from, to)
	}
	return nil, nil
}
