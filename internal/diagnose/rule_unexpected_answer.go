package diagnose

import "netwatchd/internal/probe"

func unexpectedAnswer(g *groupedRound) *finding {
	r := g.failureOf(probe.HTTPUnexpectedStatus, probe.HTTPUnexpectedHeader, probe.HTTPUnexpectedBody, probe.HTTPUnauthorized,
		probe.HTTPRedirected)
	if r != nil && g.isAuthenticated(r) {
		return &finding{title: "the service " + verb(r) + ", not as configured", evidence: []*probe.Result{r, g.reachedControl()}}
	}
	// What brokenResolver did not put down to the resolver is what the world is told.
	if r = g.failureOf(probe.DNSWrongAnswer); r != nil {
		return &finding{title: "its name resolves, but not as configured", evidence: []*probe.Result{r,
			g.nameserver(probe.Direct, probe.ResolverAsksService, not(isOK)), g.reachedControl()}}
	}
	if r = g.failure(func(r *probe.Result) bool { return r.Class == probe.ExecUnexpectedOutput }); r != nil {
		return &finding{title: "the agent's run ends well, but does not say what it should", evidence: []*probe.Result{r, g.bestSuccess()},
			advice: "Read the output in the evidence: either the model answers in other words, or the expectation is out of date."}
	}
	return nil
}
