package watch

import "netwatchd/internal/probe"

// This file is about the tasks that rounds do not make: a stream that is held, a run of the agent. Their latest results are
// carried into the rounds, as long as nothing has happened since that takes their word away.

// startTask makes the attempt of a task outside rounds.
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
		do, dropped := s.retained.observe(t, r, s.status.Cause)
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
	})
}

// startNow makes the attempts of match tasks at once, but for those under way.
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
