package diagnose

import "netwatchd/internal/probe"

func brokenFamily(family int) func(*groupedRound) *finding {
	warning := map[int]string{4: probe.WarnIPv4Failed, 6: probe.WarnIPv6Failed}[family]
	return func(g *groupedRound) *finding {
		if f := g.deadFamily(family); f != nil {
			control := first(g.controls, func(r *probe.Result) bool { return r.OK() && familyOf(r) == family })
			return &finding{title: f.FamilyTitle(control), advice: f.FamilyAdvice(),
				evidence: []*probe.Result{f.Failed, f.Works, control, g.reachedControl()}}
		}
		if r := first(g.service, succeededWithWarning(warning)); r != nil {
			return &finding{evidence: []*probe.Result{r, g.reachedControl()}}
		}
		r := first(g.tolerated, func(r *probe.Result) bool {
			return familyOf(r) == family && g.otherFamilySuccess(r) != nil
		})
		if r == nil {
			return lostFamily(g, family)
		}
		return &finding{evidence: []*probe.Result{r, g.otherFamilySuccess(r), g.reachedControl()}}
	}
}

// lostFamily finds that no control answers over one address family although this host has a route, while the other
// family reaches both controls and the service. The service alone does not show it: its client continues with the
// other family a moment later, or never tries the second. One address is not enough: it may be filtered, or gone.
func lostFamily(g *groupedRound, family int) *finding {
	var dead, alive []*probe.Result
	for _, r := range g.controls {
		switch {
		case r.Role != probe.ControlByAddress || familyOf(r) == 0:
		case familyOf(r) != family && r.OK():
			alive = append(alive, r)
		case familyOf(r) != family:
		case r.Class != probe.TCPTimedOut && r.Class != probe.TCPAddressUnreachable:
			return nil
		default:
			dead = append(dead, r)
		}
	}
	const enough = 2
	if len(dead) < enough || len(alive) < enough || g.bestSuccess() == nil {
		return nil
	}
	return &finding{evidence: []*probe.Result{dead[0], g.bestSuccess(), alive[0]}}
}

func (g *groupedRound) otherFamilySuccess(r *probe.Result) *probe.Result {
	return first(g.service, func(other *probe.Result) bool { return other.OK() && isOtherFamily(r, other) })
}
