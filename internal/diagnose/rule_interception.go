package diagnose

import (
	"cmp"
	"net/netip"
	"slices"

	"netwatchd/internal/netpath"
	"netwatchd/internal/outcome"
	"netwatchd/internal/probe"
	"netwatchd/internal/words"
)

func interception(g *groupedRound) *finding {
	if r := first(g.controls, isForeignAnswer); r != nil && g.areControlsMostlyWrong() {
		return &finding{title: words.TitlePortal, aside: !g.isBehindPortal(r),
			evidence: []*probe.Result{r, g.firstNetworkFailure(), g.serviceReached()}}
	}
	isForeign := func(r *probe.Result) bool { return isNetworkProbe(r) && outcome.IsForeignCertificate(r) }
	if r := g.failure(isForeign); r != nil {
		return &finding{advice: cmp.Or(outcome.IssuerAdvice(r, g.Expect.Client), words.IssuerAdvice(r)),
			title: outcome.Issuer(r, g.reachedDirectly(r) != nil), note: outcome.Notes(r),
			evidence: []*probe.Result{r, g.reachedDirectly(r), g.reachedControl()}}
	}
	if r := g.failure(isSignInRequest); r != nil {
		return &finding{title: outcome.SignInTitle(r), evidence: []*probe.Result{r, g.reachedControl()}}
	}
	if r, other := g.impersonated(); r != nil {
		return &finding{title: words.TitleTLSIntercepted, evidence: []*probe.Result{r, other, g.reachedControl()}}
	}
	if r, canary := rewrittenName(g); r != nil {
		return &finding{title: rewrittenNameTitle(g, canary), evidence: []*probe.Result{canary, r, g.reachedControl()}}
	}
	return removedSignIn(g)
}

// isBehindPortal reports whether a network probe of the service fails beyond the portal that answered control. A
// service on this host or on its link is not beyond a portal, except if the portal is on this host too, as in the demo.
func (g *groupedRound) isBehindPortal(control *probe.Result) bool {
	return g.firstFarFailure() != nil || netpath.IsOwn(control) && g.firstNetworkFailure() != nil
}

// removedSignIn finds that the service received no sign-in from the agent, which has one: something on the network
// path removes it, as TLS inspection with a list of allowed headers does (openai/codex#12764). The prober has ruled
// out an agent that sends none. Other requests from this host must be answered: else their failure is the nearer one.
func removedSignIn(g *groupedRound) *finding {
	match := func(r *probe.Result) bool { return r.Class == probe.ExecSignInMissing }
	r := g.failure(match)
	if r == nil {
		r = first(g.sandbox, match)
	}
	if r == nil || g.firstNetworkFailure() != nil || g.untriedProbe(isNetworkProbe) != nil {
		return nil
	}
	secured := first(g.service, func(r *probe.Result) bool { return r.OK() && r.TLS != nil && r.TLS.Issuer != "" })
	return &finding{title: words.TitleSignInRemoved, note: words.IssuerNote(secured), advice: words.AdviceSignInRemoved,
		evidence: []*probe.Result{r, cmp.Or(secured, g.bestSuccess()), g.reachedControl()}}
}

// impersonated returns a request that got a wrong certificate, and a control that did too, unless any control got its
// own.
func (g *groupedRound) impersonated() (r, control *probe.Result) {
	wrong := func(r *probe.Result) bool {
		return isTLS(r) &&
			(r.Class == probe.TLSNameInvalid || r.Class == probe.TLSAuthorityInvalid || r.Class == probe.TLSUnexpectedIssuer)
	}
	r = g.failure(func(r *probe.Result) bool { return isNetworkProbe(r) && !netpath.IsNear(r) && wrong(r) })
	control = first(g.controls, wrong)
	right := func(c *probe.Result) bool { return isTLS(c) && isAnswered(c) }
	if r == nil || control == nil || slices.ContainsFunc(g.controls, right) {
		return nil, nil
	}
	return r, control
}

// areControlsMostlyWrong reports whether more controls got an unexpected answer than the expected one. A single
// control may have changed; a portal answers for all of them, or for all but the one that its makers let through.
func (g *groupedRound) areControlsMostlyWrong() bool {
	wrong, right := 0, 0
	for _, r := range g.controls {
		switch {
		case r.OK():
			right++
		case isForeignAnswer(r):
			wrong++
		}
	}
	return wrong > right
}

// rewrittenName returns a failure at the address that every made-up name gets, and the lookup that shows it. A
// resolver that rewrites NXDOMAIN is harmless for names that exist, so the address must be the same, or if no
// addresses are known, the answer must be someone else's.
func rewrittenName(g *groupedRound) (failed, canary *probe.Result) {
	canary = g.nameserver(probe.FromHost, probe.ResolverAsksCanary,
		func(r *probe.Result) bool { return r.Class == probe.DNSWrongAnswer })
	failed = g.firstFarFailure()
	if canary == nil || failed == nil || isNameFailure(failed) {
		return nil, nil
	}
	if here := g.answers(probe.FromHost); len(here) > 0 && len(canary.Answers) > 0 {
		if !slices.ContainsFunc(here, func(addr netip.Addr) bool { return slices.Contains(canary.Answers, addr.String()) }) {
			return nil, nil
		}
		return failed, canary
	}
	if isForeignAnswer(failed) {
		return failed, canary
	}
	return nil, nil
}
