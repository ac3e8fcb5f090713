package diagnose

import "netwatchd/internal/probe"

// brokenAgent wants either a sign that needs no network, or everything else well: an agent that says "I cannot reach it"
// is believed to be at fault only when the same host just did.
func brokenAgent(g *groupedRound) *finding {
	r := g.failure(func(r *probe.Result) bool { return r.Kind == probe.KindExec && isInstallationFault(r.Class) })
	if r == nil {
		r = first(g.sandbox, isNotStarted)
	}
	if r == nil && g.bestSuccess() != nil {
		r = g.failure(func(r *probe.Result) bool { return r.Kind == probe.KindExec && isAgentNetworkFailure(r) })
	}
	if r == nil {
		return nil
	}
	return &finding{title: agentTitle(r), advice: agentAdvice(r), evidence: []*probe.Result{r, g.bestSuccess(), g.reachedControl()}}
}

// installation reports whether c is the installation's own fault, whatever the network does.
func isInstallationFault(c probe.Class) bool {
	switch c {
	case probe.ExecNotFound, probe.ExecStartFailed, probe.ExecConfigInvalid, probe.ExecHomeUnwritable, probe.ExecModelRejected,
		probe.ExecKilled:
		return true
	}
	return false
}

// lost reports whether a run of the agent failed for what may be a network's reason, if it were not for the others.
func isAgentNetworkFailure(r *probe.Result) bool {
	switch r.Class {
	case probe.ExecNetwork, probe.ExecTimedOut, probe.ExecUnexpectedExit, probe.ExecHomeUnwritable, probe.ExecKilled:
		return true
	}
	return !r.OK() && r.Class.Layer() != "exec" && !isInexplicable(r) && !isDenied(r) // the cause leaked into the agent's words
}

// cannotStart reports whether a twin never came to make its attempt: the sandbox itself could not be set up.
func isNotStarted(r *probe.Result) bool {
	if r.Kind != probe.KindExec {
		return r.Class.Layer() == "exec"
	}
	return r.Class == probe.ExecNotFound || r.Class == probe.ExecStartFailed || r.Class == probe.ExecConfigInvalid ||
		r.Class == probe.ExecModelRejected
}
