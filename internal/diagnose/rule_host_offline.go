package diagnose

import (
	"netwatchd/internal/probe"
	"slices"
)

func hostOffline(g *groupedRound) *finding {
	broken := g.firstNetworkFailure()
	if broken == nil {
		return nil
	}
	if r := g.failure(isUnroutable); r != nil && r.Phase > probe.Resolve && g.reachedControl() != nil && g.missingFamily() == 0 {
		return &finding{title: "this host has no route to the service, though it reaches others",
			evidence: []*probe.Result{r, g.hostCheck(probe.CheckRoute), g.reachedControl()}}
	}
	if g.serviceReached() != nil || g.reachedControl() != nil {
		return nil
	}
	for _, check := range []string{probe.CheckLink, probe.CheckRoute} {
		if r := g.failedHostCheck(check); r != nil {
			return &finding{title: offlineTitle(g, r), evidence: []*probe.Result{r, broken, first(g.controls, not(isOK))}}
		}
	}
	if r := g.failure(isUnroutable); r != nil && g.missingFamily() == 0 {
		return &finding{title: offlineTitle(g, r), evidence: []*probe.Result{r, g.hostCheck(probe.CheckRoute), first(g.controls, not(isOK))}}
	}
	if f := nothingOutside(g, broken); f != nil {
		return f
	}
	return allConnectionsBlocked(g)
}

// nothingOutside is the finding that no one outside answers: no control, no public resolver, not the service. How they
// fail does not matter, except that a proxy or a policy in between would be the nearer cause. Where only names were tried
// at the controls it takes a public resolver's silence to tell being offline from having no resolver.
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
		!byAddress && direct == nil, g.failure(isProxyFailure) != nil,
		g.nameserver(probe.Direct, probe.ResolverAsksControl, isNameserverAnswer) != nil,
		g.nameserver(probe.Direct, probe.ResolverAsksService, isNameserverAnswer) != nil:
		return nil
	}
	if r := first(g.controls, func(r *probe.Result) bool { return r.Role == probe.ControlByAddress }); r != nil {
		silent = r
	}
	return &finding{title: "this host is offline: nothing outside answers, neither controls nor public resolvers",
		evidence: []*probe.Result{silent, broken, direct, g.hostCheck(probe.CheckRoute)}}
}

// webClosed is the finding that the network lets lookups pass and no connection: of the controls, unrelated to each other
// and to the service, all end as it does before anyone could speak. One control alone may be down by itself.
func allConnectionsBlocked(g *groupedRound) *finding {
	r := g.failure(func(r *probe.Result) bool {
		return isNetworkProbe(r) && r.Class.Layer() == "tcp" && r.Phase == probe.Connect
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
	return &finding{title: "this network lets no connection out: unrelated sites fail alike, though names resolve",
		evidence: []*probe.Result{one, another, r, g.hostCheck(probe.CheckRoute)},
		advice:   "Sign in to the network if it wants that, or find out which proxy or VPN it wants: ask for its rules on ports 80 and 443."}
}
