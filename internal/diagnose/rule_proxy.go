package diagnose

import (
	"netwatchd/internal/netpath"
	"netwatchd/internal/probe"
)

func brokenProxy(g *groupedRound) *finding {
	if r := g.failure(netpath.IsTUNProxyFault); r != nil {
		return &finding{title: netpath.TUNProxyTitle(r), advice: adviceTUNProxy,
			evidence: []*probe.Result{r, g.configuredAnswer(), g.reachedControl()}}
	}
	direct := first(g.direct, isOK)
	if r := g.failure(func(r *probe.Result) bool {
		return isProxyFailure(r) && g.directConfirmation(r) == nil
	}); r != nil {
		if hasWarning(r, probe.WarnBaseURL) {
			return &finding{title: r.Why, advice: adviceBaseURL, evidence: []*probe.Result{r, g.reachedControl()}}
		}
		return &finding{title: proxyTitle(g, r),
			evidence: []*probe.Result{r, direct, g.controlViaSameProxy(r, isOK), g.reachedControl()}}
	}
	// The proxy reports that the connection is established, but whoever answers the TLS handshake is not the server.
	r := g.failure(func(r *probe.Result) bool {
		return r.Proxy != "" && isTLS(r) && r.Class.Layer() == "tls" && !isAnswered(r)
	})
	if r == nil || g.forwardedControl(r) != nil {
		return nil
	}
	other := g.controlViaSameProxy(r, func(c *probe.Result) bool { return isTLS(c) && !c.OK() || isForeignAnswer(c) })
	if other != nil || direct != nil {
		return &finding{title: notForwardedTitle(r),
			evidence: []*probe.Result{r, other, direct, g.reachedControl()}}
	}
	return nil
}

// directConfirmation returns a request without the proxy that confirms what the proxy reported in r: the proxy
// forwards other requests, and without it the service is unreachable too while other sites are reached.
func (g *groupedRound) directConfirmation(r *probe.Result) *probe.Result {
	if !hasWarning(r, probe.WarnProxyGotNowhere) || g.forwardedControl(r) == nil || g.directTLSControl() == nil {
		return nil
	}
	return first(g.direct, func(p *probe.Result) bool {
		return authority(p) == authority(r) && g.isServiceFault(p) && !g.isPathSuspect(p)
	})
}

// directTLSControl returns a control that was reached by TLS and without a proxy.
func (g *groupedRound) directTLSControl() *probe.Result {
	return first(g.controls, func(c *probe.Result) bool { return c.OK() && c.Proxy == "" && isTLS(c) })
}
