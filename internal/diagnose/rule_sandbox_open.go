package diagnose

import (
	"netwatchd/internal/probe"
)

func openSandbox(g *groupedRound) *finding {
	if g.Expect.Sandbox != WantClosed {
		return nil
	}
	r := first(g.sandbox, escapedSandbox)
	if r == nil {
		return nil
	}
	return &finding{evidence: []*probe.Result{r, g.bestSuccess(), g.sandboxCheck()},
		advice: g.Expect.SandboxAdvice}
}
