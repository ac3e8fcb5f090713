package diagnose

import (
	"cmp"
	"slices"

	"netwatchd/internal/netpath"
	"netwatchd/internal/outcome"
	"netwatchd/internal/probe"
	"netwatchd/internal/words"
)

func degraded(g *groupedRound) *finding {
	if f := intermittent(g); f != nil {
		return f
	}
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
		works := cmp.Or(first(g.service, isRepeat), elsewhere, first(g.direct, isRepeat))
		if works != nil && !g.Counted {
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

// intermittent finds that attempts of a probe failed again and again while others succeeded. The failure in the
// evidence is one of an earlier round: no round has more than a part of this fault.
func intermittent(g *groupedRound) *finding {
	if len(g.Intermittent) == 0 {
		return nil
	}
	byShare := func(a, b Intermittent) int { return cmp.Compare(a.Failed*b.Of, b.Failed*a.Of) }
	worst := slices.MaxFunc(g.Intermittent, byShare)
	return &finding{title: words.IntermittentTitle(&worst.Last, worst.Failed, worst.Of), advice: words.AdviceIntermittent,
		evidence: []*probe.Result{&worst.Last, g.repeated(&worst.Last), g.reachedControl()}}
}

// repeated returns an attempt of r's probe that succeeded in this round.
func (g *groupedRound) repeated(r *probe.Result) *probe.Result {
	return first(g.service, func(other *probe.Result) bool { return other.OK() && isSameProbe(r, other) })
}

// isCountedOnly reports whether r failed and another attempt of its probe succeeded in this round, in the same way.
// Once that shows nothing: see intermittent.
func (g *groupedRound) isCountedOnly(r *probe.Result) bool {
	return !isInexplicable(r) && slices.ContainsFunc(g.service, func(other *probe.Result) bool {
		return other.OK() && isSameProbe(r, other) && !isOtherFamily(r, other)
	})
}

// dropsInARow is how many times in a row a stream that is dropped now and then must be dropped before that is more than
// chance. Of one that is dropped every fifth time, held every five minutes, five in a row are dropped every two months.
const dropsInARow = 5

// isDroppedByChance reports whether r is a drop of a stream that was dropped now and then before, and held in between.
// A round holds no stream, so nothing in it tells this drop from others.
func (g *groupedRound) isDroppedByChance(r *probe.Result) bool {
	return r.Kind == probe.KindStream && r.Phase >= probe.Streaming && slices.ContainsFunc(g.Intermittent,
		func(i Intermittent) bool { return isSameProbe(&i.Last, r) && i.Row < dropsInARow })
}

// isIntermittent reports whether r is an attempt of a probe that fails and succeeds by turns.
func (g *groupedRound) isIntermittent(r *probe.Result) bool {
	return slices.ContainsFunc(g.Intermittent, func(i Intermittent) bool { return isSameProbe(&i.Last, r) })
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
