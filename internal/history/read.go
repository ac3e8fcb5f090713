package history

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"netwatchd/internal/incident"
	"netwatchd/internal/record"
	"netwatchd/internal/store"
)

// Incidents returns those that match, the latest first, and how many match in all. While the store cannot be used it is
// those that are known in memory.
func (k *Keeper) Incidents(ctx context.Context, f store.Filter) (found []*incident.Incident, total int, err error) {
	if s := k.store(); s != nil {
		found, total, err = s.Incidents(ctx, f)
	}
	held := k.held(f)
	if k.store() == nil || err != nil {
		total = len(held)
		from := min(f.Offset, total)
		return held[from:], total, nil
	}
	return overlay(found, held), total, nil
}

// held are the incidents in memory that match, the latest first.
func (k *Keeper) held(f store.Filter) (held []*incident.Incident) {
	k.mu.Lock()
	defer k.mu.Unlock()
	known := make(map[*incident.Incident]bool)
	for _, i := range k.book.Open() {
		known[i] = true
	}
	for i := range k.dirty {
		known[i] = true
	}
	for i := range known {
		if (len(f.Services) == 0 || slices.Contains(f.Services, i.Service)) && (i.IsOpen() || !f.OpenOnly) {
			held = append(held, i.Clone())
		}
	}
	slices.SortFunc(held, func(a, b *incident.Incident) int { return cmp.Or(b.Opened.Compare(a.Opened), cmp.Compare(b.ID, a.ID)) })
	return held
}

// overlay puts what is in memory over what was found in the store, which may be a moment behind.
func overlay(found, held []*incident.Incident) []*incident.Incident {
	for _, h := range held {
		if i := slices.IndexFunc(found, func(s *incident.Incident) bool { return s.ID == h.ID }); i >= 0 {
			h.Notes = found[i].Notes
			found[i] = h
		}
	}
	return found
}

// errAway says that nothing can be read.
var errAway = errors.New("the store cannot be used now; the log says why")

// Record returns the record of an incident; its error is [store.ErrNoIncident] if there is none.
func (k *Keeper) Record(ctx context.Context, id string) (*record.Record, error) {
	s := k.store()
	if s == nil {
		return k.heldRecord(id)
	}
	told, err := s.Tell(ctx, id)
	if errors.Is(err, store.ErrNoIncident) {
		if r, held := k.heldRecord(id); held == nil {
			return r, nil
		}
	}
	if err != nil {
		return nil, err
	}
	return record.Of(told), nil
}

// heldRecord is the little that is known in memory.
func (k *Keeper) heldRecord(id string) (*record.Record, error) {
	for _, i := range k.held(store.Filter{}) {
		if i.ID == id {
			return record.Of(&store.Told{Incident: i}), nil
		}
	}
	return nil, errAway
}

// Keys lists the series of services, or every one there is if none is named, those not written yet included.
func (k *Keeper) Keys(ctx context.Context, services ...string) (keys []store.Key, err error) {
	if s := k.store(); s != nil {
		keys, err = s.Keys(ctx, services...)
	}
	known := make(map[store.Key]bool, len(keys))
	for _, key := range keys {
		known[key] = true
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	add := func(key store.Key) {
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
	slices.SortFunc(keys, store.Key.Compare)
	return keys, err
}

// Series adds to curves what is stored and what has not been written yet. For the moment in which a minute is being
// written it is in neither.
func (k *Keeper) Series(ctx context.Context, c *store.Curves) (err error) {
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
func (k *Keeper) Absences(ctx context.Context, from, to time.Time) ([]store.Absence, error) {
	if s := k.store(); s != nil {
		return s.Absences(ctx, from, to)
	}
	return nil, nil
}
