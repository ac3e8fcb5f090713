// Package ladder lays out a round rung by rung, as a person climbs it: this host first, the agent last.
//
// The lowest rung that fails is where to look; the rungs above it are blocked, not failed.
package ladder

import (
	"slices"

	"netwatchd/internal/diagnose"
	"netwatchd/internal/probe"
	"netwatchd/internal/watch"
)

// The rungs, from the bottom up.
const (
	Host = iota
	Resolver
	Internet
	Edge
	Application
	Stream
	Agent
	rungs
)

var rungNames = [rungs]string{"host", "resolver", "internet", "edge", "application", "stream", "agent"}

// Mark is how a step came out.
type Mark uint8

const (
	Untried Mark = iota
	OK
	Partly  // some attempts failed, others succeeded
	Closed  // the sandbox says no, and the verdict does not mind
	Blocked // a lower rung fails
	Failed
)

var markNames = []string{"untried", "ok", "partly", "closed", "blocked", "failed"}

func (m Mark) String() string { return markNames[m] }

// A Step is how one rung came out, seen from one side.
type Step struct {
	Mark  Mark
	Words string        // a few decisive ones; from outside in part, so not fit for a terminal as they stand
	Took  probe.Seconds // zero where it says nothing
}

// A Rung is one level of the ladder, on the host and inside the agent's sandbox.
type Rung struct {
	Name    string
	Host    Step
	Sandbox Step
}

// Of lays out the latest round of s, or its evidence where no round was kept.
func Of(s watch.Standing) []Rung {
	results := s.Results
	if len(results) == 0 {
		results = s.Evidence
	}
	host, sandbox := climb(results, false), climb(results, true)
	block(host, leftOut(s, results))
	block(sandbox, deniedFrom(sandbox))
	if !mindsSandbox(s) {
		forgive(sandbox, host)
	}
	ladder := make([]Rung, rungs)
	for i, name := range rungNames {
		ladder[i] = Rung{Name: name, Host: host[i], Sandbox: sandbox[i]}
	}
	return ladder
}

// SeenFromSandbox reports whether anything was tried inside the sandbox.
func SeenFromSandbox(ladder []Rung) bool {
	return slices.ContainsFunc(ladder, func(r Rung) bool { return r.Sandbox.Mark != Untried })
}

// Shut reports whether r is the sandbox saying no, and the verdict does not mind.
func Shut(s watch.Standing, r probe.Result) bool {
	return r.Vantage == probe.FromSandbox && r.Class.Layer() == "local" && !mindsSandbox(s)
}

func mindsSandbox(s watch.Standing) bool {
	return s.Cause == diagnose.Sandbox ||
		slices.ContainsFunc(s.Also, func(f diagnose.Finding) bool { return f.Cause == diagnose.Sandbox })
}

// forgive turns a failure seen only in the sandbox into a closed door.
func forgive(sandbox, host []Step) {
	hostFails := slices.ContainsFunc(host, func(s Step) bool { return s.Mark == Failed })
	for i := range sandbox {
		if sandbox[i].Mark == Failed && (!hostFails || host[i].Mark != Failed) {
			sandbox[i].Mark = Closed
		}
	}
}

// A landing gathers the attempts that tell of one rung.
type landing struct {
	ok, failed []probe.Result
	direct     []probe.Result // nameservers asked past the system's, that answered
	blockedBy  int            // the rung below on which an attempt at this one ended; zero: none
}

func climb(results []probe.Result, inSandbox bool) []Step {
	var landings [rungs]landing
	for _, r := range results {
		if (r.Vantage == probe.FromSandbox) == inSandbox {
			land(&landings, r)
		}
	}
	steps := make([]Step, rungs)
	for i := range landings {
		steps[i] = landings[i].step(i)
	}
	return steps
}

// block turns failures above the lowest one into what they are: its consequences. So are, from that rung on, those not tried.
func block(steps []Step, leftOut int) {
	lowest := slices.IndexFunc(steps, func(s Step) bool { return s.Mark == Failed })
	if lowest < 0 {
		return
	}
	for i := lowest + 1; i < len(steps); i++ {
		switch m := steps[i].Mark; {
		case m == Failed, m == Blocked, m == Untried && i >= leftOut:
			steps[i] = blockedBy(lowest)
		}
	}
}

// leftOut is the rung from which on attempts were left out: the verdict names blocked probes of which there is no result.
func leftOut(s watch.Standing, results []probe.Result) int {
	unmade := slices.ContainsFunc(s.Blocked, func(name string) bool {
		return !slices.ContainsFunc(results, func(r probe.Result) bool { return r.Service == s.Service && r.Name == name })
	})
	if unmade {
		return Stream
	}
	return rungs
}

// deniedFrom is the rung from which on nothing gets through the sandbox, whether it was tried or not.
func deniedFrom(sandbox []Step) int {
	if sandbox[Host].Mark == Failed {
		return Resolver
	}
	return rungs
}

func blockedBy(rung int) Step { return Step{Mark: Blocked, Words: "blocked by " + rungNames[rung]} }

// land puts r on the rungs it tells of.
func land(all *[rungs]landing, r probe.Result) {
	switch {
	case r.Role == probe.OfHost:
		all[Host].add(r)
	case r.Vantage == probe.Direct:
		if r.OK() && r.Kind == probe.KindDNS { // a request past the system is not how the service is used
			all[Resolver].direct = append(all[Resolver].direct, r)
		}
	case r.Role == probe.ControlByName, r.Role == probe.ControlByAddress:
		all[Internet].add(r)
	case r.Role != probe.OfService, r.Kind == probe.KindDNS:
		all[Resolver].add(r)
	case r.Kind == probe.KindHTTP:
		landRequest(all, r, Application)
	case r.Kind == probe.KindStream:
		landRequest(all, r, Stream)
	case r.Kind == probe.KindExec:
		all[Agent].add(r)
		return
	}
}

// landRequest puts an attempt that resolves, connects and asks on the rung where it ended, and blocks those above.
func landRequest(all *[rungs]landing, r probe.Result, top int) {
	reached := top
	switch r.Phase {
	case probe.Resolve:
		reached = Resolver
	case probe.Connect, probe.Handshake:
		reached = Edge
	}
	if r.Class.Layer() == "exec" { // the sandbox was not set up: nothing was reached
		all[top].add(r)
		return
	}
	if r.OK() || reached == top {
		edge := r
		edge.Class = probe.OK
		all[Edge].add(edge)
		all[top].add(r)
		return
	}
	all[reached].add(r)
	for _, above := range []int{Edge, top} {
		if above > reached && all[above].blockedBy == 0 {
			all[above].blockedBy = reached
		}
	}
}

func (l *landing) add(r probe.Result) {
	if r.OK() {
		l.ok = append(l.ok, r)
	} else {
		l.failed = append(l.failed, r)
	}
}

// enoughControls is the share of the controls that must answer: two of three, since any one of them may be down itself.
func enoughControls(ok, all int) bool { return 3*ok >= 2*all }

func (l *landing) step(rung int) Step {
	switch {
	case len(l.ok)+len(l.failed) == 0 && l.blockedBy > 0:
		return blockedBy(l.blockedBy)
	case len(l.ok)+len(l.failed) == 0:
		return Step{}
	case rung == Internet:
		return l.internet()
	case len(l.failed) == 0:
		return Step{OK, well(rung, l.ok), took(rung, l.ok)}
	case len(l.ok) > 0 && !l.decisive(rung):
		return Step{Partly, partly(rung, l), 0}
	}
	return Step{Failed, ill(rung, l), took(rung, l.failed)}
}

// decisive reports whether the service itself is among what failed on a rung that others succeeded on: its own name not
// resolving is a failure, however many control names do.
func (l *landing) decisive(rung int) bool {
	if rung == Host {
		return true
	}
	return rung == Resolver && slices.ContainsFunc(l.failed, func(r probe.Result) bool { return r.Role == probe.OfService })
}

func (l *landing) internet() Step {
	s := Step{Mark: Failed, Words: tally(len(l.ok), len(l.ok)+len(l.failed), "control"), Took: took(Internet, l.ok)}
	switch {
	case enoughControls(len(l.ok), len(l.ok)+len(l.failed)):
		s.Mark = OK
	case len(l.ok) > 0:
		s.Mark = Partly
	default:
		s.Words += ": " + Short(l.failed[0].Class)
	}
	return s
}
