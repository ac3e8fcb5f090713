package diagnose

import (
	"netwatchd/internal/probe"
	"netwatchd/internal/words"
)

func edgeBlocked(g *groupedRound) *finding {
	r := g.failureOf(probe.HTTPEdgeBlocked, probe.HTTPRateLimited)
	if r == nil {
		if r = g.agentAnswer(probe.HTTPEdgeBlocked); r != nil {
			return &finding{title: words.EdgeForAgentTitle(r), advice: words.EdgeAdvice(r),
				evidence: []*probe.Result{r, g.secondRunOf(r), g.bestSuccess(), g.reachedControl()}}
		}
	}
	if r == nil || !g.isAuthenticated(r) {
		return nil
	}
	return &finding{title: words.EdgeTitle(r), advice: words.EdgeAdvice(r),
		evidence: []*probe.Result{r, g.reachedControl()}}
}
