package diagnose

import "netwatchd/internal/probe"

func brokenFamily(family int) func(*view) *finding {
	warning := map[int]string{4: "ipv4_failed", 6: "ipv6_failed"}[family]
	return func(v *view) *finding {
		if r := first(v.own, warned(warning)); r != nil {
			return &finding{evidence: []*probe.Result{r, v.control()}}
		}
		r := first(v.excused, func(r *probe.Result) bool {
			return familyOf(r) == family && v.worksOverOther(r) != nil
		})
		if r == nil {
			return lostFamily(v, family)
		}
		return &finding{evidence: []*probe.Result{r, v.worksOverOther(r), v.control()}}
	}
}

// lostFamily is the finding that no control answers over a family although this host has a route, while the other one
// reaches both controls and the service. The service alone does not show it: its client goes on with the other family a
// moment later, or never tries the one that comes second. One address is not enough: it may be filtered, or gone.
func lostFamily(v *view, family int) *finding {
	var dead, alive []*probe.Result
	for _, r := range v.controls {
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
	if len(dead) < enough || len(alive) < enough || v.fine() == nil {
		return nil
	}
	return &finding{evidence: []*probe.Result{dead[0], v.fine(), alive[0]}}
}

func (v *view) worksOverOther(r *probe.Result) *probe.Result {
	return first(v.own, func(other *probe.Result) bool { return other.OK() && otherFamily(r, other) })
}
