package diagnose

import (
	"time"

	"netwatchd/internal/netpath"
	"netwatchd/internal/outcome"
	"netwatchd/internal/probe"
)

// isPathSuspect reports whether the network path may be to blame for a failure that looks like the service's.
func (g *groupedRound) isPathSuspect(r *probe.Result) bool {
	if outcome.TimedOutTooSoon(r) || g.isViaUnprovenProxy(r) {
		return true
	}
	return !netpath.IsNear(r) &&
		(g.sameTLSFailure(r) != nil || isSilent(r) && g.lossyControl() != nil || isRejectedOnPath(r))
}

// isRejectedOnPath reports whether a firewall on the network path reported that it rejects the connection.
func isRejectedOnPath(r *probe.Result) bool { return hasWarning(r, probe.WarnRejectedOnPath) }

// controlViaSameProxy returns a control that matches and used the same proxy as r, or like r none.
func (g *groupedRound) controlViaSameProxy(r *probe.Result, match func(*probe.Result) bool) *probe.Result {
	return first(g.controls, func(c *probe.Result) bool { return c.Proxy == r.Proxy && match(c) })
}

// isViaUnprovenProxy reports whether r used a proxy that forwarded no comparable control, and no certificate proves
// who answered.
func (g *groupedRound) isViaUnprovenProxy(r *probe.Result) bool {
	return r.Proxy != "" && g.forwardedControl(r) == nil && !(isTLS(r) && r.Phase > probe.Handshake)
}

// forwardedControl returns a control that r's proxy forwarded, by TLS if r uses TLS: that needs a tunnel, and a plain
// request does not.
func (g *groupedRound) forwardedControl(r *probe.Result) *probe.Result {
	return g.controlViaSameProxy(r, func(c *probe.Result) bool { return c.OK() && (isTLS(c) || !isTLS(r)) })
}

// sameTLSFailure returns a control that failed over TLS as r did, if none got further: then TLS is broken on the
// network path, and not the service. A tunnel that drops large packets looks like this, because plain requests are
// small, and so does a firewall that allows only port 80.
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

// synRetransmit is when an unanswered SYN is sent again (RFC 6298): a connection that took longer has lost a packet.
const synRetransmit = time.Second

// lossyControl returns a control whose connection needed a second SYN, or that answered one attempt of the round and
// not another. It returns one only if another control had trouble too while at least one was reached at once: then
// packets are lost on the network path, and that alone may explain why the service did not answer.
func (g *groupedRound) lossyControl() *probe.Result {
	isLossy := func(r *probe.Result) bool {
		if isSilent(r) {
			return first(g.controls, func(c *probe.Result) bool { return c.OK() && isSamePeer(r, c) }) != nil
		}
		return r.OK() && r.Phases[probe.Connect].Duration() >= synRetransmit
	}
	troubled, quick := 0, 0
	for _, r := range g.controls {
		switch {
		case isLossy(r), isSilent(r):
			troubled++
		case r.OK():
			quick++
		}
	}
	if troubled < 2 || quick == 0 {
		return nil
	}
	return first(g.controls, isLossy)
}
