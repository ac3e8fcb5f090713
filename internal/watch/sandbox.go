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

// sandboxState is when a service's sandbox is started.
type sandboxState struct {
	out bool      // attempts are under way in there: one start of the sandbox at a time
	due time.Time // when a regular round is to have twins again
}

// withTwin reports whether a round about to begin is to have twins. The sum of the rounds' lateness must not make a twin
// that is due with every tenth of them come with the eleventh.
func (s *service) withTwin(confirming bool, now time.Time) bool {
	return s.SandboxProbes != nil && !s.sandbox.out && (confirming || !now.Before(s.sandbox.due.Add(-s.Every/2)))
}

// startTwin makes rd's attempts inside the sandbox.
func (w *Watcher) startTwin(rd *round) {
	s := rd.service
	rd.twin, s.sandbox.out = twinOut, true
	s.sandbox.due = rd.begun.Add(s.SandboxProbes.Interval)
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
	for _, r := range rd.service.retained.sandbox {
		limit = max(limit, patienceFactor*w.usual[usualKeyOf(r.Spec)])
	}
	return limit
}

func (w *Watcher) twinResults(rd *round, results []probe.Result, interval time.Duration, valid bool) {
	s := rd.service
	s.sandbox.out = false
	rd.twin = twinBack
	if !valid || rd.void {
		results = nil
	}
	if rd.ended && results != nil {
		s.retained.observeSandbox(rd.begun, append(outside(rd.results), results...))
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
