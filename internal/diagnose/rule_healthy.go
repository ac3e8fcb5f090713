package diagnose

import (
	"cmp"
	"netwatchd/internal/probe"
)

func healthy(g *groupedRound) *finding {
	fine := g.bestSuccess()
	if fine == nil { // only the agent was run, and it is well
		fine = first(g.service, isOK)
	}
	closed := first(g.sandbox, not(isOK))
	f := &finding{evidence: []*probe.Result{fine, cmp.Or(closed, first(g.sandbox, isOK)), g.sandboxCheck(), g.reachedControl()}}
	switch {
	case closed == nil || first(g.sandbox, escapedSandbox) != nil:
	case g.Expect.Sandbox == WantClosed:
		f.title = "unreachable from the sandbox only - as configured"
		f.advice = "Nothing is broken: give a run network access if its task needs it."
	default:
		f.title = "reachable; closed to the agent's sandbox"
	}
	return f
}
