package diagnose

import (
	"slices"

	"netwatchd/internal/netpath"
	"netwatchd/internal/outcome"
	"netwatchd/internal/probe"
	"netwatchd/internal/words"
)

// unexplainedNetwork is the gate before the agent: as long as a request from this host fails for an unknown reason,
// what depends on it is not judged.
func unexplainedNetwork(g *groupedRound) *finding {
	r := g.firstNetworkFailure()
	if r == nil {
		r = g.untriedProbe(isNetworkProbe)
	}
	if r == nil {
		return nil
	}
	if other := g.failure(func(r *probe.Result) bool {
		return isNetworkProbe(r) && !netpath.IsNear(r) && g.sameTLSFailure(r) != nil
	}); other != nil && g.reachedControl() != nil {
		return &finding{title: words.TitleTLSBlocked, advice: words.AdviceTLSBlocked,
			evidence: []*probe.Result{other, g.sameTLSFailure(other), g.reachedControl()}}
	}
	if outcome.TimedOutTooSoon(r) && g.reachedControl() != nil {
		return &finding{title: outcome.SlowPathTitle(r), advice: words.AdviceSlowPath,
			evidence: []*probe.Result{r, g.reachedControl()}}
	}
	if lossy := g.lossyControl(); lossy != nil && isSilent(r) && !netpath.IsNear(r) {
		return &finding{title: words.TitlePacketLoss, advice: words.AdvicePacketLoss,
			evidence: []*probe.Result{r, lossy, g.reachedControl()}}
	}
	return unexplained(g, r)
}

// unexplainedRun is the gate before the sandbox.
func unexplainedRun(g *groupedRound) *finding {
	r := g.failure(func(*probe.Result) bool { return true })
	if r == nil {
		r = g.untriedProbe(not(isNetworkProbe))
	}
	if r == nil {
		return nil
	}
	return unexplained(g, r)
}

// unexplained reports r. If this host has run out of descriptors, sockets or memory, it reports that instead: then the
// attempts that would tell more are missing.
func unexplained(g *groupedRound, r *probe.Result) *finding {
	f := &finding{title: unexplainedTitle(g, r),
		evidence: []*probe.Result{r, g.reachedControl(), first(g.controls, not(isOK)),
			g.nameserver(probe.Direct, probe.ResolverAsksService, func(*probe.Result) bool { return true })}}
	if netpath.IsNear(r) && g.reachedControl() == nil {
		f.title, f.advice = netpath.NearTitle(r), words.AdviceNear
	}
	if untried := g.shortage(); untried != nil {
		f.title, f.advice = words.TitleShortage, words.AdviceShortage
		f.evidence = slices.Insert(f.evidence, 0, untried)
	}
	return f
}

// tooLittleKnown is the gate before good news: something failed with an unknown error, or nothing was tried from the
// host.
func tooLittleKnown(g *groupedRound) *finding {
	unknown := first(g.sandbox, isInexplicable)
	if unknown == nil {
		unknown = first(g.direct, isInexplicable)
	}
	if unknown == nil {
		unknown = first(g.noEvidence, func(r *probe.Result) bool {
			return r.Role == probe.OfService && (r.Vantage == probe.FromSandbox || r.Vantage == probe.Direct)
		})
	}
	if unknown == nil {
		unknown = first(g.tolerated, isInexplicable)
	}
	switch {
	case unknown != nil:
		return unexplained(g, unknown)
	case g.working() == nil && len(g.tolerated) == 0:
		return &finding{title: words.TitleNothingTried, evidence: []*probe.Result{first(g.sandbox, not(isOK))}}
	case g.failedSandboxRun() != nil:
		return unexplained(g, g.failedSandboxRun())
	}
	return nil
}

// failedSandboxRun returns a run of the agent inside the sandbox that failed for a reason that no rule knows.
func (g *groupedRound) failedSandboxRun() *probe.Result {
	return first(g.sandbox, func(r *probe.Result) bool { return r.Kind == probe.KindExec && !r.OK() })
}
