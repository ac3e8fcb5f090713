package diagnose

import (
	"netwatchd/internal/probe"
	"slices"
)

func closedSandbox(g *groupedRound) *finding {
	r := first(g.sandbox, g.blockedBySandbox)
	if r == nil {
		return nil
	}
	f := &finding{evidence: []*probe.Result{r, g.bestSuccess(), g.sandboxCheck(), g.counterpart(r), g.reachedControl()}, aside: g.bestSuccess() == nil}
	switch run := r.Kind == probe.KindExec; {
	case run && f.aside:
		f.title = "the agent's run inside the sandbox is refused the network as well"
	case run:
		f.title = "the agent's run fails inside its sandbox only"
	case f.aside:
		f.title = "its sandbox refuses the network as well, though it should not"
	}
	return f
}

// shutOut reports whether twin r failed because of the sandbox: the kernel said so, or the same attempt just succeeded
// outside. What is closed as wanted counts only if the agent itself was run in there: then someone waits for its answer.
func (g *groupedRound) blockedBySandbox(r *probe.Result) bool {
	if r.OK() || isInexplicable(r) || isNotStarted(r) || g.isUnneededInSandbox(r) {
		return false
	}
	if r.Kind == probe.KindExec {
		return isDenied(r) || isAgentNetworkFailure(r) && g.counterpart(r) != nil
	}
	return g.Expect.Sandbox == WantOpen && (isDenied(r) || g.counterpart(r) != nil)
}

// otherwiseFine reports whether r is a lookup nobody needs in there: the same name was reached without it.
func (g *groupedRound) isUnneededInSandbox(r *probe.Result) bool {
	return slices.ContainsFunc(g.sandbox, func(other *probe.Result) bool {
		return other.OK() && (isSameProbe(r, other) || isUnneededLookup(r, other))
	})
}

// counterpart is the attempt from the host that succeeded where twin r did not: the same one if it was made, or else any
// that shows that the service is fine.
func (g *groupedRound) counterpart(r *probe.Result) *probe.Result {
	same := func(other *probe.Result) bool { return isSameProbe(r, other) }
	if first(g.service, same) == nil {
		return g.bestSuccess()
	}
	if first(g.failing, same) != nil {
		return nil
	}
	return first(g.service, func(other *probe.Result) bool { return same(other) && other.OK() })
}
