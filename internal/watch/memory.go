package watch

import (
	"net/netip"
	"slices"
	"time"

	"netwatchd/internal/probe"
	"netwatchd/internal/tally"
)

// Kept is what a service keeps from one run of the daemon to the next.
type Kept struct {
	Costs
	Known   Known         `json:"known,omitzero"`
	Tallies []tally.Tally `json:"tallies,omitempty"` // of probes that fail now and then
}

// Known are the addresses of a service's name.
type Known struct {
	Addresses []netip.Addr `json:"addresses"`
	At        time.Time    `json:"at"` // when an attempt last reached one of them
}

// A Memory keeps what services know. Its methods are called on the watcher's own goroutine and must return at once.
type Memory interface {
	Recall(service string) Kept // the zero Kept: nothing is known
	Remember(service string, k Kept)
}

const (
	// knownFor is how long the addresses of a name are known across restarts: a name of a VPN is looked up again after a
	// week of holidays.
	knownFor = 10 * 24 * time.Hour

	// knownLimit bounds how many addresses are taken from a store, which may be damaged. A name has a few.
	knownLimit = 64

	// keepEvery is how often what changes with every round is written: a crash loses a minute of it.
	keepEvery = time.Minute
)

// recall restores what the service of that name knew when the daemon ended. What is too old, or of the future because
// the clock was set back since, is ignored.
func (w *Watcher) recall(s *service, name string) {
	if w.Memory == nil {
		return
	}
	kept, now := w.Memory.Recall(name), time.Now()
	s.loadCosts(kept.Costs, now)
	if age := now.Sub(kept.Known.At); age >= 0 && age <= knownFor && len(kept.Known.Addresses) <= knownLimit &&
		!slices.ContainsFunc(kept.Known.Addresses, func(a netip.Addr) bool { return !a.IsValid() }) {
		s.past.known = kept.Known
	}
	for _, t := range kept.Tallies {
		if t.IsValid(now) {
			put(&s.past.tallies, probeKey{t.Last.Name, probe.FromHost}, &t)
		}
	}
}

// keep stores what the service knows.
func (w *Watcher) keep(s *service) {
	if w.Memory == nil {
		return
	}
	kept := Kept{Costs: s.costs(), Known: s.past.known}
	for _, key := range s.past.tallied() {
		kept.Tallies = append(kept.Tallies, *s.past.tallies[key])
	}
	s.past.keptAt, s.past.changed = time.Now(), false
	w.Memory.Remember(s.Name, kept)
}

// keepChanges stores what rounds have changed, but not more often than keepEvery.
func (w *Watcher) keepChanges(s *service) {
	if s.past.changed && time.Since(s.past.keptAt) >= keepEvery {
		w.keep(s)
	}
}

// keepAll stores what is not stored yet.
func (w *Watcher) keepAll() {
	for _, s := range w.services {
		if s.past.changed {
			w.keep(s)
		}
	}
}
