package diagnose

import "netwatchd/internal/probe"

func selfSandboxed(g *groupedRound) *finding {
	if r := g.hostCheck(probe.CheckSandbox); r != nil && r.Class == probe.LocalDenied {
		return &finding{evidence: []*probe.Result{r}, advice: g.Expect.SelfSandboxAdvice}
	}
	return nil
}
