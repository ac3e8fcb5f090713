package watch

import (
	"slices"
	"time"

	"netwatchd/internal/causes"
	"netwatchd/internal/diagnose"
	"netwatchd/internal/outcome"
	"netwatchd/internal/probe"
)

// startTask makes an attempt at t outside rounds. What is kept of the result of a long probe, for the rounds to use,
// is decided by [retained].
func (w *Watcher) startTask(s *service, t *Task, e *entry) {
	if t.Status && w.costly { // it would wait for the run, and that time would be taken for its own
		w.afterRun = append(w.afterRun, func() {
			if !e.gone && !e.running {
				w.startTask(s, t, e)
			}
		})
		return
	}
	form := s.form(t)
	if t.Costly && !w.reserveRun(s, *form) {
		return
	}
	e.running, e.form = true, form
	w.attempt(form.Probe, e.ended)
}

// attemptEnded is called with the result of the attempt that startTask began.
func (w *Watcher) attemptEnded(s *service, t *Task, e *entry, r probe.Result, valid bool) {
	e.running = false
	if t.Costly {
		w.runEnded(s, r)
		defer w.startWaiting()
	}
	if !valid || e.gone {
		return
	}
	w.report(r, e.form.Interval)
	s.count(r)
	if e.form.Stub != nil && outcome.NeedsStub(r) && !s.status.ExplainsRuns() {
		w.startStub(s, t, e, r)
		return
	}
	w.taskEnded(s, t, e.form, e, r, nil)
}

// form returns t, or the run that takes its place now: the one with the agent's own provider.
func (s *service) form(t *Task) *Task {
	if !s.isBuiltinDue(t) {
		return t
	}
	return &Task{Probe: t.Builtin, Interval: t.BuiltinEvery, Costly: t.Costly, Daily: t.Daily,
		DailyTokens: t.DailyTokens, isBuiltin: true}
}

// isBuiltinDue reports whether the next run of t is one with the agent's own provider. It needs a usual run that
// succeeded: only the difference between the two shows anything.
func (s *service) isBuiltinDue(t *Task) bool {
	if t.Builtin == nil {
		return false
	}
	if usual := s.retained.long[t.Name]; !usual.OK() {
		return false
	}
	last, known := s.retained.long[t.Builtin.Name]
	switch {
	case time.Since(s.builtinAt) >= t.BuiltinEvery:
		return true
	case known && !last.OK(): // until it succeeds
		return true
	}
	return s.wantsBuiltin() && s.builtinAt.Before(s.status.Since) // once for each verdict
}

// wantsBuiltin reports whether the verdict is a fault that a run with the agent's own provider may show more of. What
// the sandbox denies says nothing about runs on the host.
func (s *service) wantsBuiltin() bool {
	c := s.status.Cause
	return c.Fault() && c != causes.Sandbox && c != causes.SandboxOpen &&
		(!s.status.ExplainsRuns() || s.wantsRunForRouting())
}

// wantsRunForRouting reports whether a run with the agent's own provider shows what a failing request of routing means.
// Under interception it does not: whoever answers in place of the service would get the agent's requests.
func (s *service) wantsRunForRouting() bool {
	return isOfRouting(s.status.Verdict) && s.status.Cause != causes.Interception
}

// isOfRouting reports whether v is shown by a request that only runs with the agent's own provider depend on.
func isOfRouting(v diagnose.Verdict) bool {
	return v.Cause.Fault() && len(v.Evidence) > 0 && slices.Contains(v.Evidence[0].Warnings, probe.WarnRouting)
}

// startStub makes the attempt that helps to explain r, the result of t. Nothing is concluded from r before it has
// ended: without it, r would lead to another verdict.
func (w *Watcher) startStub(s *service, t *Task, e *entry, r probe.Result) {
	e.running, w.costly = true, true // no two commands of an agent at a time
	w.attempt(t.Stub, func(stub probe.Result, valid bool) {
		e.running, w.costly = false, false
		defer w.startWaiting()
		if !valid || e.gone {
			return
		}
		w.report(stub, 0)
		w.taskEnded(s, t, t, e, r, &stub)
	})
}

// taskEnded draws the conclusions from the result of t in that form. Stub is that of t.Stub, or nil.
func (w *Watcher) taskEnded(s *service, t, form *Task, e *entry, r probe.Result, stub *probe.Result) {
	do, dropped := s.retained.observe(*form, r, explanation(s.status.Verdict))
	if stub != nil {
		s.retained.observeStub(*form, *stub)
	}
	switch do {
	case repeat:
		w.startTask(s, t, e)
		return
	case ignore:
		w.endBackoff(s)
		return
	}
	if !dropped.IsZero() {
		s.unexplainedSince = dropped
	}
	if t.Costly {
		w.planRecheck(s, t, e, r, stub)
	}
	w.suspect(s, r)
}

// firstRecheck is when a run is made again that the service failed: before the fault is announced (the shortest hold of
// a page is 3 min), so that one lost answer wakes nobody. Each further one waits twice as long, until the task's own
// interval is shorter: five more runs in the first hour of a fault, and its end is noticed.
const firstRecheck = 2 * time.Minute

// planRecheck plans another run after r, if the service may have failed it.
func (w *Watcher) planRecheck(s *service, t *Task, e *entry, r probe.Result, stub *probe.Result) {
	if !mayBeService(r) || stub != nil && !stub.OK() {
		s.recheck = 0
		return
	}
	s.recheck = max(2*s.recheck, firstRecheck)
	if s.recheck >= t.Interval {
		return
	}
	w.after(s.recheck, func() {
		last, known := s.retained.long[r.Name]
		if !e.gone && !e.running && known && last.Start.Equal(r.Start) {
			w.startTask(s, t, e)
		}
	})
}

// startAgain makes the attempts of these names again.
func (w *Watcher) startAgain(s *service, names []string) {
	w.startNow(s, func(t *Task) bool {
		if t.Builtin != nil && slices.Contains(names, t.Builtin.Name) {
			s.builtinAt = time.Time{} // it is due again
			return true
		}
		return slices.Contains(names, t.Name)
	})
}

// startNow starts the tasks that match at once, except those that are running.
func (w *Watcher) startNow(s *service, match func(*Task) bool) {
	for i := range s.Tasks {
		t := &s.Tasks[i]
		if !match(t) {
			continue
		}
		for _, e := range s.entries {
			if e.key == s.Name+"/"+t.Name && !e.running {
				w.startTask(s, t, e)
			}
		}
	}
}
