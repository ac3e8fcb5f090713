package watch

import "netwatchd/internal/probe"

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
		do, dropped := s.retained.observe(t, r, explanation(s.status.Verdict))
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
