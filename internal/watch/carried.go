package watch

import (
	"time"

	"netwatchd/internal/diagnose"
	"netwatchd/internal/probe"
)

// This file is about the tasks that rounds do not make: a stream that is held, a run of the agent. Their latest results are
// carried into the rounds, as long as nothing has happened since that takes their word away.

// An outcome is a result that is carried into rounds.
type outcome struct {
	probe.Result
	unproven bool // it failed, maybe as part of what is over: see prove
}

// startTask makes the attempt of a task outside rounds.
func (w *Watcher) startTask(s *service, t Task, l *lane) {
	if t.Costly && !w.mayAfford(s, t) {
		return
	}
	l.running = true
	w.attempt(t.Probe, func(r probe.Result, valid bool) {
		l.running = false
		cut := l.cut
		l.cut = time.Time{}
		if t.Costly {
			w.paid(s, r)
		}
		if !valid || l.gone {
			return
		}
		w.heard(r, t.Interval)
		switch {
		case t.RoundProbe == t.Probe:
		case cut.IsZero() && s.cutAnew(t, r):
			l.cut = r.Start
			w.startTask(s, t, l)
			return
		case r.Kind == probe.KindExec && !r.OK() && s.standing.Cause.OfNetwork():
			// The network explains it: it says nothing of the time when that is well again, and what went well before no more.
			delete(s.carried, t.Name)
			return
		default:
			s.carried[t.Name] = outcome{r, !r.OK() && s.standing.Cause.OfNetwork()}
		}
		if !r.OK() && !cut.IsZero() {
			s.doubted = cut
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

// cutAnew reports whether r is a connection that was cut while it was held, and the one before it is not known to have been
// cut for itself. Such a one is held once more before anything is made of it: a server that is restarted cuts every
// connection, and so does a line that is gone for a moment.
func (s *service) cutAnew(t Task, r probe.Result) bool {
	last, known := s.carried[t.Name]
	return !r.OK() && r.Phase == probe.Streaming && (!known || last.OK() || last.unproven)
}

// failsBriefly reports whether t, which fails, may do so in its short form too.
func (s *service) failsBriefly(t Task) bool {
	long, carried := s.carried[t.Name]
	return !carried || !onlyLong(long.Result)
}

// saysLess reports whether r is the short form of a probe whose latest long one was cut: an upgrade that gets through says
// nothing of a connection that is cut when it is held. One that does not says more.
func (s *service) saysLess(r probe.Result) bool {
	long, carried := s.carried[r.Name]
	return carried && onlyLong(long.Result) && sameProbe(long.Result, r) && r.OK()
}

// onlyLong reports whether r failed as only a long attempt can. One that did not come so far is as old as it is: a short
// one made since tells more.
func onlyLong(r probe.Result) bool { return !r.OK() && r.Phase >= probe.Streaming }

// prove has streams held anew that failed while more was wrong, or before the host slept, now that cause has taken the place
// of that: the failure may have been part of it, and until then it says nothing. It reports whether there was such a one.
func (w *Watcher) prove(s *service, cause diagnose.Cause) (doubted bool) {
	for name, latest := range s.carried {
		switch {
		case latest.OK(), latest.Kind == probe.KindExec:
		case cause.OfNetwork(), cause == diagnose.Inconclusive:
			s.carried[name] = outcome{latest.Result, true}
		case latest.unproven:
			doubted = true
			delete(s.carried, name)
			w.startNow(s, func(t Task) bool { return t.Name == name })
		}
	}
	return doubted
}
