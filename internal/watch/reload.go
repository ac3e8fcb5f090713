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
		s.leave()
	}
	w.services = make([]*service, 0, len(plan.Services))
	for _, planned := range plan.Services {
		s := known[planned.Name]
		if s == nil {
			s = newService(planned.Name, now)
			w.recall(s, planned.Name)
		}
		s.Service = planned
		s.forget()
		w.services = append(w.services, s)
		w.enter(s, now)
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
func (s *service) forget() {
	planned := make(map[string]bool, len(s.Tasks))
	for _, t := range s.Tasks {
		planned[t.Name] = true
	}
	maps.DeleteFunc(s.seen, func(k seenKey, _ probe.Class) bool { return !planned[k.name] })
	s.sandbox.due = time.Time{} // its command may be another one
	s.retained.replan(&s.Service)
}

// leave takes the service's lanes out of the schedule.
func (s *service) leave() {
	for _, l := range s.lanes {
		l.gone = true
	}
	s.lanes = nil
}

// enter gives the service its lanes.
func (w *Watcher) enter(s *service, now time.Time) {
	if s.Every > 0 {
		w.addLane(s, &lane{key: s.Name, interval: s.Every, start: func(*lane) { w.startRound(s, false) }}, now)
	}
	if s.Every == 0 && s.SandboxProbes != nil {
		w.addLane(s, &lane{key: s.Name + "/sandbox", interval: s.SandboxProbes.Interval, start: func(*lane) { w.startRound(s, false) }}, now)
	}
	for _, t := range s.Tasks {
		if s.inRoundsOnly(t) {
			continue
		}
		start := func(l *lane) { w.startTask(s, t, l) }
		w.addLane(s, &lane{key: s.Name + "/" + t.Name, interval: t.Interval, start: start}, now)
	}
}

func (w *Watcher) addLane(s *service, l *lane, now time.Time) {
	s.lanes = append(s.lanes, l)
	w.schedule.add(l, now)
}

func newService(name string, now time.Time) *service {
	return &service{
		standing: ServiceStatus{Verdict: diagnose.NotReady(name, diagnose.Starting), Since: now},
		seen:     make(map[seenKey]probe.Class),
	}
}
