package diagnose

import (
	"slices"

	"netwatchd/internal/probe"
)

func localPolicy(g *groupedRound) *finding {
	sandbox := g.hostCheck(probe.CheckSandbox)
	if r := g.failure(isDenied); r != nil {
		return &finding{title: policyTitle(g, r), evidence: []*probe.Result{r, sandbox, g.bestSuccess(), g.reachedControl()}}
	}
	// The service fails in some other way, and this host blocks every control it could be compared with: the same rules
	// may drop the service.
	if r := first(g.controls, isDenied); r != nil && g.firstNetworkFailure() != nil &&
		!slices.ContainsFunc(g.controls, not(isDenied)) {
		return &finding{evidence: []*probe.Result{r, g.firstNetworkFailure(), sandbox}}
	}
	return nil
}
