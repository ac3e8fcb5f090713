package diagnose

import (
	"cmp"

	"netwatchd/internal/netpath"
	"netwatchd/internal/probe"
)

// brokenPath finds a sign that the network path to the service is broken, so that the service may be healthy. Other
// sites must be reached: otherwise this host is offline. A stream counts only if plain requests fail too: see
// brokenStream.
func brokenPath(g *groupedRound) *finding {
	if g.reachedControl() == nil {
		return nil
	}
	var broken *netpath.Break
	g.failure(func(r *probe.Result) bool {
		request := r.Kind == probe.KindHTTP || r.Kind == probe.KindStream && !g.isHTTPWorking()
		if request && r.Proxy == "" && r.Phase > probe.Resolve && !netpath.IsNear(r) {
			broken = cmp.Or(netpath.Rejected(r), netpath.DeadTranslator(r, g.prefixes, g.controls),
				netpath.DeadTunnel(r, g.controls), netpath.LostBySize(r, g.addresses))
		}
		return broken != nil
	})
	if broken == nil {
		return nil
	}
	return &finding{title: broken.Title, advice: broken.Advice, evidence: append(broken.Evidence, g.reachedControl())}
}
