package diagnose

import "netwatchd/internal/probe"

// degradedResolver also takes a resolver that rewrites NXDOMAIN while the service is reached: nothing fails, but the next
// mistyped name will look as if it were there, and an answer of this resolver no longer proves that a name exists.
func degradedResolver(v *view) *finding {
	if !v.nameResolved() || v.fails(nameFailed) != nil {
		return nil
	}
	works := v.asks(probe.FromHost, probe.ResolverAsksControl, ok)
	if r := first(v.asked, func(r *probe.Result) bool {
		return r.Vantage == probe.FromHost && r.Role != probe.ResolverAsksCanary && !r.OK() && !inexplicable(r)
	}); r != nil {
		return &finding{title: resolverTitle(v, r) + "; names still resolve", evidence: []*probe.Result{r, works, v.reached()}}
	}
	if r := first(v.excused, func(r *probe.Result) bool { return nameFailed(r) && r.Kind == probe.KindDNS }); r != nil {
		return &finding{title: resolverTitle(v, r) + "; the service is reached without it", evidence: []*probe.Result{r, v.reached()}}
	}
	canary := v.asks(probe.FromHost, probe.ResolverAsksCanary, func(r *probe.Result) bool { return r.Class == probe.DNSWrongAnswer })
	if canary != nil {
		return &finding{title: resolverName(v, canary) + " answers for names that do not exist",
			evidence: []*probe.Result{canary, v.reached()},
			advice:   "Use a nameserver that does not rewrite NXDOMAIN: mistyped names seem to exist with this one."}
	}
	if r := first(v.own, warned("dns_first_nameserver_failed")); r != nil {
		return &finding{title: "the first nameserver does not work; names still resolve", evidence: []*probe.Result{r, works}}
	}
	return nil
}
