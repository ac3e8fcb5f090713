package diagnose

import (
	"cmp"

	"netwatchd/internal/causes"
	"netwatchd/internal/probe"
	"netwatchd/internal/words"
)

// degradedResolver also covers a resolver that rewrites NXDOMAIN while the service is reached: nothing fails, but the
// next mistyped name will seem to exist, and an answer of this resolver no longer proves that a name does.
func degradedResolver(g *groupedRound) *finding {
	if !g.isNameResolved() || g.failure(isNameFailure) != nil {
		return nil
	}
	works := g.nameserver(probe.FromHost, probe.ResolverAsksControl, isOK)
	if r := first(g.tolerated, isGlibcLookup); r != nil && first(g.asClient, isOK) != nil {
		return &finding{title: unneededResolverTitle(g, r), advice: cmp.Or(moveAdvice(g, r), words.ResolverAdvice(r)),
			evidence: []*probe.Result{r, first(g.asClient, isOK), g.serviceReached()}}
	}
	if r := first(g.nameservers, func(r *probe.Result) bool {
		return r.Vantage == probe.FromHost && r.Role != probe.ResolverAsksCanary && !r.OK() && !isInexplicable(r)
	}); r != nil {
		f := &finding{title: degradedResolverTitle(g, r), evidence: []*probe.Result{r, works, g.serviceReached()}}
		if check := g.failedLinkOrRoute(); check != nil && !g.resolvesWithout(r) {
			// No nameserver can answer on a host that is offline.
			f.advice, f.evidence = causes.HostOffline.About().Advice, append(f.evidence, check)
		}
		return f
	}
	isLookup := func(r *probe.Result) bool { return isNameFailure(r) && r.Kind == probe.KindDNS }
	if r := first(g.tolerated, isLookup); r != nil {
		return &finding{title: unneededResolverTitle(g, r), evidence: []*probe.Result{r, g.serviceReached()}}
	}
	canary := g.nameserver(probe.FromHost, probe.ResolverAsksCanary,
		func(r *probe.Result) bool { return r.Class == probe.DNSWrongAnswer })
	if canary != nil {
		return &finding{title: rewritingResolverTitle(g, canary), advice: words.AdviceRewritingNames,
			evidence: []*probe.Result{canary, g.serviceReached()}}
	}
	if r := first(g.service, succeededWithWarning(probe.WarnFirstFailed)); r != nil {
		return &finding{title: words.TitleFirstNameserver, evidence: []*probe.Result{r, works}}
	}
	return nil
}
