package diagnose

import (
	"net/http"
	"net/netip"
	"netwatchd/internal/probe"
	"slices"
	"strconv"
)

func interception(v *view) *finding {
	if r := first(v.controls, stranger); r != nil && v.controlsMostlyWrong() {
		return &finding{title: "a captive portal or proxy answers in the place of others",
			evidence: []*probe.Result{r, v.brokenWire(), v.reached()}, aside: v.brokenWire() == nil}
	}
	if r := v.fails(func(r *probe.Result) bool { return onWire(r) && strangeCertificate(r) }); r != nil {
		return &finding{title: issuerTitle(r), evidence: []*probe.Result{r, v.control()}, advice: "If your company inspects TLS, " +
			"install its CA here and name its issuer in the configuration; if the issuer is a well-known one, update ca-certificates."}
	}
	if r := v.fails(asksSignIn); r != nil {
		return &finding{title: "someone on the way answers in its place: " + strconv.Itoa(r.Status) + " asks for a sign-in",
			evidence: []*probe.Result{r, v.control()}}
	}
	if r, other := v.impersonated(); r != nil {
		return &finding{title: "someone on the way answers TLS in the place of others: an unrelated site shows a wrong certificate as well",
			evidence: []*probe.Result{r, other, v.control()}}
	}
	if r, canary := rewritten(v); r != nil {
		return &finding{title: resolverName(v, canary) + " invents addresses, and gave one for this name",
			evidence: []*probe.Result{canary, r, v.control()}}
	}
	return nil
}

// asksSignIn reports whether r met a network's or a proxy's own request for a sign-in. No server answers so about itself
// (RFC 6585, 6; RFC 9110, 15.5.8), and no proxy is configured: that one has classes of its own.
func asksSignIn(r *probe.Result) bool {
	return onWire(r) && r.Class == probe.HTTPUnexpectedStatus &&
		(r.Status == http.StatusNetworkAuthenticationRequired || r.Status == http.StatusProxyAuthRequired)
}

// impersonated is a request that met a wrong certificate, with a control that did so too, if no control met its own.
func (v *view) impersonated() (r, control *probe.Result) {
	wrong := func(r *probe.Result) bool {
		return secure(r) && (r.Class == probe.TLSNameInvalid || r.Class == probe.TLSAuthorityInvalid || r.Class == probe.TLSUnexpectedIssuer)
	}
	r = v.fails(func(r *probe.Result) bool { return onWire(r) && wrong(r) })
	control = first(v.controls, wrong)
	right := func(c *probe.Result) bool { return secure(c) && answered(c) }
	if r == nil || control == nil || slices.ContainsFunc(v.controls, right) {
		return nil, nil
	}
	return r, control
}

// controlsMostlyWrong reports whether more controls gave an answer that is not theirs than their own. One alone may have
// changed, or have been taken over; a portal takes them all, or all but the one its makers thought of.
func (v *view) controlsMostlyWrong() bool {
	wrong, right := 0, 0
	for _, r := range v.controls {
		switch {
		case r.OK():
			right++
		case stranger(r):
			wrong++
		}
	}
	return wrong > right
}

// strangeCertificate reports whether r met a certificate that someone else made for the service's name. Inspection always
// signs with a CA of its own; a certificate that signed itself is what a server shows whose owner forgot to install one.
// Where neither name is known it counts as someone else's: that wakes nobody.
func strangeCertificate(r *probe.Result) bool {
	return r.Class == probe.TLSUnexpectedIssuer || r.Class == probe.TLSAuthorityInvalid && !selfSigned(r)
}

// rewritten is a failure at an address that is the one every made-up name gets, with the lookup that shows it. A resolver
// that rewrites NXDOMAIN is harmless for names that exist, so it takes the same address, or a stranger's answer where no
// addresses are known.
func rewritten(v *view) (failed, canary *probe.Result) {
	canary = v.asks(probe.FromHost, probe.ResolverAsksCanary, func(r *probe.Result) bool { return r.Class == probe.DNSWrongAnswer })
	failed = v.brokenWire()
	if canary == nil || failed == nil || nameFailed(failed) {
		return nil, nil
	}
	if here := v.answers(probe.FromHost); len(here) > 0 && len(canary.Answers) > 0 {
		if !slices.ContainsFunc(here, func(addr netip.Addr) bool { return slices.Contains(canary.Answers, addr.String()) }) {
			return nil, nil
		}
		return failed, canary
	}
	if stranger(failed) {
		return failed, canary
	}
	return nil, nil
}
