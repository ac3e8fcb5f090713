package diagnose

import (
	"netwatchd/internal/netpath"
	"netwatchd/internal/outcome"
	"netwatchd/internal/probe"
	"netwatchd/internal/words"
)

func brokenProxy(g *groupedRound) *finding {
	if r := g.failure(netpath.IsTUNProxyFault); r != nil {
		return &finding{title: netpath.TUNProxyTitle(r), advice: words.AdviceTUNProxy,
			evidence: []*probe.Result{r, g.configuredAnswer(), g.reachedControl()}}
	}
	// A local server that is gone comes before the proxy that cannot reach it either.
	if r := g.failure(func(r *probe.Result) bool { return hasWarning(r, probe.WarnBaseURL) }); r != nil {
		return &finding{title: r.Why, advice: words.AdviceBaseURL, evidence: []*probe.Result{r, g.reachedControl()}}
	}
	if r := g.failure(outcome.IsProxiedLoopback); r != nil {
		return &finding{advice: outcome.AdviceLoopback,
			title:    outcome.ProxiedLoopback(r),
			evidence: []*probe.Result{r, g.controlViaSameProxy(r, isOK), g.reachedControl()}}
	}
	if r := g.failure(func(r *probe.Result) bool {
		return isProxyFailure(r) && g.directConfirmation(r) == nil
	}); r != nil {
		return &finding{advice: outcome.ProxyAdvice(r), note: outcome.ProxyNote(r),
			title:    outcome.Proxy(r, g.Expect.Client.Name, g.controlViaSameProxy(r, isOK) != nil),
			evidence: []*probe.Result{r, g.reachedDirectly(r), g.controlViaSameProxy(r, isOK), g.reachedControl()}}
	}
	isSwallowed := func(r *probe.Result) bool { return outcome.IsSwallowed(r) && g.reachedDirectly(r) != nil }
	if r := g.failure(isSwallowed); r != nil {
		return &finding{advice: outcome.AdviceSwallowed, note: outcome.ProxyNote(r),
			title:    outcome.ProxySwallowing(r, g.forwardedControl(r) != nil),
			evidence: []*probe.Result{r, g.reachedDirectly(r), g.forwardedControl(r), g.reachedControl()}}
	}
	// The proxy reports that the connection is established, but whoever answers the TLS handshake is not the server.
	r := g.failure(func(r *probe.Result) bool {
		return r.Proxy != "" && isTLS(r) && r.Class.Layer() == "tls" && !outcome.IsAnswered(r) &&
			!outcome.IsForeignCertificate(r) && !outcome.IsDistrustedByAgent(r)
	})
	if r == nil || g.forwardedControl(r) != nil {
		return nil
	}
	other := g.controlViaSameProxy(r, func(c *probe.Result) bool {
		return isTLS(c) && !c.OK() || outcome.IsForeignAnswer(c)
	})
	if other != nil {
		return &finding{title: outcome.ProxyNotForwarding(r), note: outcome.ProxyNote(r),
			evidence: []*probe.Result{r, other, g.reachedControl()}}
	}
	return nil
}

// reachedDirectly returns an attempt without the proxy that reached the server that r did not reach.
func (g *groupedRound) reachedDirectly(r *probe.Result) *probe.Result {
	return first(g.direct, func(d *probe.Result) bool { return d.OK() && outcome.Authority(d) == outcome.Authority(r) })
}

// directConfirmation returns a request without the proxy that confirms what the proxy reported in r: the proxy
// forwards other requests, and without it the service is unreachable too while other sites are reached.
func (g *groupedRound) directConfirmation(r *probe.Result) *probe.Result {
	if !hasWarning(r, probe.WarnProxyGotNowhere) || g.forwardedControl(r) == nil || g.directTLSControl() == nil {
		return nil
	}
	return first(g.direct, func(p *probe.Result) bool {
		return outcome.Authority(p) == outcome.Authority(r) && g.isServiceFault(p) && !g.isPathSuspect(p)
	})
}

// directTLSControl returns a control that was reached by TLS and without a proxy.
func (g *groupedRound) directTLSControl() *probe.Result {
	return first(g.controls, func(c *probe.Result) bool { return c.OK() && c.Proxy == "" && isTLS(c) })
}
