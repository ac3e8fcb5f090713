package watch

import (
	"netwatchd/internal/diagnose"
	"netwatchd/internal/probe"
)

// startTask makes an attempt at t outside rounds. What is kept of the result of a long probe, for the rounds to use,
// is decided by [retained].
func (w *Watcher) startTask(s *service, t Task, e *entry) {
	if t.Costly && !w.reserveRun(s, t) {
		return
	}
	e.running = true
	w.attempt(t.Probe, func(r probe.Result, valid bool) {
		e.running = false
		if t.Costly {
			w.runEnded(s, r)
		}
		if !valid || e.gone {
			return
		}
		w.report(r, t.Interval)
		if t.Stub != nil && diagnose.NeedsStub(r) && !s.status.ExplainsRuns() {
			w.startStub(s, t, e, r)
			return
		}
		w.taskEnded(s, t, e, r, nil)
	})
}

// startStub makes the attempt that helps to explain r, the result of t. Nothing is concluded from r before it has ended:
// without it, r would lead to another verdict.
func (w *Watcher) startStub(s *service, t Task, e *entry, r probe.Result) {
	e.running, w.costly = true, true // no two commands of an agent at a time
	w.attempt(t.Stub, func(stub probe.Result, valid bool) {
		e.running, w.costly = false, false
		if !valid || e.gone {
			return
		}
		w.report(stub, 0)
		w.taskEnded(s, t, e, r, &stub)
	})
}

// taskEnded draws the conclusions from the result of t. Stub is that of t.Stub, or nil.
func (w *Watcher) taskEnded(s *service, t Task, e *entry, r probe.Result, stub *probe.Result) {
	do, dropped := s.retained.observe(t, r, explanation(s.status.Verdict))
	if stub != nil {
		s.retained.observeStub(t, *stub)
	}
	switch do {
	case repeat:
		w.startTask(s, t, e)
		return
	case ignore:
		return
	}
	if !dropped.IsZero() {
		s.unexplainedSince = dropped
	}
	w.suspect(s, r)
}

// startNow starts the tasks that match at once, except those that are running.
func (w *Watcher) startNow(s *service, match func(Task) bool) {
	for _, t := range s.Tasks {
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
