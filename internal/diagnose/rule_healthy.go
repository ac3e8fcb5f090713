package diagnose

import "netwatchd/internal/probe"

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
