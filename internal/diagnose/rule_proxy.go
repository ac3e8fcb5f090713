package diagnose

import "netwatchd/internal/probe"

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
