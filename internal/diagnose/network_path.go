package diagnose

import (
	"netwatchd/internal/probe"
	"time"
)

// doubtful reports whether a failure that would be the service's own may as well be the way's.
func (g *groupedRound) isPathSuspect(r *probe.Result) bool {
	return g.sameTLSFailure(r) != nil || timedOutTooSoon(r) || isSilent(r) && g.lossyControl() != nil || g.isViaUnprovenProxy(r) || isRejectedOnPath(r)
}

// forbidden reports whether someone on the way said that it must not be gone.
func isRejectedOnPath(r *probe.Result) bool { return hasWarning(r, "forbidden_on_the_way") }

// sameWay is a control that was made through the same proxy as r, or without one as r, for which is holds.
func (g *groupedRound) controlViaSameProxy(r *probe.Result, match func(*probe.Result) bool) *probe.Result {
	return first(g.controls, func(c *probe.Result) bool { return c.Proxy == r.Proxy && match(c) })
}

// viaUnprovenProxy reports whether r went through a proxy that passed no such control on, and nobody vouches for who answered.
func (g *groupedRound) isViaUnprovenProxy(r *probe.Result) bool {
	return r.Proxy != "" && g.forwardedControl(r) == nil && !(isTLS(r) && r.Phase > probe.Handshake)
}

// passedOn is a control that r's proxy passed on, by TLS if r was to be made by TLS: that takes a tunnel, a plain request
// does not.
func (g *groupedRound) forwardedControl(r *probe.Result) *probe.Result {
	return g.controlViaSameProxy(r, func(c *probe.Result) bool { return c.OK() && (isTLS(c) || !isTLS(r)) })
}

// alike is a control that ends by TLS just as r did, if none gets further: then it is the way for TLS that is broken, not
// the service. A tunnel that swallows large packets looks like that, since plain requests are small, and so does a
// firewall that passes port 80 alone.
func (g *groupedRound) sameTLSFailure(r *probe.Result) *probe.Result {
	layer := r.Class.Layer()
	if !isTLS(r) || layer != "tcp" && layer != "tls" {
		return nil
	}
	if g.controlViaSameProxy(r, func(c *probe.Result) bool { return isTLS(c) && isPeerReached(c) }) != nil {
		return nil
	}
	return g.controlViaSameProxy(r, func(c *probe.Result) bool { return isTLS(c) && c.Class == r.Class })
}

// synAgain is when a SYN that got no answer is sent again (RFC 6298): a connection that stood only then has lost a packet.
const synRetransmit = time.Second

// lossy is a control that was reached only at the second try, or was silent to one attempt and not to another in the same
// moment, if it is not the only one with trouble while others are reached at once: then packets get lost on the way, and a
// service that is silent for once may merely have drawn the lot.
func (g *groupedRound) lossyControl() *probe.Result {
	again := func(r *probe.Result) bool {
		if isSilent(r) {
			return first(g.controls, func(c *probe.Result) bool { return c.OK() && isSamePeer(r, c) }) != nil
		}
		return r.OK() && r.Phases[probe.Connect].Duration() >= synRetransmit
	}
	troubled, quick := 0, 0
	for _, r := range g.controls {
		switch {
		case again(r), isSilent(r):
			troubled++
		case r.OK():
			quick++
		}
	}
	if troubled < 2 || quick == 0 {
		return nil
	}
	return first(g.controls, again)
}

// hasty reports whether r was given up before an answer could be here: it waited for less than two of the round trips of
// which connecting took one.
func timedOutTooSoon(r *probe.Result) bool {
	trip := r.Phases[probe.Connect]
	return isSilent(r) && r.Phase > probe.Connect && trip > 0 && r.Phases[r.Phase] < 2*trip
}
