package diagnose

import (
	"netwatchd/internal/outcome"
	"netwatchd/internal/probe"
)

// brokenAgent requires either a sign that needs no network, or that everything else is healthy: an agent that reports
// "I cannot reach it" is blamed only if this host has just reached it. If the same run succeeds against a stub, the
// installation is fine: what remains are the agent's own settings for the network.
func brokenAgent(g *groupedRound) *finding {
	if r := g.failure(outcome.IsDistrustedByAgent); r != nil {
		return &finding{title: outcome.Distrust(r), advice: outcome.AdviceDistrust,
			evidence: []*probe.Result{r, g.bestSuccess(), g.reachedControl()}}
	}
	r := g.failure(func(r *probe.Result) bool { return isAgentProbe(r) && outcome.IsInstallationFault(r.Class) })
	if r == nil {
		r = first(g.sandbox, isNotStarted)
	}
	if r == nil && g.bestSuccess() != nil {
		if r = g.failure(g.isInstallationAtFault); r != nil {
			stub := g.stubOf(r)
			return &finding{title: stubTitle(stub), advice: stubAdvice(stub),
				evidence: []*probe.Result{r, stub, g.bestSuccess(), g.reachedControl()}}
		}
	}
	if r == nil && g.bestSuccess() != nil && g.clientFailure() == nil { // else the lookup explains the run
		r = g.failure(func(r *probe.Result) bool {
			return isAgentProbe(r) && isAgentNetworkFailure(r) && !isAnswerToAgent(r) &&
				!g.isServiceFaultToAgent(r) && !g.isServiceAnswerToAgent(r)
		})
	}
	if r == nil {
		return nil
	}
	return &finding{title: outcome.OfAgent(r), advice: agentAdvice(r),
		evidence: []*probe.Result{r, g.secondRunOf(r), g.bestSuccess(), g.reachedControl()}}
}

// isAgentNetworkFailure reports whether a run of the agent, or its report about itself, failed in a way that the
// network may explain.
func isAgentNetworkFailure(r *probe.Result) bool {
	if r.Kind == probe.KindStatus {
		return !r.OK() && !isInexplicable(r) && !isDenied(r) && !isOfAccount(r)
	}
	switch r.Class {
	case probe.ExecNetwork, probe.ExecTimedOut, probe.ExecUnexpectedExit, probe.ExecHomeUnwritable, probe.ExecKilled:
		return true
	}
	// a class of the network: the agent's own message names the cause
	return !r.OK() && r.Class.Layer() != "exec" && !isInexplicable(r) && !isDenied(r)
}

// isNotStarted reports whether a sandbox probe never made its attempt, because the sandbox could not be set up.
func isNotStarted(r *probe.Result) bool {
	if r.Kind != probe.KindExec {
		return r.Class.Layer() == "exec"
	}
	return r.Class == probe.ExecNotFound || r.Class == probe.ExecStartFailed || r.Class == probe.ExecConfigInvalid ||
		r.Class == probe.ExecModelRejected
}

// isAgentRequestFailure reports whether a run of the agent started and got no answer. The installation is probably
// fine: its settings for the network, or the service's treatment of its requests, are not.
func isAgentRequestFailure(r *probe.Result) bool {
	return isAgentProbe(r) &&
		(r.Class == probe.ExecNetwork || r.Class == probe.ExecTimedOut || r.Class.Layer() != "exec")
}

// isAnswerToAgent reports whether a request of the agent ended with an answer of the service or its edge: see
// edgeBlocked and unexpectedAnswer.
func isAnswerToAgent(r *probe.Result) bool {
	return isAgentProbe(r) && (r.Class == probe.HTTPEdgeBlocked || r.Class == probe.HTTPUnexpectedStatus)
}

// agentAnswer returns a run of the agent that got such an answer, if this host's other requests are answered as
// expected. The agent's request differs from them: it has a body and an account, and edges and services judge both.
func (g *groupedRound) agentAnswer(class probe.Class) *probe.Result {
	if g.bestSuccess() == nil {
		return nil
	}
	return g.failure(func(r *probe.Result) bool { return isAnswerToAgent(r) && r.Class == class })
}
