package diagnose

import (
	"netwatchd/internal/probe"
	"slices"
)

func localPolicy(g *groupedRound) *finding {
	open := g.hostCheck(probe.CheckSandbox)
	if r := g.failure(isDenied); r != nil {
		return &finding{title: policyTitle(g, r), evidence: []*probe.Result{r, open, g.bestSuccess(), g.reachedControl()}}
	}
	// The service fails some other way, and whatever it could be held against is refused by this host: the same rules
	// that refuse the controls may well drop the service.
	if r := first(g.controls, isDenied); r != nil && g.firstNetworkFailure() != nil && !slices.ContainsFunc(g.controls, not(isDenied)) {
		return &finding{evidence: []*probe.Result{r, g.firstNetworkFailure(), open}}
	}
	return nil
}
