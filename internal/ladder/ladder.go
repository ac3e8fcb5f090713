// Package ladder sorts the results of a round into rungs, from this host at the bottom to the agent at the top.
//
// The lowest rung that fails is where to look; the rungs above it are blocked, not failed.
package ladder

import (
	"cmp"
	"slices"

	"netwatchd/internal/causes"
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
	Status
	Agent
	rungs
)

var rungNames = [rungs]string{"host", "resolver", "internet", "edge", "application", "stream", "status", "agent"}

// Mark is the outcome of a rung.
type Mark uint8

const (
	NotTested Mark = iota
	OK
	Partial // some attempts failed, others succeeded
	Closed  // the sandbox blocks it, as configured
	Blocked // the failure of another rung explains it
	Failed
)

var markNames = []string{"untested", "ok", "partial", "closed", "blocked", "failed"}

func (m Mark) String() string { return markNames[m] }

// Label describes m to someone who does not see it.
func (m Mark) Label() string {
	switch m {
	case NotTested:
		return "not tested"
	case Partial:
		return "partly OK"
	}
	return m.String()
}

// A Step is the outcome of one rung, seen from the host or from the sandbox.
type Step struct {
	Mark  Mark
	Words string        // partly text from outside: sanitize it before printing
	Took  probe.Seconds // zero if it has no meaning

	class   probe.Class // of a failed step
	vantage probe.Vantage
}

// A Rung is one level of the ladder, on the host and inside the agent's sandbox.
type Rung struct {
	Name    string
	Host    Step
	Sandbox Step
}

// Of builds the ladder of the latest round of s, or of its evidence if no round was kept.
func Of(s watch.ServiceStatus) []Rung {
	results := s.Results
	if len(results) == 0 {
		results = s.Evidence
	}
	host, sandbox := steps(results, false), steps(results, true)
	if f := s.Evidence; s.Cause == causes.Resolver && len(f) > 0 && f[0].Role == probe.ResolvedAsClient {
		host[Resolver] = Step{Mark: Failed, Words: short(f[0].Class) + " for " + cmp.Or(f[0].Question, f[0].Target),
			Took: f[0].Elapsed, class: f[0].Class, vantage: f[0].Vantage}
	}
	decideHost(s, host)
	block(host, firstSkipped(s, results))
	block(sandbox, firstDenied(sandbox))
	decideSandbox(s, sandbox, host)
	if !s.Names(causes.Sandbox) {
		closeSandbox(sandbox, host)
	}
	ladder := make([]Rung, 0, rungs)
	for i, name := range rungNames {
		// most agents cannot be asked
		if i == Status && host[i].Mark == NotTested && sandbox[i].Mark == NotTested {
			continue
		}
		if !hasRung(s.Profile, i) && host[i].wasSkipped() && sandbox[i].wasSkipped() {
			continue
		}
		ladder = append(ladder, Rung{Name: name, Host: host[i], Sandbox: sandbox[i]})
	}
	return ladder
}

// wasSkipped reports whether nothing was attempted on the rung.
func (s Step) wasSkipped() bool { return s.Mark == NotTested || s.Mark == Blocked }

// hasRung reports whether a service has a probe for the rung.
func hasRung(p diagnose.Profile, rung int) bool {
	switch rung {
	case Edge:
		return p.Has(probe.KindHTTP) || p.Has(probe.KindStream)
	case Application:
		return p.Has(probe.KindHTTP)
	case Stream:
		return p.Has(probe.KindStream)
	case Agent:
		return p.Has(probe.KindExec)
	}
	return true
}

// HasSandbox reports whether anything was tested inside the sandbox.
func HasSandbox(ladder []Rung) bool {
	return slices.ContainsFunc(ladder, func(r Rung) bool { return r.Sandbox.Mark != NotTested })
}

// IsClosed reports whether r failed because the sandbox has no network, and the verdict does not count that as a
// fault.
func IsClosed(s watch.ServiceStatus, r probe.Result) bool {
	if r.Vantage != probe.FromSandbox || !shownByClosed(r.Class) || s.Names(causes.Sandbox) {
		return false
	}
	// A network namespace without routes does not deny anything: only the host can tell it from an outage.
	return r.Class.Layer() == "local" || slices.ContainsFunc(s.Results, func(other probe.Result) bool {
		return other.OK() && other.Vantage == probe.FromHost && other.Name == r.Name && other.Kind == r.Kind
	})
}

// shownByClosed reports whether a closed sandbox can end an attempt in c: it cannot if the attempt itself broke.
func shownByClosed(c probe.Class) bool {
	return c != probe.OK && c != probe.Unknown && c != probe.Internal && c.Layer() != "exec"
}

// closeSandbox turns a failure seen only in the sandbox into a sandbox that is closed.
func closeSandbox(sandbox, host []Step) {
	hostFails := slices.ContainsFunc(host, func(s Step) bool { return s.Mark == Failed })
	for i := range sandbox {
		if sandbox[i].Mark == Failed && shownByClosed(sandbox[i].class) && (!hostFails || host[i].Mark != Failed) {
			sandbox[i].Mark = Closed
			if sandbox[i].class.Layer() == "local" {
				sandbox[i].Words = "no network"
			}
		}
	}
}

// rungResults are the results that belong to one rung.
type rungResults struct {
	ok, failed []probe.Result
	direct     []probe.Result // direct resolvers that resolved the service's name
	blockedBy  int            // the rung below at which an attempt for this one ended; zero: none
}

func steps(results []probe.Result, inSandbox bool) []Step {
	var all [rungs]rungResults
	for _, r := range results {
		if (r.Vantage == probe.FromSandbox) == inSandbox {
			assign(&all, r)
		}
	}
	steps := make([]Step, rungs)
	for i := range all {
		steps[i] = all[i].step(i)
	}
	return steps
}

// block marks the failures above the lowest one as its consequences, and so the rungs that were not tested, from
// skipped on.
func block(steps []Step, skipped int) {
	lowest := slices.IndexFunc(steps, func(s Step) bool { return s.Mark == Failed })
	if lowest < 0 {
		return
	}
	why := rungNames[lowest] + " failed"
	if steps[lowest].class.Layer() == "local" && steps[lowest].vantage == probe.FromSandbox {
		why = "no network"
	}
	for i := lowest + 1; i < len(steps); i++ {
		switch m := steps[i].Mark; {
		case m == Failed:
			steps[i].Mark = Blocked // its own words stay: it was tested
		case m == Blocked, m == NotTested && i >= skipped && i != Status:
			steps[i] = notTested(why)
		}
	}
}

// firstSkipped is the first rung that was skipped: the verdict lists blocked probes that have no result.
func firstSkipped(s watch.ServiceStatus, results []probe.Result) int {
	skipped := slices.ContainsFunc(s.Blocked, func(name string) bool {
		return !slices.ContainsFunc(results, func(r probe.Result) bool { return r.Service == s.Service && r.Name == name })
	})
	if skipped {
		return Stream
	}
	return rungs
}

// firstDenied is the first rung that cannot work in a sandbox without network, tested or not.
func firstDenied(sandbox []Step) int {
	if sandbox[Host].Mark == Failed {
		return Resolver
	}
	return rungs
}

func notTested(why string) Step { return Step{Mark: Blocked, Words: "not tested (" + why + ")"} }

// assign adds r to the rungs it says something about.
func assign(all *[rungs]rungResults, r probe.Result) {
	switch {
	case r.Role == probe.OfHost:
		all[Host].add(r)
	case r.Vantage == probe.Direct:
		if r.OK() && r.Role == probe.ResolverAsksService { // the agent itself never bypasses the system resolver
			all[Resolver].direct = append(all[Resolver].direct, r)
		}
	case r.Role == probe.ControlByName, r.Role == probe.ControlByAddress:
		all[Internet].add(r)
	case r.Role == probe.AgentStub: // it explains the failure of another run, which is on the rung
	case r.Role != probe.OfService && r.Role != probe.ServiceAddress, r.Kind == probe.KindDNS:
		all[Resolver].add(r)
	case r.Kind == probe.KindHTTP:
		assignRequest(all, r, Application)
	case r.Kind == probe.KindStream:
		assignRequest(all, r, Stream)
	case r.Kind == probe.KindStatus:
		all[Status].add(r)
	case r.Kind == probe.KindExec:
		all[Agent].add(r)
	}
}

// assignRequest adds an attempt that resolves, connects and sends a request to the rung where it ended, and blocks the
// rungs above.
func assignRequest(all *[rungs]rungResults, r probe.Result, top int) {
	reached := top
	switch r.Phase {
	case probe.Resolve:
		reached = Resolver
	case probe.Connect, probe.Handshake:
		reached = Edge
	}
	if r.Class.Layer() == "exec" { // the sandbox could not be set up: the attempt reached nothing
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

func (l *rungResults) add(r probe.Result) {
	if r.OK() {
		l.ok = append(l.ok, r)
	} else {
		l.failed = append(l.failed, r)
	}
}

// enoughControls reports whether two of three controls answered: any one of them may itself be down.
func enoughControls(ok, all int) bool { return 3*ok >= 2*all }

func (l *rungResults) step(rung int) Step {
	switch {
	case len(l.ok)+len(l.failed) == 0 && l.blockedBy > 0:
		return notTested(rungNames[l.blockedBy] + " failed")
	case len(l.ok)+len(l.failed) == 0:
		return Step{Words: "not tested"}
	case rung == Internet:
		return l.internet()
	case len(l.failed) == 0:
		return Step{Mark: OK, Words: passedText(rung, l.ok), Took: took(rung, l.ok)}
	case len(l.ok) > 0 && !l.decisive(rung):
		return Step{Mark: Partial, Words: partialText(rung, l)}
	}
	r := ofService(l.failed)
	return Step{Mark: Failed, Words: failedText(rung, l), Took: took(rung, l.failed),
		class: r.Class, vantage: r.Vantage}
}

// decisive reports whether the failures decide the rung although other attempts succeeded: the service's own name that
// does not resolve is a failure, no matter how many other names resolve.
func (l *rungResults) decisive(rung int) bool {
	if rung == Host {
		return true
	}
	return rung == Resolver &&
		slices.ContainsFunc(l.failed, func(r probe.Result) bool { return r.Role == probe.OfService })
}

func (l *rungResults) internet() Step {
	ok, all := len(l.ok), len(l.ok)+len(l.failed)
	s := Step{Mark: Failed, Words: outOf(ok, all, "control") + " reachable", Took: took(Internet, l.ok)}
	switch {
	case enoughControls(ok, all):
		s.Mark = OK
	case ok > 0:
		s.Mark = Partial
	default:
		s.Words += ": " + short(l.failed[0].Class)
	}
	return s
}
