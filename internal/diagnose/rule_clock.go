package diagnose

import (
	"slices"
	"time"

	"netwatchd/internal/outcome"
	"netwatchd/internal/probe"
)

// clockBound is how wrong the clock must be to be blamed for a certificate. Certificate authorities backdate new
// certificates by an hour to allow for wrong clocks (Let's Encrypt does), and Date counts whole seconds: with less
// than an hour of error, a certificate that looks expired has expired.
const clockBound = time.Hour

func wrongClock(g *groupedRound) *finding {
	r := g.failureOf(probe.TLSDateInvalid)
	if r == nil || !g.isClockToBlame(r) {
		return nil
	}
	skew, _ := g.clockSkew()
	dated := first(g.controls, func(r *probe.Result) bool { return !r.Date.IsZero() })
	return &finding{title: outcome.ClockTitle(skew), evidence: []*probe.Result{r, dated}}
}

// isClockToBlame reports whether r's certificate is valid by the clocks of the controls, though not by this host's.
func (g *groupedRound) isClockToBlame(r *probe.Result) bool {
	skew, known := g.clockSkew()
	if !known || skew.Abs() < clockBound {
		return false
	}
	return r.TLS == nil || r.TLS.NotAfter.IsZero() || r.Start.Add(skew).Before(r.TLS.NotAfter)
}

// clockSkew returns how far the controls' clocks are ahead of this host's. It is the median of their Date headers,
// because one of them may come from a cache.
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
