package watch

import (
	"slices"
	"time"

	"netwatchd/internal/probe"
)

// sandboxProgress is how far a round's attempts inside the sandbox are.
type sandboxProgress int

const (
	noSandbox      sandboxProgress = iota
	sandboxRunning                 // under way, and waited for
	sandboxLate                    // under way, and no longer waited for: what they show counts for the rounds to come
	sandboxDone
)

// sandboxSchedule is when a service's sandbox is started.
type sandboxSchedule struct {
	running bool      // attempts are under way in there: one start of the sandbox at a time
	due     time.Time // when a regular round is to have twins again
}

// withTwin reports whether a round about to begin is to have twins. The sum of the rounds' lateness must not make a twin
// that is due with every tenth of them come with the eleventh.
func (s *service) startsSandbox(confirming bool, now time.Time) bool {
	return s.SandboxProbes != nil && !s.sandbox.running && (confirming || !now.Before(s.sandbox.due.Add(-s.Every/2)))
}

// startSandbox makes rd's attempts inside the sandbox.
func (w *Watcher) startSandbox(rd *round) {
	s := rd.service
	rd.sandbox, s.sandbox.running = sandboxRunning, true
	s.sandbox.due = rd.begun.Add(s.SandboxProbes.Interval)
	run, limit, interval := s.SandboxProbes.Run, w.sandboxLimit(rd), s.SandboxProbes.Interval
	w.underWay++
	w.attempts.Go(func() {
		results, ok := run(w.ctx, limit)
		if !ok {
			return // we are stopping
		}
		w.ended(rd.begun, func(valid bool) { w.sandboxResults(rd, results, interval, valid) })
	})
}

// sandboxLimit is how long an attempt inside may take: in a confirming round what forRound grants the slowest of them.
func (w *Watcher) sandboxLimit(rd *round) time.Duration {
	if !rd.confirming {
		return 0
	}
	limit := confirmTimeout
	for _, r := range rd.service.retained.sandbox {
		limit = max(limit, slowFactor*w.typical[seriesKeyOf(r.Spec)])
	}
	return limit
}

func (w *Watcher) sandboxResults(rd *round, results []probe.Result, interval time.Duration, valid bool) {
	s := rd.service
	s.sandbox.running = false
	rd.sandbox = sandboxDone
	if !valid || rd.void {
		results = nil
	}
	if rd.ended && results != nil {
		s.retained.observeSandbox(rd.begun, append(withoutSandbox(rd.results), results...))
	}
	for _, r := range results {
		w.report(r, interval)
		if !rd.ended {
			rd.results = append(rd.results, r)
		}
		if r.Role == probe.OfService && (rd.ended || !rd.confirming) {
			w.suspectInSandbox(s, r)
		}
	}
	w.endIfDone(rd)
}

// outside are the results that are not from within the sandbox, in a list of their own.
func withoutSandbox(results []probe.Result) []probe.Result {
	return slices.DeleteFunc(slices.Clone(results), func(r probe.Result) bool { return r.Vantage == probe.FromSandbox })
}

// suspectInSandbox is suspect for a result from within. The first one is no news: a sandbox may well be closed.
func (w *Watcher) suspectInSandbox(s *service, r probe.Result) {
	if _, known := s.lastClass[probeKey{r.Name, r.Vantage}]; known {
		w.suspect(s, r)
	}
}
