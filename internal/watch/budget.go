package watch

import (
	"slices"
	"time"

	"netwatchd/internal/probe"
	"netwatchd/internal/spending"
)

// After the account refused a run, the next one waits half an hour, then ever longer, up to six hours: a usage limit
// lasts hours, and every run may cost tokens or count against the limit.
const (
	firstBackoff = 30 * time.Minute
	maxBackoff   = 6 * time.Hour
)

// Costs are what a service's costly attempts have used of their budget, and whether they wait because the account
// refused one.
type Costs struct {
	Spent        []time.Time    `json:"spent"`            // starts within the last day
	Uses         []spending.Run `json:"uses,omitempty"`   // of the runs that ended within the last day
	Backoff      time.Duration  `json:"wait,omitzero"`    // how long the next attempt waits
	BackoffSince time.Time      `json:"waited,omitzero"`  // since when it waits
	Builtin      time.Time      `json:"builtin,omitzero"` // start of the last one with the agent's own provider
}

// loadCosts restores what the service has spent before.
func (s *service) loadCosts(c Costs, now time.Time) {
	for _, at := range c.Spent {
		s.spent = append(s.spent, earlier(at, now))
	}
	s.uses = spending.Restored(c.Uses, now)
	s.backoff, s.backoffSince = c.Backoff, earlier(c.BackoffSince, now)
	s.builtinAt = earlier(c.Builtin, now)
}

// earlier returns the earlier of two times. A start in the future, after the clock was set back, would block the
// budget for more than a day.
func earlier(a, b time.Time) time.Time {
	if a.After(b) {
		return b
	}
	return a
}

// costs returns what the service has spent.
func (s *service) costs() Costs {
	return Costs{slices.Clone(s.spent), slices.Clone(s.uses), s.backoff, s.backoffSince, s.builtinAt}
}

// reserveRun reports whether a costly attempt may start now. If so, it is counted.
func (w *Watcher) reserveRun(s *service, t Task) bool {
	now := time.Now()
	s.spent = slices.DeleteFunc(s.spent, func(at time.Time) bool { return !spending.IsOfDay(at, now) })
	switch {
	case w.costly:
		return false // one at a time, over all services
	case s.status.ExplainsRuns() && !(t.isBuiltin && s.wantsRunForRouting()):
		return false // it would show nothing that the cheap probes do not show
	case t.Daily > 0 && len(s.spent) >= t.Daily:
		return false
	case t.DailyTokens > 0 && spending.Of(nil, s.uses, now).Total() >= t.DailyTokens:
		return false // the last run may have gone beyond it: what a run uses is known at its end
	case s.backoff > 0 && now.Sub(s.backoffSince) < s.backoff:
		return false
	}
	w.costly = true
	s.spent = append(s.spent, now)
	if t.isBuiltin {
		s.builtinAt = now
	}
	w.keep(s)
	return true
}

// runEnded records the end of a costly attempt.
func (w *Watcher) runEnded(s *service, r probe.Result) {
	w.costly = false
	s.uses = spending.Add(s.uses, r, time.Now())
	switch r.Class {
	case probe.ExecUsageLimit, probe.ExecRateLimited, probe.ExecUnauthorized, probe.ExecNotLoggedIn,
		probe.ExecSignInMissing:
		s.backoff, s.backoffSince = min(max(2*s.backoff, firstBackoff), maxBackoff), time.Now()
	default:
		s.backoff = 0
	}
	w.keep(s)
}

// endBackoff has the next run made as planned: a network fault explained the last one, so nothing is known of the
// account any more, and only a run can show that it is still refused.
func (w *Watcher) endBackoff(s *service) {
	if s.backoff > 0 {
		s.backoff = 0
		w.keep(s)
	}
}

// startWaiting starts what waited for the end of a costly attempt, unless another one has started.
func (w *Watcher) startWaiting() {
	if w.costly {
		return
	}
	waiting := w.afterRun
	w.afterRun = nil
	for _, start := range waiting {
		start()
	}
}

// budget returns how many costly attempts are left for the day, or nil if there is no limit.
func (s *service) budget(now time.Time) *int {
	for _, t := range s.Tasks {
		if t.Costly && t.Daily > 0 {
			spent := 0
			for _, at := range s.spent {
				if spending.IsOfDay(at, now) {
					spent++
				}
			}
			return new(max(t.Daily-spent, 0))
		}
	}
	return nil
}

// tokensLeft returns how many tokens are left for the day, or nil if there is no limit.
func (s *service) tokensLeft(now time.Time) *int64 {
	for _, t := range s.Tasks {
		if t.Costly && t.DailyTokens > 0 {
			return new(max(t.DailyTokens-spending.Of(nil, s.uses, now).Total(), 0))
		}
	}
	return nil
}

// usage returns what costly attempts have used within a day, or nil if there are none.
func (s *service) usage(now time.Time) *spending.Sum {
	if !slices.ContainsFunc(s.Tasks, func(t Task) bool { return t.Costly }) {
		return nil
	}
	return spending.Of(s.spent, s.uses, now)
}
