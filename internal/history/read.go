package history

import (
	"cmp"
	"context"
	"errors"
	"slices"

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
