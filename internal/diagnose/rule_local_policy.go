package diagnose

import (
	"netwatchd/internal/probe"
	"slices"
)

func localPolicy(v *view) *finding {
	open := v.hostCheck(probe.CheckSandbox)
	if r := v.fails(denied); r != nil {
		return &finding{title: policyTitle(v, r), evidence: []*probe.Result{r, open, v.fine(), v.control()}}
	}
	// The service fails some other way, and whatever it could be held against is refused by this host: the same rules
	// that refuse the controls may well drop the service.
	if r := first(v.controls, denied); r != nil && v.brokenWire() != nil && !slices.ContainsFunc(v.controls, not(denied)) {
		return &finding{evidence: []*probe.Result{r, v.brokenWire(), open}}
	}
	return nil
}
