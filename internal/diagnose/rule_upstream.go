package diagnose

import "netwatchd/internal/probe"

// upstream is the one cause of the service that wakes people by default: it wants a control that was reached, and a name
// that was resolved or that everyone agrees is gone.
func upstream(v *view) *finding {
	control := v.control()
	if control == nil {
		return nil
	}
	r := v.fails(func(r *probe.Result) bool {
		if r.Kind == probe.KindStream && v.httpFine() {
			return false // see brokenStream
		}
		return v.serviceFault(r) && r.Phase > probe.Resolve && (onWire(r) || v.nameResolved())
	})
	if r != nil && v.doubtful(r) {
		return nil // see unexplainedWire
	}
	if r != nil {
		return &finding{title: "the service " + says(r), evidence: []*probe.Result{r, control, v.configured()}}
	}
	if r = v.fails(func(r *probe.Result) bool { return v.reported(r) != nil }); r != nil {
		past := v.reported(r)
		return &finding{title: "the service " + says(past) + "; the proxy does not reach it either",
			evidence: []*probe.Result{past, r, v.passedOn(r), v.directBySecure()}}
	}
	r = v.fails(nameFailed)
	if r == nil || !gone(r) {
		return nil
	}
	direct := v.allAgreeGone()
	if direct == nil || v.namesOfControls() == nil {
		return nil
	}
	return &finding{title: goneTitle(r),
		evidence: []*probe.Result{r, direct, v.namesOfControls(), control}}
}

// serviceFault reports whether r ended in a way that is the service's own doing once the way to it is known to be good.
func (v *view) serviceFault(r *probe.Result) bool {
	switch r.Class {
	case probe.TCPRefused, probe.TCPTimedOut, probe.TCPReset, probe.TCPClosed, probe.TCPAddressUnreachable,
		probe.TLSTimedOut, probe.TLSClosed, probe.TLSProtocolError, probe.TLSNameInvalid,
		probe.HTTPTimedOut, probe.HTTPClosed, probe.HTTPProtocolError, probe.HTTPServerError:
		return onWire(r)
	case probe.TLSAuthorityInvalid:
		return onWire(r) && selfSigned(r)
	case probe.TLSDateInvalid:
		// without anyone's Date it may as well be this host's clock
		_, known := v.skew()
		return onWire(r) && known && !v.misdated(r)
	case probe.ExecOverloaded:
		return true
	}
	return false
}

// allAgreeGone is a public resolver's word that the service's name is gone, if that resolver works and no other one
// knows the name.
func (v *view) allAgreeGone() *probe.Result {
	for _, r := range v.asked {
		if r.Role == probe.ResolverAsksService && spoke(r) && !gone(r) {
			return nil
		}
	}
	return v.asks(probe.Direct, probe.ResolverAsksService, func(r *probe.Result) bool {
		works := v.asks(probe.Direct, probe.ResolverAsksControl, func(c *probe.Result) bool { return c.OK() && c.Server == r.Server })
		return gone(r) && works != nil
	})
}
