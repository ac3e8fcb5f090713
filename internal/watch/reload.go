package watch

import (
	"maps"
	"time"

	"netwatchd/internal/causes"
	"netwatchd/internal/diagnose"
	"netwatchd/internal/probe"
	"netwatchd/internal/tally"
)

// adopt makes plan the current one. A service or task of the same name keeps its state. A task of the same name and
// interval also keeps its place in the schedule, because that follows from the name.
func (w *Watcher) adopt(plan Plan) {
	now := time.Now()
	w.environment, w.notes = plan.Environment, plan.Notes
	known := make(map[string]*service, len(w.services))
	for _, s := range w.services {
		known[s.Name] = s
		s.unschedule()
	}
	w.services = make([]*service, 0, len(plan.Services))
	for _, planned := range plan.Services {
		s := known[planned.Name]
		if s == nil {
			s = newService(planned.Name, now)
			w.recall(s, planned.Name)
			if w.Ongoing != nil {
				s.ongoing.cause, s.ongoing.since, _ = w.Ongoing(planned.Name)
			}
		}
		s.Service = planned
		s.status.Profile = planned.Expect.Profile // of a status that a reload keeps, and of a new one
		s.dropUnplanned()
		w.services = append(w.services, s)
		w.scheduleService(s, now)
		delete(known, s.Name)
	}
	w.environmentEvery = shortest(plan.Services)
	for _, s := range known {
		for _, rd := range s.rounds {
			rd.void = true
		}
	}
}

// shortest returns the shortest interval of full rounds, which is that of the environment probes. Zero: in confirming
// rounds only.
func shortest(services []Service) time.Duration {
	var shortest time.Duration
	for _, s := range services {
		if s.Every > 0 && (shortest == 0 || s.Every < shortest) {
			shortest = s.Every
		}
	}
	return shortest
}

// dropUnplanned drops the state of tasks that are no longer planned.
func (s *service) dropUnplanned() {
	planned := make(map[string]bool, len(s.Tasks))
	for _, t := range s.Tasks {
		planned[t.Name] = true
		if t.Builtin != nil {
			planned[t.Builtin.Name] = true
		}
	}
	maps.DeleteFunc(s.latest, func(k probeKey, _ attemptEnd) bool { return !planned[k.name] })
	maps.DeleteFunc(s.past.tallies, func(k probeKey, _ *tally.Tally) bool { return !planned[k.name] })
	s.sandbox.due = time.Time{} // its command may have changed
	s.retained.replan(&s.Service)
}

// unschedule removes the service's entries from the schedule.
func (s *service) unschedule() {
	for _, e := range s.entries {
		e.gone = true
	}
	s.entries = nil
}

// scheduleService adds the service's entries to the schedule.
func (w *Watcher) scheduleService(s *service, now time.Time) {
	if s.Every > 0 {
		w.addEntry(s, &entry{key: s.Name, interval: s.Every, start: func() { w.startRound(s, false) }}, now)
	}
	if s.Every == 0 && s.SandboxProbes != nil {
		start := func() { w.startRound(s, false) }
		w.addEntry(s, &entry{key: s.Name + "/sandbox", interval: s.SandboxProbes.Interval, start: start}, now)
	}
	for i := range s.Tasks {
		t := &s.Tasks[i]
		if s.inRoundsOnly(*t) {
			continue
		}
		e := &entry{key: s.Name + "/" + t.Name, interval: t.Interval}
		// Made once, because a closure for each attempt is garbage.
		e.start = func() { w.startTask(s, t, e) }
		e.ended = func(r probe.Result, valid bool) { w.attemptEnded(s, t, e, r, valid) }
		w.addEntry(s, e, now)
	}
}

func (w *Watcher) addEntry(s *service, e *entry, now time.Time) {
	s.entries = append(s.entries, e)
	w.schedule.add(e, now)
}

func newService(name string, now time.Time) *service {
	return &service{
		status: ServiceStatus{Verdict: diagnose.NotReady(name, causes.Starting), Since: now},
		latest: make(map[probeKey]attemptEnd),
	}
}
