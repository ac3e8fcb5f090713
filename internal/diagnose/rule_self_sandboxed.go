package diagnose

import "netwatchd/internal/probe"

func selfSandboxed(v *view) *finding {
	if r := v.hostCheck(probe.CheckSandbox); r != nil && r.Class == probe.LocalDenied {
		return &finding{evidence: []*probe.Result{r}}
	}
	return nil
}
