package watch

import (
	"slices"
	"time"

	"netwatchd/internal/panics"
	"netwatchd/internal/probe"
)

// sandboxProgress is the state of a round's sandbox probes.
type sandboxProgress int

const (
	noSandbox      sandboxProgress = iota
	sandboxRunning                 // the round waits for them
	sandboxLate                    // the round no longer waits: their results count for later rounds
	sandboxDone
)

// sandboxSchedule is when a service's sandbox is started.
type sandboxSchedule struct {
	running bool      // one start of the sandbox at a time
	due     time.Time // when a regular round runs sandbox probes again
}

// startsSandbox reports whether a round that starts now runs sandbox probes. It allows half a round's interval,
// because starts that are a little late would otherwise move probes that are due in every tenth round to the
// eleventh.
func (s *service) startsSandbox(confirming bool, now time.Time) bool {
	return s.SandboxProbes != nil && !s.sandbox.running && (confirming || !now.Before(s.sandbox.due.Add(-s.Every/2)))
}

// startSandbox starts rd's sandbox probes.
func (w *Watcher) startSandbox(rd *round) {
	s := rd.service
	rd.sandbox, s.sandbox.running = sandboxRunning, true
	s.sandbox.due = rd.begun.Add(s.SandboxProbes.Interval)
	run, limit, interval := s.SandboxProbes.Run, w.sandboxLimit(rd), s.SandboxProbes.Interval
	w.running++
	w.goroutines.running.Go(func() {
		var results []probe.Result
		ok := true
		_ = panics.Run(panics.Sandbox, func() error { // counted; the round goes on without these results
			results, ok = run(w.ctx, limit)
			return nil
		})
		if !ok {
			return // the watcher is stopping
		}
		w.ended(rd.begun, func(valid bool) { w.sandboxResults(rd, results, interval, valid) })
	})
}

// sandboxLimit returns the timeout of each sandbox probe: in a confirming round the longest that forRound would give
// to one of them, else zero, which leaves each its own.
func (w *Watcher) sandboxLimit(rd *round) time.Duration {
	if !rd.confirming {
		return 0
	}
	limit := confirmTimeout
	for _, r := range rd.service.retained.sandbox {
		limit = max(limit, slowFactor*w.slow[seriesKeyOf(r.Spec)])
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

// withoutSandbox returns a copy of results without those of sandbox probes.
func withoutSandbox(results []probe.Result) []probe.Result {
	inside := func(r probe.Result) bool { return r.Vantage == probe.FromSandbox }
	return slices.DeleteFunc(slices.Clone(results), inside)
}

// suspectInSandbox is suspect for a sandbox probe. The first failure is no reason for suspicion: the sandbox may be
// closed on purpose.
func (w *Watcher) suspectInSandbox(s *service, r probe.Result) {
	if _, known := s.latest[probeKey{r.Name, r.Vantage}]; known {
		w.suspect(s, r)
	}
}
