package diagnose

import "netwatchd/internal/probe"

func unexpectedAnswer(v *view) *finding {
	r := v.failsAs(probe.HTTPUnexpectedStatus, probe.HTTPUnexpectedHeader, probe.HTTPUnexpectedBody, probe.HTTPUnauthorized,
		probe.HTTPRedirected)
	if r != nil && v.itself(r) {
		return &finding{title: "the service " + says(r) + ", not as configured", evidence: []*probe.Result{r, v.control()}}
	}
	// What brokenResolver did not put down to the resolver is what the world is told.
	if r = v.failsAs(probe.DNSWrongAnswer); r != nil {
		return &finding{title: "its name resolves, but not as configured", evidence: []*probe.Result{r,
			v.asks(probe.Direct, probe.ResolverAsksService, not(ok)), v.control()}}
	}
	if r = v.fails(func(r *probe.Result) bool { return r.Class == probe.ExecUnexpectedOutput }); r != nil {
		return &finding{title: "the agent's run ends well, but does not say what it should", evidence: []*probe.Result{r, v.fine()},
			advice: "Read the output in the evidence: either the model answers in other words, or the expectation is out of date."}
	}
	return nil
}
