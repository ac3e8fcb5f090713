package diagnose

import (
	"slices"

	"netwatchd/internal/netpath"
	"netwatchd/internal/probe"
	"netwatchd/internal/words"
)

// hostOffline is set aside if only what is on this host or on its link fails: that needs nothing outside.
func hostOffline(g *groupedRound) *finding {
	broken := g.firstFarFailure()
	aside := broken == nil
	if aside {
		broken = g.firstNetworkFailure()
	}
	if broken == nil || g.failure(netpath.IsTUNProxyFault) != nil && netpath.OnlyMadeUp(g.controls) {
		return nil
	}
	f := unreachableNetwork(g, broken)
	if f != nil && !f.aside {
		f.aside = aside
	}
	return f
}

func unreachableNetwork(g *groupedRound, broken *probe.Result) *finding {
	if r := g.failure(isUnroutable); r != nil && r.Phase > probe.Resolve && g.reachedControl() != nil &&
		g.missingFamily() == 0 {
		return &finding{title: words.TitleNoRouteToService, advice: words.AdviceNoRouteToService,
			evidence: []*probe.Result{r, g.hostCheck(probe.CheckRoute), g.reachedControl()}}
	}
	if g.serviceReached() != nil || g.reachedControl() != nil {
		return nil
	}
	if r := g.failedLinkOrRoute(); r != nil {
		return &finding{title: offlineTitle(g, r), evidence: []*probe.Result{r, broken, first(g.controls, not(isOK))}}
	}
	if r := g.failure(isUnroutable); r != nil && g.missingFamily() == 0 {
		return &finding{title: offlineTitle(g, r),
			evidence: []*probe.Result{r, g.hostCheck(probe.CheckRoute), first(g.controls, not(isOK))}}
	}
	if f := nothingOutside(g, broken); f != nil {
		return f
	}
	return allConnectionsBlocked(g)
}

// nothingOutside finds that nobody outside answers: no control, no public resolver, not the service. How they fail
// does not matter, except that a proxy or a policy in between would be the nearer cause, unless the proxy is as silent
// as everything else. If controls were tried by name only, a public resolver must be silent too: otherwise being
// offline looks the same as having no resolver.
func nothingOutside(g *groupedRound, broken *probe.Result) *finding {
	silent := first(g.controls, not(isOK))
	direct := g.nameserver(probe.Direct, probe.ResolverAsksControl, not(isOK))
	if direct == nil {
		direct = g.nameserver(probe.Direct, probe.ResolverAsksService, not(isOK))
	}
	byAddress := slices.ContainsFunc(g.controls, func(r *probe.Result) bool {
		return r.Role == probe.ControlByAddress || r.Phase > probe.Resolve
	})
	switch {
	case silent == nil, slices.ContainsFunc(g.controls, isPeerReached), slices.ContainsFunc(g.direct, isAnswered),
		!byAddress && direct == nil, g.failure(isProxyFailure) != nil && !g.isProxySilentToo(),
		g.nameserver(probe.Direct, probe.ResolverAsksControl, isNameserverAnswer) != nil,
		g.nameserver(probe.Direct, probe.ResolverAsksService, isNameserverAnswer) != nil:
		return nil
	}
	if r := first(g.controls, func(r *probe.Result) bool { return r.Role == probe.ControlByAddress }); r != nil {
		silent = r
	}
	return &finding{title: words.TitleNothingOutside,
		evidence: []*probe.Result{silent, broken, direct, g.hostCheck(probe.CheckRoute)}}
}

// isProxySilentToo reports whether neither the proxy nor any configured nameserver answers: what is dead is nearer than
// the proxy. A nameserver that answers shows that the network of the proxy works, as in an office where the proxy is
// the only way out.
func (g *groupedRound) isProxySilentToo() bool {
	isHeard := func(r *probe.Result) bool { return isProxyFailure(r) && r.Class != probe.ProxyUnreachable }
	configured := func(match func(*probe.Result) bool) *probe.Result {
		return first(g.nameservers, func(r *probe.Result) bool { return r.Vantage == probe.FromHost && match(r) })
	}
	isTimeout := func(r *probe.Result) bool { return r.Class == probe.DNSTimeout }
	return g.failure(isHeard) == nil && configured(isTimeout) != nil && configured(not(isTimeout)) == nil
}

// allConnectionsBlocked finds that DNS works but every outbound connection is blocked: all controls, unrelated to
// each other and to the service, fail to connect just as it does. A single control may be down by itself.
func allConnectionsBlocked(g *groupedRound) *finding {
	r := g.failure(func(r *probe.Result) bool {
		return isNetworkProbe(r) && r.Class.Layer() == "tcp" && r.Phase == probe.Connect && !netpath.IsNear(r)
	})
	if r == nil {
		return nil
	}
	alike := func(c *probe.Result) bool { return c.Class == r.Class && c.Phase == probe.Connect }
	one := first(g.controls, alike)
	if one == nil || slices.ContainsFunc(g.controls, func(c *probe.Result) bool { return !alike(c) && !isUnroutable(c) }) {
		return nil
	}
	another := first(g.controls, func(c *probe.Result) bool { return alike(c) && hostOf(c) != hostOf(one) })
	if another == nil {
		return nil
	}
	return &finding{title: words.TitleConnectionsBlocked,
		evidence: []*probe.Result{one, another, r, g.hostCheck(probe.CheckRoute)},
		advice:   words.AdviceConnectionsBlocked}
}
