package watch

import (
	"maps"
	"time"

	"netwatchd/internal/diagnose"
	"netwatchd/internal/probe"
)

// adopt makes plan the one that is run. A service or task of the same name keeps what is known of it; a task with the
// same interval keeps its place in the schedule as well, since places follow from names.
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
			w.loadBudget(s, planned.Name)
		}
		s.Service = planned
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

// shortest is how often the environment is looked at: as often as the most watched service; zero: on suspicion only.
func shortest(services []Service) time.Duration {
	var shortest time.Duration
	for _, s := range services {
		if s.Every > 0 && (shortest == 0 || s.Every < shortest) {
			shortest = s.Every
		}
	}
	return shortest
}

// forget drops what is known of tasks that are no longer planned.
func (s *service) dropUnplanned() {
	planned := make(map[string]bool, len(s.Tasks))
	for _, t := range s.Tasks {
		planned[t.Name] = true
	}
	maps.DeleteFunc(s.lastClass, func(k probeKey, _ probe.Class) bool { return !planned[k.name] })
	s.sandbox.due = time.Time{} // its command may be another one
	s.retained.replan(&s.Service)
}

// leave takes the service's entries out of the schedule.
func (s *service) unschedule() {
	for _, e := range s.entries {
		e.gone = true
	}
	s.entries = nil
}

// enter gives the service its entries.
func (w *Watcher) scheduleService(s *service, now time.Time) {
	if s.Every > 0 {
		w.addEntry(s, &entry{key: s.Name, interval: s.Every, start: func(*entry) { w.startRound(s, false) }}, now)
	}
	if s.Every == 0 && s.SandboxProbes != nil {
		w.addEntry(s, &entry{key: s.Name + "/sandbox", interval: s.SandboxProbes.Interval, start: func(*entry) { w.startRound(s, false) }}, now)
	}
	for _, t := range s.Tasks {
		if s.inRoundsOnly(t) {
			continue
		}
		start := func(e *entry) { w.startTask(s, t, e) }
		w.addEntry(s, &entry{key: s.Name + "/" + t.Name, interval: t.Interval, start: start}, now)
	}
}

func (w *Watcher) addEntry(s *service, e *entry, now time.Time) {
	s.entries = append(s.entries, e)
	w.schedule.add(e, now)
}

func newService(name string, now time.Time) *service {
	return &service{
		status:    ServiceStatus{Verdict: diagnose.NotReady(name, diagnose.Starting), Since: now},
		lastClass: make(map[probeKey]probe.Class),
	}
}
