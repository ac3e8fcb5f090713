package diagnose

import "netwatchd/internal/probe"

func edgeBlocked(g *groupedRound) *finding {
	r := g.failureOf(probe.HTTPEdgeBlocked, probe.HTTPRateLimited)
	if r == nil || !g.isAuthenticated(r) {
		return nil
	}
	return &finding{title: edgeTitle(r), evidence: []*probe.Result{r, g.reachedControl()}}
}
