package watch

import (
	"slices"
	"time"

	"netwatchd/internal/probe"
)

// twinState is how far a round's attempts inside the sandbox are.
type twinState int

const (
	noTwin   twinState = iota
	twinOut            // under way, and waited for
	twinLate           // under way, and no longer waited for: what they show counts for the rounds to come
	twinBack
)

// inside is what is known from within the agent's sandbox.
type inside struct {
	out     bool           // attempts are under way in there: one start of the sandbox at a time
	due     time.Time      // when a regular round is to have twins again
	made    time.Time      // when those of results were made
	results []probe.Result // as far as they may stand in for those of a later round
}

// keptFor is how many intervals a result from within the sandbox stands in for the next one: two, so that one that was
// missed (this host was busy, or away) does not turn the verdict, and one that is not to be had does.
const keptFor = 2

// withTwin reports whether a round about to begin is to have twins. The sum of the rounds' lateness must not make a twin
// that is due with every tenth of them come with the eleventh.
func (s *service) withTwin(confirming bool, now time.Time) bool {
	return s.SandboxProbes != nil && !s.inside.out && (confirming || !now.Before(s.inside.due.Add(-s.Every/2)))
}

// startTwin makes rd's attempts inside the sandbox.
func (w *Watcher) startTwin(rd *round) {
	s := rd.service
	rd.twin, s.inside.out = twinOut, true
	s.inside.due = rd.begun.Add(s.SandboxProbes.Interval)
	run, limit, interval := s.SandboxProbes.Run, w.twinLimit(rd), s.SandboxProbes.Interval
	w.underWay++
	w.attempts.Go(func() {
		results, ok := run(w.ctx, limit)
		if !ok {
			return // we are stopping
		}
		w.ended(rd.begun, func(valid bool) { w.twinResults(rd, results, interval, valid) })
	})
}

// twinLimit is how long an attempt inside may take: in a confirming round what hurried grants the slowest of them.
func (w *Watcher) twinLimit(rd *round) time.Duration {
	if !rd.confirming {
		return 0
	}
	limit := patience
	for _, r := range rd.service.inside.results {
		limit = max(limit, patienceFactor*w.usual[usualKeyOf(r.Spec)])
	}
	return limit
}

func (w *Watcher) twinResults(rd *round, results []probe.Result, interval time.Duration, valid bool) {
	s := rd.service
	s.inside.out = false
	rd.twin = twinBack
	if !valid || rd.void {
		results = nil
	}
	if rd.ended && results != nil {
		s.keepInside(rd, append(outside(rd.results), results...))
	}
	for _, r := range results {
		w.heard(r, interval)
		if !rd.ended {
			rd.results = append(rd.results, r)
		}
		if r.Role == probe.OfService && (rd.ended || !rd.confirming) {
			w.suspectTwin(s, r)
		}
	}
	w.endIfDone(rd)
}

// outside are the results that are not from within the sandbox, in a list of their own.
func outside(results []probe.Result) []probe.Result {
	return slices.DeleteFunc(slices.Clone(results), func(r probe.Result) bool { return r.Vantage == probe.FromSandbox })
}

// suspectTwin is suspect for a result from within. The first one is no news: a sandbox may well be closed.
func (w *Watcher) suspectTwin(s *service, r probe.Result) {
	if _, known := s.seen[seenKey{r.Name, r.Vantage}]; known {
		w.suspect(s, r)
	}
}

// keepInside keeps what a round with twins showed, for those without.
func (s *service) keepInside(rd *round, results []probe.Result) {
	if rd.twin != twinBack || rd.void {
		return
	}
	s.inside.made, s.inside.results = rd.begun, nil
	for _, r := range results {
		if r.Vantage == probe.FromSandbox && lasting(r, results) {
			s.inside.results = append(s.inside.results, r)
		}
	}
}

// lasting reports whether twin r may be held against a later attempt from the host. A failure may only if it tells of the
// sandbox by itself, or was held against the host's success then: one that the host shared would look like the sandbox's
// fault as soon as the host is well again.
func lasting(r probe.Result, results []probe.Result) bool {
	switch {
	case r.OK(), r.Role != probe.OfService, r.Class == probe.LocalDenied, r.Class.Layer() == "exec":
		return true
	}
	return slices.ContainsFunc(results, func(other probe.Result) bool {
		return other.OK() && other.Vantage == probe.FromHost && other.Role == r.Role && other.Service == r.Service &&
			other.Name == r.Name
	})
}

// standIn are the results from within that stand in for those rd does not make.
func (s *service) standIn(rd *round) []probe.Result {
	if rd.twin == twinBack || s.SandboxProbes == nil || rd.begun.Sub(s.inside.made) > keptFor*s.SandboxProbes.Interval {
		return nil
	}
	return s.inside.results
}
