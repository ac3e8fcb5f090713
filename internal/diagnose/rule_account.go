package diagnose

import (
	"netwatchd/internal/outcome"
	"netwatchd/internal/probe"
	"netwatchd/internal/words"
)

func account(g *groupedRound) *finding {
	r := g.failure(isOfAccount)
	if r == nil {
		r = first(g.sandbox, isOfAccount) // the account is the same in the sandbox, and the answer came from the service
	}
	if r == nil {
		return nil
	}
	return &finding{title: outcome.OfAccount(r), advice: words.AccountAdvice(r),
		evidence: []*probe.Result{r, g.bestSuccess()}}
}
