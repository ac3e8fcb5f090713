package diagnose

import (
	"cmp"

	"netwatchd/internal/netpath"
	"netwatchd/internal/outcome"
	"netwatchd/internal/probe"
	"netwatchd/internal/words"
)

func degraded(g *groupedRound) *finding {
	if f := g.addressFault(func(r *probe.Result) bool {
		return g.deadFamily(familyOf(r)) == nil // see brokenFamily
	}); f != nil {
		advice := words.AdviceOneAddress
		if g.Expect.Owner == Us {
			advice = cmp.Or(g.Expect.Advice, words.AdviceOwnAddress)
		}
		return &finding{title: f.Title(), advice: advice,
			evidence: []*probe.Result{f.Failed, f.Works, g.reachedControl()}}
	}
	for _, r := range g.tolerated {
		if g.deadFamily(familyOf(r)) != nil {
			continue // see brokenFamily
		}
		isRepeat := func(other *probe.Result) bool {
			return other.OK() && (isSameProbe(r, other) || isSameEndpoint(r, other))
		}
		elsewhere := netpath.SuccessElsewhere(r, g.addresses)
		if works := cmp.Or(first(g.service, isRepeat), elsewhere, first(g.direct, isRepeat)); works != nil {
			return &finding{title: words.TitleSometimes, evidence: []*probe.Result{r, works, g.reachedControl()}}
		}
	}
	late := g.Expect.Late
	if r := first(g.service, func(r *probe.Result) bool {
		// a stream is held and a run takes long: only single answers can be late
		return r.OK() && late > 0 && (r.Kind == probe.KindDNS || r.Kind == probe.KindHTTP) && r.Elapsed.Duration() > late
	}); r != nil {
		return &finding{title: outcome.LateTitle(r, late), evidence: []*probe.Result{r, g.reachedControl()}}
	}
	if r := first(g.service, g.isCertificateEnding); r != nil {
		return &finding{title: outcome.EndingCertificateTitle(r), advice: words.AdviceEndingCertificate,
			evidence: []*probe.Result{r, g.reachedControl()}}
	}
	if r := first(g.service, succeededWithWarning(probe.WarnOutdatedTLS)); r != nil {
		return &finding{title: outcome.OutdatedTLSTitle(r), advice: words.AdviceOutdatedTLS,
			evidence: []*probe.Result{r, g.reachedControl()}}
	}
	return remarks(g)
}

// remarks lists what is odd about the settings that led requests to the service, although they got there. It is never
// the main cause: nothing is wrong yet for the programs that use the service.
func remarks(g *groupedRound) *finding {
	title, from := outcome.Remarks(g.service)
	if title == "" {
		return nil
	}
	return &finding{title: title, evidence: from, aside: true}
}

// isCertificateEnding reports whether r succeeded with a certificate that ends within the configured time.
func (g *groupedRound) isCertificateEnding(r *probe.Result) bool {
	end := r.TLS.End()
	return r.OK() && !end.IsZero() && end.Sub(r.Start) < g.Expect.CertificateLeft
}
