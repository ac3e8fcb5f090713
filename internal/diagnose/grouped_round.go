package diagnose

import (
	"cmp"
	"net/netip"
	"slices"

	"netwatchd/internal/netpath"
	"netwatchd/internal/probe"
)

// A groupedRound is a round as the rules see it: grouped, and in an order that does not depend on which attempt ended
// first.
type groupedRound struct {
	Round
	hostChecks  []*probe.Result // rung 0
	controls    []*probe.Result
	prefixes    []*probe.Result // lookups of NAT64 prefixes
	nameservers []*probe.Result // lookups at single nameservers, configured and direct
	asClient    []*probe.Result // the service's name, looked up by the rules of its client
	service     []*probe.Result // the service's probes, from the host
	addresses   []*probe.Result // the same at single addresses of the service's names
	direct      []*probe.Result // the same without the system's resolver and proxy
	sandbox     []*probe.Result // the same inside the agent's sandbox
	stubs       []*probe.Result // runs of the agent against a stub of its service

	// noEvidence holds what could not be tried, and comparisons that failed with an unknown error. They show nothing,
	// so they are in no other group: no rule sees them but the gates to Inconclusive.
	noEvidence []*probe.Result

	failing   []*probe.Result // of service: failed, and not tolerated
	tolerated []*probe.Result // of service: failed, while the same thing worked in another way
}

func group(round Round) *groupedRound {
	g := &groupedRound{Round: round}
	for i := range round.Results {
		r := &round.Results[i]
		group := g.groupOf(r)
		*group = append(*group, r)
	}
	for _, group := range [][]*probe.Result{g.hostChecks, g.controls, g.prefixes, g.nameservers, g.asClient, g.service,
		g.addresses, g.direct, g.sandbox, g.stubs, g.noEvidence} {
		if len(group) > 1 {
			slices.SortFunc(group, compareResults)
		}
	}
	for _, r := range g.service {
		switch {
		case r.OK(), g.Counted && g.isCountedOnly(r):
		case g.isIntermittent(r) && (g.repeated(r) != nil || g.tolerates(r) || g.isDroppedByChance(r)): // see intermittent
		case g.tolerates(r):
			g.tolerated = append(g.tolerated, r)
		default:
			g.failing = append(g.failing, r)
		}
	}
	return g
}

func (g *groupedRound) groupOf(r *probe.Result) *[]*probe.Result {
	switch {
	case r.Role == probe.OfHost:
		return &g.hostChecks
	case isUntried(r):
		return &g.noEvidence
	case r.Role == probe.AgentStub:
		return &g.stubs
	case isInexplicable(r) && r.Role != probe.OfService:
		return &g.noEvidence
	case isControl(r):
		return &g.controls
	case r.Role == probe.ServiceAddress:
		return &g.addresses
	case r.Role == probe.ResolvedAsClient:
		return &g.asClient
	case r.Role == probe.ResolverAsksPrefix:
		return &g.prefixes
	case r.Role != probe.OfService:
		return &g.nameservers
	case r.Vantage == probe.FromSandbox:
		return &g.sandbox
	case r.Vantage == probe.Direct:
		return &g.direct
	}
	return &g.service
}

// tolerates reports whether r failed while the same thing worked in another way in the same round: then the service is
// degraded, but not down. An unknown failure is never tolerated.
func (g *groupedRound) tolerates(r *probe.Result) bool {
	if isInexplicable(r) {
		return false
	}
	if isGlibcLookup(r) && first(g.asClient, isOK) != nil && slices.ContainsFunc(g.service, isOK) {
		return true
	}
	if slices.ContainsFunc(g.service, func(other *probe.Result) bool {
		return other.OK() &&
			(isSameProbe(r, other) || isSameEndpoint(r, other) || isUnneededLookup(r, other) || isOtherFamily(r, other))
	}) {
		return true
	}
	return netpath.SuccessElsewhere(r, g.addresses) != nil || g.isAtBrokenAddress(r) ||
		slices.ContainsFunc(g.direct, func(other *probe.Result) bool { return other.OK() && isSameAttempt(r, other) })
}

func (g *groupedRound) hostCheck(name string) *probe.Result {
	return first(g.hostChecks, func(r *probe.Result) bool { return r.Name == name && r.Vantage == probe.FromHost })
}

// sandboxCheck returns the host check made inside the sandbox: its signals tell whose sandbox it is.
func (g *groupedRound) sandboxCheck() *probe.Result {
	isInside := func(r *probe.Result) bool { return r.Name == probe.CheckSandbox && r.Vantage == probe.FromSandbox }
	return first(g.hostChecks, isInside)
}

// failedHostCheck returns the host check of that name if it found a fault.
func (g *groupedRound) failedHostCheck(name string) *probe.Result {
	if r := g.hostCheck(name); r != nil && !r.OK() && !isInexplicable(r) {
		return r
	}
	return nil
}

// failedLinkOrRoute returns the check that found that no packet can leave this host.
func (g *groupedRound) failedLinkOrRoute() *probe.Result {
	return cmp.Or(g.failedHostCheck(probe.CheckLink), g.failedHostCheck(probe.CheckRoute))
}

// reachedControl returns a control that gave its known answer in this round. Without one nothing pages.
func (g *groupedRound) reachedControl() *probe.Result { return first(g.controls, isOK) }

// hasControls reports whether controls were part of the round, tried or not.
func (g *groupedRound) hasControls() bool {
	return len(g.controls) > 0 || first(g.noEvidence, isControl) != nil
}

// nameserver returns the first lookup of that vantage and role that matches.
func (g *groupedRound) nameserver(from probe.Vantage, role probe.Role, match func(*probe.Result) bool) *probe.Result {
	return first(g.nameservers, func(r *probe.Result) bool { return r.Vantage == from && r.Role == role && match(r) })
}

// failure returns the failed probe of the service on the lowest rung, from the host, that matches.
func (g *groupedRound) failure(match func(*probe.Result) bool) *probe.Result {
	return first(g.failing, match)
}

func (g *groupedRound) failureOf(classes ...probe.Class) *probe.Result {
	return g.failure(func(r *probe.Result) bool { return isNetworkProbe(r) && slices.Contains(classes, r.Class) })
}

// untriedProbe returns a probe of the service that could not be tried from the host and matches.
func (g *groupedRound) untriedProbe(match func(*probe.Result) bool) *probe.Result {
	return first(g.noEvidence, func(r *probe.Result) bool {
		return r.Role == probe.OfService && r.Vantage == probe.FromHost && match(r)
	})
}

// shortage returns an attempt for which this host had no descriptors, sockets or memory left.
func (g *groupedRound) shortage() *probe.Result {
	return first(g.noEvidence, func(r *probe.Result) bool { return r.Class == probe.LocalResources })
}

// firstNetworkFailure returns the failed network probe on the lowest rung: a run of the agent does not count.
func (g *groupedRound) firstNetworkFailure() *probe.Result { return g.failure(isNetworkProbe) }

// firstFarFailure is firstNetworkFailure without the probes whose peer is this host or on its link.
func (g *groupedRound) firstFarFailure() *probe.Result {
	return g.failure(func(r *probe.Result) bool { return isNetworkProbe(r) && !netpath.IsNear(r) })
}

// serviceReached returns an attempt from the host that shows that the service can be reached. A lookup shows it only
// if nothing but lookups is configured: a cache answers on a host that is offline.
func (g *groupedRound) serviceReached() *probe.Result {
	if r := first(g.service, func(r *probe.Result) bool { return r.Kind != probe.KindDNS && isAnswered(r) }); r != nil {
		return r
	}
	if slices.ContainsFunc(g.service, func(r *probe.Result) bool {
		return r.Kind != probe.KindDNS && r.Kind != probe.KindStatus
	}) {
		return nil
	}
	return first(g.service, func(r *probe.Result) bool { return r.OK() && r.Kind == probe.KindDNS })
}

// working returns a probe of the service, from the host, that succeeded. The agent's report about itself is not one:
// the service may be down.
func (g *groupedRound) working() *probe.Result {
	return first(g.service, func(r *probe.Result) bool { return r.OK() && r.Kind != probe.KindStatus })
}

// bestSuccess returns the attempt that shows best that the service is healthy from the host, if no network probe
// fails or is left untried.
func (g *groupedRound) bestSuccess() *probe.Result {
	if g.firstNetworkFailure() != nil || g.untriedProbe(isNetworkProbe) != nil {
		return nil
	}
	for _, kind := range []probe.Kind{probe.KindHTTP, probe.KindStream, probe.KindDNS} {
		matches := func(r *probe.Result) bool { return r.Kind == kind && r.OK() }
		if r := cmp.Or(first(g.service, matches), first(g.addresses, matches)); r != nil {
			return r
		}
	}
	return nil
}

// isNameResolved reports whether the service's name resolved on this host in this round.
func (g *groupedRound) isNameResolved() bool {
	return slices.ContainsFunc(g.service, func(r *probe.Result) bool {
		return r.Phase > probe.Resolve && isNetworkProbe(r) && r.Kind != probe.KindDNS || r.Kind == probe.KindDNS && r.OK()
	})
}

// resolvedControlName returns an attempt that shows that names other than the service's resolve on this host.
func (g *groupedRound) resolvedControlName() *probe.Result {
	if r := g.nameserver(probe.FromHost, probe.ResolverAsksControl, isOK); r != nil {
		return r
	}
	return first(g.controls, func(r *probe.Result) bool {
		return r.Role == probe.ControlByName && (r.OK() || r.Phase > probe.Resolve)
	})
}

// resolvesWithout reports whether this host resolved by a nameserver what the failed lookup r asked for: the service's
// name, or any. A service on this host or behind a proxy can be reached although no name resolves.
func (g *groupedRound) resolvesWithout(r *probe.Result) bool {
	isByNameserver := func(r *probe.Result) bool {
		_, err := netip.ParseAddr(hostOf(r))
		isNamed := r.Kind == probe.KindDNS || err != nil && r.Role != probe.ControlByAddress
		return isNamed && isNetworkProbe(r) && r.Proxy == "" && (r.OK() || r.Phase > probe.Resolve) &&
			!fromHostsFile(r) && !netpath.IsOwn(r)
	}
	return g.nameserver(probe.FromHost, r.Role, isOK) != nil || first(g.service, isByNameserver) != nil ||
		r.Role != probe.ResolverAsksService && first(g.controls, isByNameserver) != nil
}

// isAuthenticated reports whether the service itself answered r: its certificate was verified, or a control shows that
// nothing intercepts traffic.
func (g *groupedRound) isAuthenticated(r *probe.Result) bool {
	return g.reachedControl() != nil || isTLS(r)
}

// isHTTPWorking reports whether plain requests reach the service and are answered, as expected or not.
func (g *groupedRound) isHTTPWorking() bool {
	isHTTP := func(r *probe.Result) bool { return r.Kind == probe.KindHTTP }
	return first(g.service, func(r *probe.Result) bool { return isHTTP(r) && isAnswered(r) }) != nil &&
		g.failure(func(r *probe.Result) bool { return isHTTP(r) && (g.isServiceFault(r) || !isAnswered(r)) }) == nil
}

func first(rs []*probe.Result, match func(*probe.Result) bool) *probe.Result {
	if i := slices.IndexFunc(rs, match); i >= 0 {
		return rs[i]
	}
	return nil
}

func not(match func(*probe.Result) bool) func(*probe.Result) bool {
	return func(r *probe.Result) bool { return !match(r) }
}
