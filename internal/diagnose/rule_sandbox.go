package diagnose

import (
	"slices"

	"netwatchd/internal/probe"
	"netwatchd/internal/words"
)

func closedSandbox(g *groupedRound) *finding {
	r := first(g.sandbox, g.blockedBySandbox)
	if r == nil {
		return nil
	}
	f := &finding{evidence: []*probe.Result{r, g.bestSuccess(), g.sandboxCheck(), g.counterpart(r),
		g.reachedControl()}, aside: g.bestSuccess() == nil}
	if g.Expect.Sandbox == WantOpen {
		f.advice = g.Expect.SandboxAdvice
	}
	switch run := r.Kind == probe.KindExec; {
	case run && f.aside:
		f.title = words.TitleRunInSandboxToo
	case run:
		f.title = words.TitleRunInSandbox
	case f.aside:
		f.title = words.TitleSandboxToo
	}
	return f
}

// blockedBySandbox reports whether sandbox probe r failed because of the sandbox: the kernel denied it, or the same
// attempt just succeeded outside. If the sandbox is closed as wanted, only a run of the agent counts: someone waits
// for its answer.
func (g *groupedRound) blockedBySandbox(r *probe.Result) bool {
	if r.OK() || isInexplicable(r) || isNotStarted(r) || g.isUnneededInSandbox(r) {
		return false
	}
	if r.Kind == probe.KindExec {
		return isDenied(r) || isAgentNetworkFailure(r) && g.counterpart(r) != nil
	}
	return g.Expect.Sandbox == WantOpen && (isDenied(r) || g.counterpart(r) != nil)
}

// isUnneededInSandbox reports whether r does not matter, because the same probe succeeded, or the name was reached
// without it.
func (g *groupedRound) isUnneededInSandbox(r *probe.Result) bool {
	return slices.ContainsFunc(g.sandbox, func(other *probe.Result) bool {
		return other.OK() && (isSameProbe(r, other) || isUnneededLookup(r, other))
	})
}

// counterpart returns the attempt from the host that succeeded where sandbox probe r did not: the same probe if the
// host ran it, otherwise any that shows that the service is healthy.
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
