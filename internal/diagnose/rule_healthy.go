package diagnose

import (
	"cmp"

	"netwatchd/internal/probe"
	"netwatchd/internal/words"
)

func healthy(g *groupedRound) *finding {
	success := g.bestSuccess()
	if success == nil { // only the agent was run, and it succeeded
		success = g.working()
	}
	closed := first(g.sandbox, not(isOK))
	f := &finding{evidence: []*probe.Result{success, cmp.Or(closed, first(g.sandbox, isOK)), g.sandboxCheck(),
		g.reachedControl()}}
	switch {
	case closed == nil || first(g.sandbox, escapedSandbox) != nil:
	case g.Expect.Sandbox == WantClosed:
		f.note, f.advice = words.NoteClosedAsWanted, words.AdviceClosedAsWanted
	default:
		f.note = words.NoteClosed
	}
	return f
}
