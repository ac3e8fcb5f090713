package diagnose

import "netwatchd/internal/probe"

func brokenProxy(g *groupedRound) *finding {
	past := first(g.direct, isOK)
	if r := g.failure(func(r *probe.Result) bool { return isProxyFailure(r) && g.directConfirmation(r) == nil }); r != nil {
		return &finding{title: proxyTitle(g, r), evidence: []*probe.Result{r, past, g.controlViaSameProxy(r, isOK), g.reachedControl()}}
	}
	// It says that the connection stands, and whoever speaks at the other end is nobody's server.
	r := g.failure(func(r *probe.Result) bool { return r.Proxy != "" && isTLS(r) && r.Class.Layer() == "tls" })
	if r == nil || g.forwardedControl(r) != nil {
		return nil
	}
	if other := g.controlViaSameProxy(r, func(c *probe.Result) bool { return isTLS(c) && !c.OK() || isIntercepted(c) }); other != nil || past != nil {
		return &finding{title: "the proxy " + r.Proxy + " takes connections and does not pass them on",
			evidence: []*probe.Result{r, other, past, g.reachedControl()}}
	}
	return nil
}

// reported is a request past the proxy, if it shows that the proxy only reports what is so: it passes others on, and past
// it the service is out of reach as well, while others are reached.
func (g *groupedRound) directConfirmation(r *probe.Result) *probe.Result {
	if !hasWarning(r, "proxy_got_nowhere") || g.forwardedControl(r) == nil || g.directTLSControl() == nil {
		return nil
	}
	return first(g.direct, func(p *probe.Result) bool {
		return authority(p) == authority(r) && g.isServiceFault(p) && !g.isPathSuspect(p)
	})
}

// directBySecure is a control that was reached by TLS and without a proxy.
func (g *groupedRound) directTLSControl() *probe.Result {
	return first(g.controls, func(c *probe.Result) bool { return c.OK() && c.Proxy == "" && isTLS(c) })
}
