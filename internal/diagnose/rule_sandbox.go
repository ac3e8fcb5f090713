package diagnose

import (
	"netwatchd/internal/probe"
	"slices"
)

func closedSandbox(v *view) *finding {
	r := first(v.twins, v.shutOut)
	if r == nil {
		return nil
	}
	f := &finding{evidence: []*probe.Result{r, v.fine(), v.insideLook(), v.counterpart(r), v.control()}, aside: v.fine() == nil}
	switch run := r.Kind == probe.KindExec; {
	case run && f.aside:
		f.title = "the agent's run inside the sandbox is refused the network as well"
	case run:
		f.title = "the agent's run fails inside its sandbox only"
	case f.aside:
		f.title = "its sandbox refuses the network as well, though it should not"
	}
	return f
}

// shutOut reports whether twin r failed because of the sandbox: the kernel said so, or the same attempt just succeeded
// outside. What is closed as wanted counts only if the agent itself was run in there: then someone waits for its answer.
func (v *view) shutOut(r *probe.Result) bool {
	if r.OK() || inexplicable(r) || cannotStart(r) || v.otherwiseFine(r) {
		return false
	}
	if r.Kind == probe.KindExec {
		return denied(r) || lost(r) && v.counterpart(r) != nil
	}
	return v.Expect.Sandbox == WantOpen && (denied(r) || v.counterpart(r) != nil)
}

// otherwiseFine reports whether r is a lookup nobody needs in there: the same name was reached without it.
func (v *view) otherwiseFine(r *probe.Result) bool {
	return slices.ContainsFunc(v.twins, func(other *probe.Result) bool {
		return other.OK() && (sameProbe(r, other) || byName(r, other))
	})
}

// counterpart is the attempt from the host that succeeded where twin r did not: the same one if it was made, or else any
// that shows that the service is fine.
func (v *view) counterpart(r *probe.Result) *probe.Result {
	same := func(other *probe.Result) bool { return sameProbe(r, other) }
	if first(v.own, same) == nil {
		return v.fine()
	}
	if first(v.failing, same) != nil {
		return nil
	}
	return first(v.own, func(other *probe.Result) bool { return same(other) && other.OK() })
}
