package diagnose

import (
	"strings"

	"netwatchd/internal/probe"
)

// This file has the rules for what is the service's own doing.

// itself reports whether it is the service that answered r, not someone in its place: its certificate was verified, or
// controls show that nobody answers for others.
func (v *view) itself(r *probe.Result) bool {
	return v.control() != nil || secure(r)
}

func edgeBlocked(v *view) *finding {
	r := v.failsAs(probe.HTTPEdgeBlocked, probe.HTTPRateLimited)
	if r == nil || !v.itself(r) {
		return nil
	}
	return &finding{title: edgeTitle(r), evidence: []*probe.Result{r, v.control()}}
}

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

// secure reports whether r was to be made by TLS.
func secure(r *probe.Result) bool {
	return strings.HasPrefix(r.Target, "https://") || strings.HasPrefix(r.Target, "wss://")
}

// httpFine reports whether plain requests reach the service and are answered, as expected or not.
func (v *view) httpFine() bool {
	isHTTP := func(r *probe.Result) bool { return r.Kind == probe.KindHTTP }
	return first(v.own, func(r *probe.Result) bool { return isHTTP(r) && answered(r) }) != nil &&
		v.fails(func(r *probe.Result) bool { return isHTTP(r) && (v.serviceFault(r) || !answered(r)) }) == nil
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

func unexpectedAnswer(v *view) *finding {
	r := v.failsAs(probe.HTTPUnexpectedStatus, probe.HTTPUnexpectedHeader, probe.HTTPUnexpectedBody, probe.HTTPUnauthorized,
		probe.HTTPRedirected)
	if r != nil && v.itself(r) {
		return &finding{title: "the service " + says(r) + ", not as configured", evidence: []*probe.Result{r, v.control()}}
	}
	// What brokenResolver did not put down to the resolver is what the world is told.
	if r = v.failsAs(probe.DNSWrongAnswer); r != nil {
		return &finding{title: "its name resolves, but not as configured", evidence: []*probe.Result{r,
			v.asks(probe.Direct, probe.ResolverAsksService, not(ok)), v.control()}}
	}
	if r = v.fails(func(r *probe.Result) bool { return r.Class == probe.ExecUnexpectedOutput }); r != nil {
		return &finding{title: "the agent's run ends well, but does not say what it should", evidence: []*probe.Result{r, v.fine()},
			advice: "Read the output in the evidence: either the model answers in other words, or the expectation is out of date."}
	}
	return nil
}

func brokenStream(v *view) *finding {
	control := v.control()
	if control == nil {
		return nil
	}
	r := v.fails(func(r *probe.Result) bool {
		switch {
		case inexplicable(r) || r.Phase <= probe.Resolve && r.Class != probe.ExecStreamCut:
			return false
		case silent(r) && v.lossy() != nil:
			return false // see unexplainedWire
		case r.Class == probe.ExecStreamCut: // the service began to answer the agent, and its answer was cut
			return v.fine() != nil && v.nameResolved()
		case r.Kind != probe.KindStream:
			return false
		}
		return r.Class.Layer() == "stream" || v.httpFine() && v.serviceFault(r)
	})
	if r == nil {
		return nil
	}
	works := first(v.own, func(r *probe.Result) bool { return r.Kind == probe.KindHTTP && r.OK() })
	return &finding{title: "HTTP works, but the stream " + says(r), evidence: []*probe.Result{r, works, control}}
}
