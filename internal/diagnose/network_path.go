package diagnose

import (
	"netwatchd/internal/probe"
	"time"
)

// doubtful reports whether a failure that would be the service's own may as well be the way's.
func (v *view) doubtful(r *probe.Result) bool {
	return v.alike(r) != nil || hasty(r) || silent(r) && v.lossy() != nil || v.viaUnprovenProxy(r) || forbidden(r)
}

// forbidden reports whether someone on the way said that it must not be gone.
func forbidden(r *probe.Result) bool { return warns(r, "forbidden_on_the_way") }

// sameWay is a control that was made through the same proxy as r, or without one as r, for which is holds.
func (v *view) sameWay(r *probe.Result, is func(*probe.Result) bool) *probe.Result {
	return first(v.controls, func(c *probe.Result) bool { return c.Proxy == r.Proxy && is(c) })
}

// viaUnprovenProxy reports whether r went through a proxy that passed no such control on, and nobody vouches for who answered.
func (v *view) viaUnprovenProxy(r *probe.Result) bool {
	return r.Proxy != "" && v.passedOn(r) == nil && !(secure(r) && r.Phase > probe.Handshake)
}

// passedOn is a control that r's proxy passed on, by TLS if r was to be made by TLS: that takes a tunnel, a plain request
// does not.
func (v *view) passedOn(r *probe.Result) *probe.Result {
	return v.sameWay(r, func(c *probe.Result) bool { return c.OK() && (secure(c) || !secure(r)) })
}

// alike is a control that ends by TLS just as r did, if none gets further: then it is the way for TLS that is broken, not
// the service. A tunnel that swallows large packets looks like that, since plain requests are small, and so does a
// firewall that passes port 80 alone.
func (v *view) alike(r *probe.Result) *probe.Result {
	layer := r.Class.Layer()
	if !secure(r) || layer != "tcp" && layer != "tls" {
		return nil
	}
	if v.sameWay(r, func(c *probe.Result) bool { return secure(c) && someoneThere(c) }) != nil {
		return nil
	}
	return v.sameWay(r, func(c *probe.Result) bool { return secure(c) && c.Class == r.Class })
}

// synAgain is when a SYN that got no answer is sent again (RFC 6298): a connection that stood only then has lost a packet.
const synAgain = time.Second

// lossy is a control that was reached only at the second try, or was silent to one attempt and not to another in the same
// moment, if it is not the only one with trouble while others are reached at once: then packets get lost on the way, and a
// service that is silent for once may merely have drawn the lot.
func (v *view) lossy() *probe.Result {
	again := func(r *probe.Result) bool {
		if silent(r) {
			return first(v.controls, func(c *probe.Result) bool { return c.OK() && samePeer(r, c) }) != nil
		}
		return r.OK() && r.Phases[probe.Connect].Duration() >= synAgain
	}
	troubled, quick := 0, 0
	for _, r := range v.controls {
		switch {
		case again(r), silent(r):
			troubled++
		case r.OK():
			quick++
		}
	}
	if troubled < 2 || quick == 0 {
		return nil
	}
	return first(v.controls, again)
}

// hasty reports whether r was given up before an answer could be here: it waited for less than two of the round trips of
// which connecting took one.
func hasty(r *probe.Result) bool {
	trip := r.Phases[probe.Connect]
	return silent(r) && r.Phase > probe.Connect && trip > 0 && r.Phases[r.Phase] < 2*trip
}
