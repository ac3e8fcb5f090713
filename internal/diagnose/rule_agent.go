package diagnose

import (
	"netwatchd/internal/outcome"
	"netwatchd/internal/probe"
	"netwatchd/internal/words"
)

// brokenAgent requires either a sign that needs no network, or that everything else is healthy: an agent that reports
// "I cannot reach it" is blamed only if this host has just reached it. If the same run succeeds against a stub, the
// installation is fine: what remains are the agent's own settings for the network.
func brokenAgent(g *groupedRound) *finding {
	if r := g.failure(outcome.IsDistrustedByAgent); r != nil {
		return &finding{title: outcome.Distrust(r), advice: outcome.DistrustAdvice(g.Expect.Client),
			evidence: []*probe.Result{r, g.bestSuccess(), g.reachedControl()}}
	}
	r := g.failure(func(r *probe.Result) bool { return isAgentProbe(r) && outcome.IsInstallationFault(r.Class) })
	if r == nil {
		r = first(g.sandbox, isNotStarted)
	}
	if r == nil && g.bestSuccess() != nil {
		if r = g.failure(g.isInstallationAtFault); r != nil {
			stub := g.stubOf(r)
			return &finding{title: words.StubTitle(stub), advice: words.StubAdvice(r, stub),
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
	return &finding{title: outcome.OfAgent(r), advice: words.AgentAdvice(r),
		evidence: []*probe.Result{r, g.secondRunOf(r), g.bestSuccess(), g.reachedControl()}}
}

// agentAnswer returns a run of the agent that got such an answer, if this host's other requests are answered as
// expected. The agent's request differs from them: it has a body and an account, and edges and services judge both.
func (g *groupedRound) agentAnswer(class probe.Class) *probe.Result {
	if g.bestSuccess() == nil {
		return nil
	}
	return g.failure(func(r *probe.Result) bool { return isAnswerToAgent(r) && r.Class == class })
}
