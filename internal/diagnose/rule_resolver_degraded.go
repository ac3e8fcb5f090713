package diagnose

import "netwatchd/internal/probe"

// degradedResolver also takes a resolver that rewrites NXDOMAIN while the service is reached: nothing fails, but the next
// mistyped name will look as if it were there, and an answer of this resolver no longer proves that a name exists.
func degradedResolver(g *groupedRound) *finding {
	if !g.isNameResolved() || g.failure(isNameFailure) != nil {
		return nil
	}
	works := g.nameserver(probe.FromHost, probe.ResolverAsksControl, isOK)
	if r := first(g.nameservers, func(r *probe.Result) bool {
		return r.Vantage == probe.FromHost && r.Role != probe.ResolverAsksCanary && !r.OK() && !isInexplicable(r)
	}); r != nil {
		return &finding{title: resolverTitle(g, r) + "; names still resolve", evidence: []*probe.Result{r, works, g.serviceReached()}}
	}
	if r := first(g.tolerated, func(r *probe.Result) bool { return isNameFailure(r) && r.Kind == probe.KindDNS }); r != nil {
		return &finding{title: resolverTitle(g, r) + "; the service is reached without it", evidence: []*probe.Result{r, g.serviceReached()}}
	}
	canary := g.nameserver(probe.FromHost, probe.ResolverAsksCanary, func(r *probe.Result) bool { return r.Class == probe.DNSWrongAnswer })
	if canary != nil {
		return &finding{title: resolverName(g, canary) + " answers for names that do not exist",
			evidence: []*probe.Result{canary, g.serviceReached()},
			advice:   "Use a nameserver that does not rewrite NXDOMAIN: mistyped names seem to exist with this one."}
	}
	if r := first(g.service, succeededWithWarning("dns_first_nameserver_failed")); r != nil {
		return &finding{title: "the first nameserver does not work; names still resolve", evidence: []*probe.Result{r, works}}
	}
	return nil
}
