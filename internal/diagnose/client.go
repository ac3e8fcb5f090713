package diagnose

import (
	"netwatchd/internal/probe"
)

// isGlibcLookup reports whether r, a failed lookup of the service's name, was made as glibc and Go make it. A wrong
// answer is left out: the probe checks the answer itself.
func isGlibcLookup(r *probe.Result) bool {
	return r.Kind == probe.KindDNS && r.Class != probe.DNSWrongAnswer && isNameFailure(r)
}

// clientFailure returns the lookup by the rules of the service's client, if that one alone fails: netwatchd's own
// lookups, which forgive what glibc forgives, find the name in the same round.
func (g *groupedRound) clientFailure() *probe.Result {
	r := first(g.asClient, isNameFailure)
	if r == nil || g.failure(func(r *probe.Result) bool { return isNameFailure(r) && !isHalfResolved(r) }) != nil ||
		!g.isNameResolved() && first(g.service, isHalfResolved) == nil {
		return nil
	}
	needless := func(other *probe.Result) bool {
		// A proxy resolves the name. And a request that only the client's own lookup could resolve shows that this
		// lookup works: a lost packet explains r.
		return other.Proxy != "" || hasWarning(other, probe.WarnOnlyByClient)
	}
	if first(g.service, needless) != nil {
		return nil
	}
	return r
}

// isHalfResolved reports whether r is a lookup that found addresses of one family, and failed for the other.
func isHalfResolved(r *probe.Result) bool {
	return isGlibcLookup(r) && len(r.Answers) > 0
}

// strictClient finds that the programs that use the service cannot resolve its name, because their resolver does not
// forgive what others do.
func strictClient(g *groupedRound) *finding {
	r := g.clientFailure()
	if r == nil {
		return nil
	}
	resolved := g.nameserver(probe.FromHost, probe.ResolverAsksService, isOK)
	return &finding{title: strictClientTitle(g, r), advice: strictClientAdvice(g, r),
		evidence: []*probe.Result{r, g.serviceReached(), resolved, g.reachedControl()},
		// what fails for everyone comes first: it may page
		aside: g.failure(func(r *probe.Result) bool { return isNetworkProbe(r) && !isHalfResolved(r) }) != nil}
}

// otherFirst returns a configured nameserver that resolves the name in less time than r, a lookup at another one, took
// to fail. Programs linked with musl take that answer.
func (g *groupedRound) otherFirst(r *probe.Result) *probe.Result {
	return g.nameserver(probe.FromHost, probe.ResolverAsksService, func(other *probe.Result) bool {
		return other.OK() && other.Server != r.Server && other.Elapsed < r.Elapsed
	})
}
