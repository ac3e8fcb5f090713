package diagnose

import "netwatchd/internal/probe"

func degraded(v *view) *finding {
	for _, r := range v.excused {
		again := func(other *probe.Result) bool { return other.OK() && (sameProbe(r, other) || sameDoor(r, other)) }
		if works := either(first(v.own, again), first(v.past, again)); works != nil {
			return &finding{title: "not always reachable: of attempts at one moment some fail",
				evidence: []*probe.Result{r, works, v.control()}}
		}
	}
	late := v.Expect.Late
	if r := first(v.own, func(r *probe.Result) bool {
		// a stream is held and a run takes its time: only single answers can be late
		return r.OK() && late > 0 && (r.Kind == probe.KindDNS || r.Kind == probe.KindHTTP) && r.Elapsed.Duration() > late
	}); r != nil {
		return &finding{title: lateTitle(r, late), evidence: []*probe.Result{r, v.control()}}
	}
	return nil
}
