package diagnose

import (
	"netwatchd/internal/probe"
)

// This file has the rules for what works, well or not so well.

// degradedResolver also takes a resolver that rewrites NXDOMAIN while the service is reached: nothing fails, but the next
// mistyped name will look as if it were there, and an answer of this resolver no longer proves that a name exists.
func degradedResolver(v *view) *finding {
	if !v.nameResolved() || v.fails(nameFailed) != nil {
		return nil
	}
	works := v.asks(probe.FromHost, probe.ResolverAsksControl, ok)
	if r := first(v.asked, func(r *probe.Result) bool {
		return r.Vantage == probe.FromHost && r.Role != probe.ResolverAsksCanary && !r.OK() && !inexplicable(r)
	}); r != nil {
		return &finding{title: resolverTitle(v, r) + "; names still resolve", evidence: []*probe.Result{r, works, v.reached()}}
	}
	if r := first(v.excused, func(r *probe.Result) bool { return nameFailed(r) && r.Kind == probe.KindDNS }); r != nil {
		return &finding{title: resolverTitle(v, r) + "; the service is reached without it", evidence: []*probe.Result{r, v.reached()}}
	}
	canary := v.asks(probe.FromHost, probe.ResolverAsksCanary, func(r *probe.Result) bool { return r.Class == probe.DNSWrongAnswer })
	if canary != nil {
		return &finding{title: resolverName(v, canary) + " answers for names that do not exist",
			evidence: []*probe.Result{canary, v.reached()},
			advice:   "Use a nameserver that does not rewrite NXDOMAIN: mistyped names seem to exist with this one."}
	}
	if r := first(v.own, warned("dns_first_nameserver_failed")); r != nil {
		return &finding{title: "the first nameserver does not work; names still resolve", evidence: []*probe.Result{r, works}}
	}
	return nil
}

func warned(warning string) func(*probe.Result) bool {
	return func(r *probe.Result) bool { return r.OK() && warns(r, warning) }
}

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

func healthy(v *view) *finding {
	fine := v.fine()
	if fine == nil { // only the agent was run, and it is well
		fine = first(v.own, ok)
	}
	closed := first(v.twins, not(ok))
	f := &finding{evidence: []*probe.Result{fine, either(closed, first(v.twins, ok)), v.insideLook(), v.control()}}
	switch {
	case closed == nil || first(v.twins, through) != nil:
	case v.Expect.Sandbox == WantClosed:
		f.title = "unreachable from the sandbox only - as configured"
		f.advice = "Nothing is broken: give a run network access if its task needs it."
	default:
		f.title = "reachable; closed to the agent's sandbox"
	}
	return f
}

func either(a, b *probe.Result) *probe.Result {
	if a != nil {
		return a
	}
	return b
}
