package ladder

import (
	"slices"

	"netwatchd/internal/causes"
	"netwatchd/internal/probe"
	"netwatchd/internal/watch"
)

// decideHost makes the rung of the deciding evidence the failed one on the side of the host, so that the red row is the
// one that the verdict is about. Rungs below it that failed are explained by it: a captive portal that stops lookups
// too is found at the internet's rung, and a gateway that drops everything is not a fault of the resolver.
func decideHost(s watch.ServiceStatus, host []Step) {
	e, rung := deciding(s)
	if rung < 0 || e.Vantage == probe.FromSandbox {
		return
	}
	if s.Cause == causes.HostOffline && rung > Internet && host[Internet].Mark == Failed {
		rung = Internet // the evidence may be a request of the service, but it is the whole internet that is missing
	}
	host[rung] = failed(host[rung], rung, e)
	for i := range rung {
		if host[i].Mark == Failed {
			host[i].Mark = Blocked
		}
	}
}

// decideSandbox does the same for the sandbox, where the lowest failure stays the failed rung: it is why a run of the
// agent failed there. What fails in the sandbox as it does on the host is explained by the verdict on the host.
func decideSandbox(s watch.ServiceStatus, sandbox, host []Step) {
	e, rung := deciding(s)
	hasFailed := slices.ContainsFunc(sandbox, func(s Step) bool { return s.Mark == Failed })
	switch {
	case rung < 0:
	case e.Vantage == probe.FromSandbox:
		if s.Cause == causes.SandboxOpen {
			sandbox[rung] = Step{Mark: Failed, Words: "network access, although it should be closed", Took: e.Elapsed,
				vantage: e.Vantage} // without a class: closeSandbox leaves it
		} else if !hasFailed {
			sandbox[rung] = failed(sandbox[rung], rung, e)
		}
	case !s.Names(causes.Sandbox):
		for i := range sandbox {
			// The host's step may have failed and be blocked: a portal shows on the internet's rung, and on the edge's.
			alike := host[i].Mark == Failed || host[i].class != probe.Unknown || !shownByClosed(sandbox[i].class)
			if sandbox[i].Mark == Failed && alike {
				sandbox[i].Mark = Blocked
			}
		}
		if failsAlike(s, e) && sandbox[rung].Mark == NotTested {
			sandbox[rung] = Step{Mark: Blocked, Words: "fails as on this host"}
		}
	}
}

// failsAlike reports whether the probe of e, which failed on the host, failed in the sandbox too. A round retains what
// the sandbox's last probes showed, except the failures that the host shared (see retained in internal/watch). So if it
// has the sandbox's host check and nothing of this probe, the probe failed there too.
func failsAlike(s watch.ServiceStatus, e probe.Result) bool {
	if e.Role != probe.OfService || e.Kind != probe.KindDNS && e.Kind != probe.KindHTTP { // others do not run there
		return false
	}
	inside := func(match func(probe.Result) bool) bool {
		return slices.ContainsFunc(s.Results, func(r probe.Result) bool {
			return r.Vantage == probe.FromSandbox && match(r)
		})
	}
	return inside(func(r probe.Result) bool { return r.Role == probe.OfHost && r.OK() }) &&
		!inside(func(r probe.Result) bool { return r.Role == e.Role && r.Name == e.Name })
}

// deciding returns the first evidence of a fault and its rung; a negative rung if there is none.
func deciding(s watch.ServiceStatus) (e probe.Result, rung int) {
	if LevelOf(s.Cause) != Bad || len(s.Evidence) == 0 {
		return e, -1
	}
	e = s.Evidence[0]
	if e.OK() && s.Cause != causes.SandboxOpen { // only there a success is what is wrong
		return e, -1
	}
	if e.Vantage == probe.Direct {
		e.Vantage = probe.FromHost // a request without the proxy shows the rung of the one through it
	}
	var all [rungs]rungResults
	assign(&all, e)
	rung = -1
	for i, l := range all {
		if len(l.failed) > 0 || e.OK() && len(l.ok) > 0 {
			rung = i // the highest that a success reached; a failure has one
		}
	}
	return e, rung
}

// failed returns the failed step of a rung: with the words of the rung if those tell of a failure.
func failed(step Step, rung int, e probe.Result) Step {
	own := (&rungResults{failed: []probe.Result{e}}).step(rung)
	if step.Mark == Failed || step.Mark == Partial {
		own.Words = step.Words
	}
	own.Mark, own.class, own.vantage = Failed, e.Class, e.Vantage
	return own
}
