package watch

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"time"

	"netwatchd/internal/diagnose"
	"netwatchd/internal/outcome"
	"netwatchd/internal/probe"
	"netwatchd/internal/tally"
)

// A past is what of earlier rounds is part of a round.
type past struct {
	known Known // of the latest attempt that succeeded

	// tallies have the probes that failed lately while the service was usable. What fails during an outage is the
	// outage's, and says nothing about the time after it.
	tallies map[probeKey]*tally.Tally

	changed bool      // since it was stored
	keptAt  time.Time // when it was
}

// tallied returns the keys of p.tallies, in order.
func (p *past) tallied() []probeKey {
	return slices.SortedFunc(maps.Keys(p.tallies), func(a, b probeKey) int { return cmp.Compare(a.name, b.name) })
}

func (p *past) forgetTallies() {
	p.changed = p.changed || len(p.tallies) > 0
	clear(p.tallies)
}

// observeAddresses notes what the service's name resolved to for an attempt that succeeded.
func (p *past) observeAddresses(addrs []netip.Addr) {
	isSame := len(addrs) == len(p.known.Addresses) &&
		!slices.ContainsFunc(addrs, func(a netip.Addr) bool { return !slices.Contains(p.known.Addresses, a) })
	now := time.Now()
	if !isSame || now.Sub(p.known.At) >= time.Hour { // nameservers rotate their answers
		p.known, p.changed = Known{addrs, now}, true
	}
}

// addressFailsLong is how many rounds in a row must find a failing address before that explains what looked like a
// fault in pieces. If one request in five fails by chance, those at two addresses have a failure in ten rounds in a
// row once in 28,000.
const addressFailsLong = 10

// count counts how r ended, an attempt of one of the service's probes.
func (s *service) count(r probe.Result) {
	isCounted := r.Role == probe.OfService && r.Vantage == probe.FromHost && !outcome.IsAgentProbe(&r) &&
		!outcome.IsUntried(&r)
	if !isCounted || s.Intermittent.Failures == 0 || s.status.Cause.Fault() {
		return
	}
	key := probeKey{r.Name, r.Vantage}
	t := s.past.tallies[key]
	if s.addressFails && (t == nil || !t.Stands || s.addressRounds >= addressFailsLong) {
		delete(s.past.tallies, key) // the address explains the failures
		return
	}
	if t == nil {
		if r.OK() {
			return
		}
		t = new(tally.Tally)
		put(&s.past.tallies, key, t)
	}
	s.past.changed = true
	if !t.Add(r, s.Intermittent) {
		delete(s.past.tallies, key)
	}
}

// countInRound is count for an attempt that a round has made. Those of long probes in the form of rounds are left out:
// that an upgrade works says nothing about a stream that is held.
func (s *service) countInRound(r probe.Result) {
	if slices.ContainsFunc(s.Tasks, func(t Task) bool { return t.Name == r.Name && t.RoundProbe == t.Probe }) {
		s.count(r)
	}
}

// intermittent returns the probes that fail and succeed by turns.
func (s *service) intermittent() (all []diagnose.Intermittent) {
	for _, key := range s.past.tallied() {
		if t := s.past.tallies[key]; t.Stands {
			failed, of := t.Share(s.Intermittent)
			all = append(all, diagnose.Intermittent{Probe: key.name, Kind: t.Last.Kind, Class: t.Last.Class,
				Failed: failed, Of: of, Row: t.Row(), Last: t.Last})
		}
	}
	return all
}

// judge is Service.judge with what is known of earlier rounds.
func (s *service) judge(results []probe.Result) (diagnose.Verdict, []probe.Result) {
	return s.Service.judge(diagnose.Round{Results: results, Known: s.past.known.Addresses,
		Counted:      s.Intermittent.Failures > 0,
		Intermittent: s.intermittent()})
}
