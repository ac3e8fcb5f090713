package diagnose

import (
	"slices"

	"netwatchd/internal/outcome"
	"netwatchd/internal/probe"
	"netwatchd/internal/words"
)

// upstream pages people by default. It therefore requires a control that was reached, and a name that resolved or that
// every resolver reports as missing. What the agent reports about itself never pages: see isServiceFault.
func upstream(g *groupedRound) *finding {
	control := g.reachedControl()
	if control == nil {
		return nil
	}
	r := g.failure(func(r *probe.Result) bool {
		if r.Kind == probe.KindStream && g.isHTTPWorking() {
			return false // see brokenStream
		}
		return g.isServiceFault(r) && r.Phase > probe.Resolve && (isNetworkProbe(r) || g.isNameResolved())
	})
	if r != nil && g.isPathSuspect(r) {
		return nil // see unexplainedNetwork
	}
	if r != nil && g.isServiceFaultToAgent(r) {
		return &finding{title: serviceForAgentTitle(g, r), advice: words.ServiceForAgentAdvice(r),
			evidence: []*probe.Result{r, g.contrastOf(r), g.bestSuccess(), control}}
	}
	if r != nil {
		f := &finding{title: words.ServiceTitle(r), evidence: []*probe.Result{r, control, g.configuredAnswer()}}
		if isRouting(r) {
			f.note, f.advice = words.NoteRouting, words.AdviceRouting
			f.evidence = slices.Insert(f.evidence, 1, first(g.service, func(r *probe.Result) bool {
				return r.Kind == probe.KindHTTP && r.OK()
			}))
		}
		return f
	}
	if r = g.failure(func(r *probe.Result) bool { return g.directConfirmation(r) != nil }); r != nil {
		direct := g.directConfirmation(r)
		return &finding{title: words.ServiceBehindProxyTitle(direct),
			evidence: []*probe.Result{direct, r, g.forwardedControl(r), g.directTLSControl()}}
	}
	r = g.failure(isNameFailure)
	if r == nil || !nameGone(r) {
		return nil
	}
	direct := g.agreedNameGone()
	if direct == nil || g.resolvedControlName() == nil {
		return nil
	}
	return &finding{title: outcome.NameGoneTitle(r),
		evidence: []*probe.Result{r, direct, g.resolvedControlName(), control}}
}

// isServiceFault reports whether the service is to blame for how r ended, once the network path is known to work.
func (g *groupedRound) isServiceFault(r *probe.Result) bool {
	switch r.Class {
	case probe.TCPRefused, probe.TCPTimedOut, probe.TCPReset, probe.TCPClosed, probe.TCPAddressUnreachable,
		probe.TLSTimedOut, probe.TLSClosed, probe.TLSProtocolError, probe.TLSNameInvalid,
		probe.HTTPTimedOut, probe.HTTPClosed, probe.HTTPProtocolError, probe.HTTPServerError:
		return isNetworkProbe(r)
	case probe.TLSAuthorityInvalid:
		return isNetworkProbe(r) && isSelfSigned(r)
	case probe.TLSDateInvalid:
		// without any Date header, this host's clock may be wrong
		_, known := g.clockSkew()
		return isNetworkProbe(r) && known && !g.isClockToBlame(r)
	case probe.ExecOverloaded:
		return r.Kind == probe.KindExec
	}
	return g.isServiceFaultToAgent(r)
}

// agreedNameGone returns a public resolver's answer that the service's name does not exist, if that resolver works
// and no other one knows the name.
func (g *groupedRound) agreedNameGone() *probe.Result {
	for _, r := range g.nameservers {
		if r.Role == probe.ResolverAsksService && isNameserverAnswer(r) && !nameGone(r) {
			return nil
		}
	}
	return g.nameserver(probe.Direct, probe.ResolverAsksService, func(r *probe.Result) bool {
		works := g.nameserver(probe.Direct, probe.ResolverAsksControl,
			func(c *probe.Result) bool { return c.OK() && c.Server == r.Server })
		return nameGone(r) && works != nil
	})
}
