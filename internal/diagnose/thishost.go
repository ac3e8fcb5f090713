package diagnose

import (
	"slices"
	"time"

	"netwatchd/internal/probe"
)

// This file has the rules for what is the fault of this host, or of the network it is in.

func selfSandboxed(v *view) *finding {
	if r := v.hostCheck(probe.CheckSandbox); r != nil && r.Class == probe.LocalDenied {
		return &finding{evidence: []*probe.Result{r}}
	}
	return nil
}

func denied(r *probe.Result) bool { return r.Class == probe.LocalDenied }

func localPolicy(v *view) *finding {
	open := v.hostCheck(probe.CheckSandbox)
	if r := v.fails(denied); r != nil {
		return &finding{title: policyTitle(v, r), evidence: []*probe.Result{r, open, v.fine(), v.control()}}
	}
	// The service fails some other way, and whatever it could be held against is refused by this host: the same rules
	// that refuse the controls may well drop the service.
	if r := first(v.controls, denied); r != nil && v.brokenWire() != nil && !slices.ContainsFunc(v.controls, not(denied)) {
		return &finding{evidence: []*probe.Result{r, v.brokenWire(), open}}
	}
	return nil
}

func not(is func(*probe.Result) bool) func(*probe.Result) bool {
	return func(r *probe.Result) bool { return !is(r) }
}

func hostOffline(v *view) *finding {
	broken := v.brokenWire()
	if broken == nil {
		return nil
	}
	if r := v.fails(routeless); r != nil && r.Phase > probe.Resolve && v.control() != nil && v.missesFamily() == 0 {
		return &finding{title: "this host has no route to the service, though it reaches others",
			evidence: []*probe.Result{r, v.hostCheck(probe.CheckRoute), v.control()}}
	}
	if v.reached() != nil || v.control() != nil {
		return nil
	}
	for _, check := range []string{probe.CheckLink, probe.CheckRoute} {
		if r := v.hostFault(check); r != nil {
			return &finding{title: offlineTitle(v, r), evidence: []*probe.Result{r, broken, first(v.controls, not(ok))}}
		}
	}
	if r := v.fails(routeless); r != nil && v.missesFamily() == 0 {
		return &finding{title: offlineTitle(v, r), evidence: []*probe.Result{r, v.hostCheck(probe.CheckRoute), first(v.controls, not(ok))}}
	}
	if f := nothingOutside(v, broken); f != nil {
		return f
	}
	return webClosed(v)
}

// routeless reports whether r could not even be sent.
func routeless(r *probe.Result) bool {
	return onWire(r) && (r.Class == probe.LocalNoRoute || r.Class == probe.LocalNoInterface)
}

// nothingOutside is the finding that no one outside answers: no control, no public resolver, not the service. How they
// fail does not matter, except that a proxy or a policy in between would be the nearer cause. Where only names were tried
// at the controls it takes a public resolver's silence to tell being offline from having no resolver.
func nothingOutside(v *view, broken *probe.Result) *finding {
	silent := first(v.controls, not(ok))
	direct := v.asks(probe.Direct, probe.ResolverAsksControl, not(ok))
	if direct == nil {
		direct = v.asks(probe.Direct, probe.ResolverAsksService, not(ok))
	}
	byAddress := slices.ContainsFunc(v.controls, func(r *probe.Result) bool {
		return r.Role == probe.ControlByAddress || r.Phase > probe.Resolve
	})
	switch {
	case silent == nil, slices.ContainsFunc(v.controls, someoneThere), slices.ContainsFunc(v.past, answered),
		!byAddress && direct == nil, v.fails(viaProxy) != nil,
		v.asks(probe.Direct, probe.ResolverAsksControl, spoke) != nil,
		v.asks(probe.Direct, probe.ResolverAsksService, spoke) != nil:
		return nil
	}
	if r := first(v.controls, func(r *probe.Result) bool { return r.Role == probe.ControlByAddress }); r != nil {
		silent = r
	}
	return &finding{title: "this host is offline: nothing outside answers, neither controls nor public resolvers",
		evidence: []*probe.Result{silent, broken, direct, v.hostCheck(probe.CheckRoute)}}
}

// webClosed is the finding that the network lets lookups pass and no connection: of the controls, unrelated to each other
// and to the service, all end as it does before anyone could speak. One control alone may be down by itself.
func webClosed(v *view) *finding {
	r := v.fails(func(r *probe.Result) bool { return onWire(r) && r.Class.Layer() == "tcp" && r.Phase == probe.Connect })
	if r == nil {
		return nil
	}
	alike := func(c *probe.Result) bool { return c.Class == r.Class && c.Phase == probe.Connect }
	one := first(v.controls, alike)
	if one == nil || slices.ContainsFunc(v.controls, func(c *probe.Result) bool { return !alike(c) && !routeless(c) }) {
		return nil
	}
	another := first(v.controls, func(c *probe.Result) bool { return alike(c) && hostOf(c) != hostOf(one) })
	if another == nil {
		return nil
	}
	return &finding{title: "this network lets no connection out: unrelated sites fail alike, though names resolve",
		evidence: []*probe.Result{one, another, r, v.hostCheck(probe.CheckRoute)},
		advice:   "Sign in to the network if it wants that, or find out which proxy or VPN it wants: ask for its rules on ports 80 and 443."}
}

// someoneThere reports whether someone at the other end of r answered, be it a stranger. A nameserver's no is not counted:
// a stub on this very host says SERVFAIL when it is offline.
func someoneThere(r *probe.Result) bool { return answered(r) || stranger(r) }

// spoke reports whether the nameserver asked in r answered, be it with a no.
func spoke(r *probe.Result) bool {
	return r.OK() || gone(r) || r.Class == probe.DNSRefused || r.Class == probe.DNSWrongAnswer
}

func viaProxy(r *probe.Result) bool { return r.Class.Layer() == "proxy" }

func deadProxy(v *view) *finding {
	past := first(v.past, ok)
	if r := v.fails(func(r *probe.Result) bool { return viaProxy(r) && v.reported(r) == nil }); r != nil {
		return &finding{title: proxyTitle(v, r), evidence: []*probe.Result{r, past, v.sameWay(r, ok), v.control()}}
	}
	// It says that the connection stands, and whoever speaks at the other end is nobody's server.
	r := v.fails(func(r *probe.Result) bool { return r.Proxy != "" && secure(r) && r.Class.Layer() == "tls" })
	if r == nil || v.passedOn(r) != nil {
		return nil
	}
	if other := v.sameWay(r, func(c *probe.Result) bool { return secure(c) && !c.OK() || stranger(c) }); other != nil || past != nil {
		return &finding{title: "the proxy " + r.Proxy + " takes connections and does not pass them on",
			evidence: []*probe.Result{r, other, past, v.control()}}
	}
	return nil
}

// reported is a request past the proxy, if it shows that the proxy only reports what is so: it passes others on, and past
// it the service is out of reach as well, while others are reached.
func (v *view) reported(r *probe.Result) *probe.Result {
	if !warns(r, "proxy_got_nowhere") || v.passedOn(r) == nil || v.directBySecure() == nil {
		return nil
	}
	return first(v.past, func(p *probe.Result) bool { return authority(p) == authority(r) && v.serviceFault(p) && !v.doubtful(p) })
}

// directBySecure is a control that was reached by TLS and without a proxy.
func (v *view) directBySecure() *probe.Result {
	return first(v.controls, func(c *probe.Result) bool { return c.OK() && c.Proxy == "" && secure(c) })
}

// clockBound is how far the clock must be off before it is blamed for a certificate. Authorities date new certificates an
// hour back for the sake of wrong clocks (Let's Encrypt does), and Date counts whole seconds: below an hour a certificate
// that looks out of date is one.
const clockBound = time.Hour

func wrongClock(v *view) *finding {
	r := v.failsAs(probe.TLSDateInvalid)
	if r == nil || !v.misdated(r) {
		return nil
	}
	skew, _ := v.skew()
	dated := first(v.controls, func(r *probe.Result) bool { return !r.Date.IsZero() })
	return &finding{title: clockTitle(skew), evidence: []*probe.Result{r, dated, v.hostCheck("clock")}}
}

// misdated reports whether r's certificate is in date by the clocks of the others.
func (v *view) misdated(r *probe.Result) bool {
	skew, known := v.skew()
	if !known || skew.Abs() < clockBound {
		return false
	}
	return r.TLS == nil || r.TLS.NotAfter.IsZero() || r.Start.Add(skew).Before(r.TLS.NotAfter)
}
