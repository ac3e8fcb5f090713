package diagnose

import "netwatchd/internal/probe"

func edgeBlocked(v *view) *finding {
	r := v.failsAs(probe.HTTPEdgeBlocked, probe.HTTPRateLimited)
	if r == nil || !v.itself(r) {
		return nil
	}
	return &finding{title: edgeTitle(r), evidence: []*probe.Result{r, v.control()}}
}
