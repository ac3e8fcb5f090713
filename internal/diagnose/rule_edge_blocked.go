package diagnose

import "netwatchd/internal/probe"

func edgeBlocked(g *groupedRound) *finding {
	r := g.failureOf(probe.HTTPEdgeBlocked, probe.HTTPRateLimited)
	if r == nil {
		if r = g.agentAnswer(probe.HTTPEdgeBlocked); r != nil {
			return &finding{title: edgeForAgentTitle(r), advice: edgeAdvice(r),
				evidence: []*probe.Result{r, g.secondRunOf(r), g.bestSuccess(), g.reachedControl()}}
		}
	}
	if r == nil || !g.isAuthenticated(r) {
		return nil
	}
	return &finding{title: edgeTitle(r), advice: edgeAdvice(r), evidence: []*probe.Result{r, g.reachedControl()}}
}
