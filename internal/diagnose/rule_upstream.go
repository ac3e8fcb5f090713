package diagnose

import "netwatchd/internal/probe"

// upstream is the one cause of the service that wakes people by default: it wants a control that was reached, and a name
// that was resolved or that everyone agrees is gone.
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
		return nil // see unexplainedWire
	}
	if r != nil {
		return &finding{title: "the service " + verb(r), evidence: []*probe.Result{r, control, g.configuredAnswer()}}
	}
	if r = g.failure(func(r *probe.Result) bool { return g.directConfirmation(r) != nil }); r != nil {
		past := g.directConfirmation(r)
		return &finding{title: "the service " + verb(past) + "; the proxy does not reach it either",
			evidence: []*probe.Result{past, r, g.forwardedControl(r), g.directTLSControl()}}
	}
	r = g.failure(isNameFailure)
	if r == nil || !nameGone(r) {
		return nil
	}
	direct := g.agreedNameGone()
	if direct == nil || g.resolvedControlName() == nil {
		return nil
	}
	return &finding{title: goneTitle(r),
		evidence: []*probe.Result{r, direct, g.resolvedControlName(), control}}
}

// serviceFault reports whether r ended in a way that is the service's own doing once the way to it is known to be good.
func (g *groupedRound) isServiceFault(r *probe.Result) bool {
	switch r.Class {
	case probe.TCPRefused, probe.TCPTimedOut, probe.TCPReset, probe.TCPClosed, probe.TCPAddressUnreachable,
		probe.TLSTimedOut, probe.TLSClosed, probe.TLSProtocolError, probe.TLSNameInvalid,
		probe.HTTPTimedOut, probe.HTTPClosed, probe.HTTPProtocolError, probe.HTTPServerError:
		return isNetworkProbe(r)
	case probe.TLSAuthorityInvalid:
		return isNetworkProbe(r) && isSelfSigned(r)
	case probe.TLSDateInvalid:
		// without anyone's Date it may as well be this host's clock
		_, known := g.clockSkew()
		return isNetworkProbe(r) && known && !g.isClockToBlame(r)
	case probe.ExecOverloaded:
		return true
	}
	return false
}

// allAgreeGone is a public resolver's word that the service's name is gone, if that resolver works and no other one
// knows the name.
func (g *groupedRound) agreedNameGone() *probe.Result {
	for _, r := range g.nameservers {
		if r.Role == probe.ResolverAsksService && isNameserverAnswer(r) && !nameGone(r) {
			return nil
		}
	}
	return g.nameserver(probe.Direct, probe.ResolverAsksService, func(r *probe.Result) bool {
		works := g.nameserver(probe.Direct, probe.ResolverAsksControl, func(c *probe.Result) bool { return c.OK() && c.Server == r.Server })
		return nameGone(r) && works != nil
	})
}
