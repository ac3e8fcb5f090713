package diagnose

import (
	"net/http"
	"net/netip"
	"netwatchd/internal/probe"
	"slices"
	"strconv"
)

func interception(g *groupedRound) *finding {
	if r := first(g.controls, isIntercepted); r != nil && g.areControlsMostlyWrong() {
		return &finding{title: "a captive portal or proxy answers in the place of others",
			evidence: []*probe.Result{r, g.firstNetworkFailure(), g.serviceReached()}, aside: g.firstNetworkFailure() == nil}
	}
	if r := g.failure(func(r *probe.Result) bool { return isNetworkProbe(r) && isForeignCertificate(r) }); r != nil {
		return &finding{title: issuerTitle(r), evidence: []*probe.Result{r, g.reachedControl()}, advice: "If your company inspects TLS, " +
			"install its CA here and name its issuer in the configuration; if the issuer is a well-known one, update ca-certificates."}
	}
	if r := g.failure(isSignInRequest); r != nil {
		return &finding{title: "someone on the way answers in its place: " + strconv.Itoa(r.Status) + " asks for a sign-in",
			evidence: []*probe.Result{r, g.reachedControl()}}
	}
	if r, other := g.impersonated(); r != nil {
		return &finding{title: "someone on the way answers TLS in the place of others: an unrelated site shows a wrong certificate as well",
			evidence: []*probe.Result{r, other, g.reachedControl()}}
	}
	if r, canary := rewrittenName(g); r != nil {
		return &finding{title: resolverName(g, canary) + " invents addresses, and gave one for this name",
			evidence: []*probe.Result{canary, r, g.reachedControl()}}
	}
	return nil
}

// asksSignIn reports whether r met a network's or a proxy's own request for a sign-in. No server answers so about itself
// (RFC 6585, 6; RFC 9110, 15.5.8), and no proxy is configured: that one has classes of its own.
func isSignInRequest(r *probe.Result) bool {
	return isNetworkProbe(r) && r.Class == probe.HTTPUnexpectedStatus &&
		(r.Status == http.StatusNetworkAuthenticationRequired || r.Status == http.StatusProxyAuthRequired)
}

// impersonated is a request that met a wrong certificate, with a control that did so too, if no control met its own.
func (g *groupedRound) impersonated() (r, control *probe.Result) {
	wrong := func(r *probe.Result) bool {
		return isTLS(r) && (r.Class == probe.TLSNameInvalid || r.Class == probe.TLSAuthorityInvalid || r.Class == probe.TLSUnexpectedIssuer)
	}
	r = g.failure(func(r *probe.Result) bool { return isNetworkProbe(r) && wrong(r) })
	control = first(g.controls, wrong)
	right := func(c *probe.Result) bool { return isTLS(c) && isAnswered(c) }
	if r == nil || control == nil || slices.ContainsFunc(g.controls, right) {
		return nil, nil
	}
	return r, control
}

// controlsMostlyWrong reports whether more controls gave an answer that is not theirs than their own. One alone may have
// changed, or have been taken over; a portal takes them all, or all but the one its makers thought of.
func (g *groupedRound) areControlsMostlyWrong() bool {
	wrong, right := 0, 0
	for _, r := range g.controls {
		switch {
		case r.OK():
			right++
		case isIntercepted(r):
			wrong++
		}
	}
	return wrong > right
}

// strangeCertificate reports whether r met a certificate that someone else made for the service's name. Inspection always
// signs with a CA of its own; a certificate that signed itself is what a server shows whose owner forgot to install one.
// Where neither name is known it counts as someone else's: that wakes nobody.
func isForeignCertificate(r *probe.Result) bool {
	return r.Class == probe.TLSUnexpectedIssuer || r.Class == probe.TLSAuthorityInvalid && !isSelfSigned(r)
}

// rewritten is a failure at an address that is the one every made-up name gets, with the lookup that shows it. A resolver
// that rewrites NXDOMAIN is harmless for names that exist, so it takes the same address, or a stranger's answer where no
// addresses are known.
func rewrittenName(g *groupedRound) (failed, canary *probe.Result) {
	canary = g.nameserver(probe.FromHost, probe.ResolverAsksCanary, func(r *probe.Result) bool { return r.Class == probe.DNSWrongAnswer })
	failed = g.firstNetworkFailure()
	if canary == nil || failed == nil || isNameFailure(failed) {
		return nil, nil
	}
	if here := g.answers(probe.FromHost); len(here) > 0 && len(canary.Answers) > 0 {
		if !slices.ContainsFunc(here, func(addr netip.Addr) bool { return slices.Contains(canary.Answers, addr.String()) }) {
			return nil, nil
		}
		return failed, canary
	}
	if isIntercepted(failed) {
		return failed, canary
	}
	return nil, nil
}
