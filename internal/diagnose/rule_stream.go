package diagnose

import (
	"netwatchd/internal/netpath"
	"netwatchd/internal/probe"
	"netwatchd/internal/words"
)

func brokenStream(g *groupedRound) *finding {
	control := g.reachedControl()
	if control == nil {
		return nil
	}
	r := g.failure(func(r *probe.Result) bool {
		switch {
		case isInexplicable(r) || r.Phase <= probe.Resolve && r.Class != probe.ExecStreamCut:
			return false
		case isSilent(r) && g.lossyControl() != nil && !netpath.IsNear(r):
			return false // see unexplainedNetwork
		// the service began to answer the agent, and its answer was disconnected
		case r.Class == probe.ExecStreamCut && r.Kind == probe.KindExec:
			return g.bestSuccess() != nil && g.isNameResolved()
		case r.Kind != probe.KindStream:
			return false
		}
		return r.Class.Layer() == "stream" || g.isHTTPWorking() && g.isServiceFault(r)
	})
	if r == nil {
		return nil
	}
	works := first(g.service, func(r *probe.Result) bool { return r.Kind == probe.KindHTTP && r.OK() })
	return &finding{title: words.StreamTitle(r), evidence: []*probe.Result{r, works, control}}
}
