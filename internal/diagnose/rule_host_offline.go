package diagnose

import (
	"netwatchd/internal/probe"
	"slices"
)

func hostOffline(v *view) *finding {
	broken := v.brokenWire()
	if broken == nil {
		return nil
	}
	if r := v.fails(routeless); r != nil && r.Phase > probe.Resolve && v.control() != nil && v.missesFamily() == 0 {
		return &finding{title: "this host has no route to the service, though it reaches others",
			evidence: []*probe.Result{r, v.hostCheck(probe.CheckRoute), v.control()}}
	}
	if v.reached() != nil || v.control() != nil {
		return nil
	}
	for _, check := range []string{probe.CheckLink, probe.CheckRoute} {
		if r := v.hostFault(check); r != nil {
			return &finding{title: offlineTitle(v, r), evidence: []*probe.Result{r, broken, first(v.controls, not(ok))}}
		}
	}
	if r := v.fails(routeless); r != nil && v.missesFamily() == 0 {
		return &finding{title: offlineTitle(v, r), evidence: []*probe.Result{r, v.hostCheck(probe.CheckRoute), first(v.controls, not(ok))}}
	}
	if f := nothingOutside(v, broken); f != nil {
		return f
	}
	return webClosed(v)
}

// nothingOutside is the finding that no one outside answers: no control, no public resolver, not the service. How they
// fail does not matter, except that a proxy or a policy in between would be the nearer cause. Where only names were tried
// at the controls it takes a public resolver's silence to tell being offline from having no resolver.
func nothingOutside(v *view, broken *probe.Result) *finding {
	silent := first(v.controls, not(ok))
	direct := v.asks(probe.Direct, probe.ResolverAsksControl, not(ok))
	if direct == nil {
		direct = v.asks(probe.Direct, probe.ResolverAsksService, not(ok))
	}
	byAddress := slices.ContainsFunc(v.controls, func(r *probe.Result) bool {
		return r.Role == probe.ControlByAddress || r.Phase > probe.Resolve
	})
	switch {
	case silent == nil, slices.ContainsFunc(v.controls, someoneThere), slices.ContainsFunc(v.past, answered),
		!byAddress && direct == nil, v.fails(viaProxy) != nil,
		v.asks(probe.Direct, probe.ResolverAsksControl, spoke) != nil,
		v.asks(probe.Direct, probe.ResolverAsksService, spoke) != nil:
		return nil
	}
	if r := first(v.controls, func(r *probe.Result) bool { return r.Role == probe.ControlByAddress }); r != nil {
		silent = r
	}
	return &finding{title: "this host is offline: nothing outside answers, neither controls nor public resolvers",
		evidence: []*probe.Result{silent, broken, direct, v.hostCheck(probe.CheckRoute)}}
}

// webClosed is the finding that the network lets lookups pass and no connection: of the controls, unrelated to each other
// and to the service, all end as it does before anyone could speak. One control alone may be down by itself.
func webClosed(v *view) *finding {
	r := v.fails(func(r *probe.Result) bool { return onWire(r) && r.Class.Layer() == "tcp" && r.Phase == probe.Connect })
	if r == nil {
		return nil
	}
	alike := func(c *probe.Result) bool { return c.Class == r.Class && c.Phase == probe.Connect }
	one := first(v.controls, alike)
	if one == nil || slices.ContainsFunc(v.controls, func(c *probe.Result) bool { return !alike(c) && !routeless(c) }) {
		return nil
	}
	another := first(v.controls, func(c *probe.Result) bool { return alike(c) && hostOf(c) != hostOf(one) })
	if another == nil {
		return nil
	}
	return &finding{title: "this network lets no connection out: unrelated sites fail alike, though names resolve",
		evidence: []*probe.Result{one, another, r, v.hostCheck(probe.CheckRoute)},
		advice:   "Sign in to the network if it wants that, or find out which proxy or VPN it wants: ask for its rules on ports 80 and 443."}
}
