package watch

import "netwatchd/internal/probe"

// This file is about the tasks that rounds do not make: a stream that is held, a run of the agent. Their latest results are
// carried into the rounds, as long as nothing has happened since that takes their word away.

// startTask makes the attempt of a task outside rounds.
func (w *Watcher) startTask(s *service, t Task, l *lane) {
	if t.Costly && !w.mayAfford(s, t) {
		return
	}
	l.running = true
	w.attempt(t.Probe, func(r probe.Result, valid bool) {
		l.running = false
		if t.Costly {
			w.paid(s, r)
		}
		if !valid || l.gone {
			return
		}
		w.heard(r, t.Interval)
		do, dropped := s.retained.observe(t, r, s.standing.Cause)
		switch do {
		case repeat:
			w.startTask(s, t, l)
			return
		case ignore:
			return
		}
		if !dropped.IsZero() {
			s.doubted = dropped
		}
		w.suspect(s, r)
	})
}

// startNow makes the attempts of such tasks at once, but for those under way.
func (w *Watcher) startNow(s *service, such func(Task) bool) {
	for _, t := range s.Tasks {
		if !such(t) {
			continue
		}
		for _, l := range s.lanes {
			if l.key == s.Name+"/"+t.Name && !l.running {
				w.startTask(s, t, l)
			}
		}
	}
}
