package diagnose

import (
	"netwatchd/internal/probe"
	"slices"
	"time"
)

// clockBound is how far the clock must be off before it is blamed for a certificate. Authorities date new certificates an
// hour back for the sake of wrong clocks (Let's Encrypt does), and Date counts whole seconds: below an hour a certificate
// that looks out of date is one.
const clockBound = time.Hour

func wrongClock(g *groupedRound) *finding {
	r := g.failureOf(probe.TLSDateInvalid)
	if r == nil || !g.isClockToBlame(r) {
		return nil
	}
	skew, _ := g.clockSkew()
	dated := first(g.controls, func(r *probe.Result) bool { return !r.Date.IsZero() })
	return &finding{title: clockTitle(skew), evidence: []*probe.Result{r, dated, g.hostCheck("clock")}}
}

// misdated reports whether r's certificate is in date by the clocks of the others.
func (g *groupedRound) isClockToBlame(r *probe.Result) bool {
	skew, known := g.clockSkew()
	if !known || skew.Abs() < clockBound {
		return false
	}
	return r.TLS == nil || r.TLS.NotAfter.IsZero() || r.Start.Add(skew).Before(r.TLS.NotAfter)
}

// skew is how far the others' clocks are ahead of this host's, by the median of the controls' Date headers; one of them
// may come from a cache.
func (g *groupedRound) clockSkew() (time.Duration, bool) {
	var skews []time.Duration
	for _, r := range g.controls {
		if !r.Date.IsZero() && !r.Start.IsZero() {
			skews = append(skews, r.Date.Sub(r.Start))
		}
	}
	if len(skews) == 0 {
		return 0, false
	}
	slices.Sort(skews)
	return skews[len(skews)/2], true
}
