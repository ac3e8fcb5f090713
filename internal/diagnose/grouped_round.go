package diagnose

import (
	"cmp"
	"netwatchd/internal/probe"
	"slices"
)

// A view is a round as the rules look at it: grouped, and in an order that does not depend on who finished first.
type groupedRound struct {
	Round
	hostChecks  []*probe.Result // rung 0
	controls    []*probe.Result
	nameservers []*probe.Result // single nameservers, configured and direct
	service     []*probe.Result // the service's probes, from the host
	direct      []*probe.Result // the same past the system's resolver or proxy
	sandbox     []*probe.Result // the same inside the agent's sandbox

	failing   []*probe.Result // of own, those nothing excuses
	tolerated []*probe.Result // of own, those that failed while the same thing worked another way
}

func group(round Round) *groupedRound {
	g := &groupedRound{Round: round}
	for i := range round.Results {
		r := &round.Results[i]
		group := g.groupOf(r)
		*group = append(*group, r)
	}
	for _, group := range [][]*probe.Result{g.hostChecks, g.controls, g.nameservers, g.service, g.direct, g.sandbox} {
		if len(group) > 1 {
			slices.SortFunc(group, compareResults)
		}
	}
	for _, r := range g.service {
		switch {
		case r.OK():
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
	case r.Role == probe.ControlByName || r.Role == probe.ControlByAddress:
		return &g.controls
	case r.Role != probe.OfService:
		return &g.nameservers
	case r.Vantage == probe.FromSandbox:
		return &g.sandbox
	case r.Vantage == probe.Direct:
		return &g.direct
	}
	return &g.service
}

// inOrder sorts by rung, then by everything two results could differ in that a verdict shows.
func compareResults(a, b *probe.Result) int {
	return cmp.Or(
		cmp.Compare(rung(a), rung(b)), cmp.Compare(a.Role, b.Role), cmp.Compare(a.Vantage, b.Vantage),
		cmp.Compare(a.Name, b.Name), cmp.Compare(a.Server, b.Server), cmp.Compare(a.Target, b.Target),
		a.Start.Compare(b.Start), cmp.Compare(a.Class, b.Class), cmp.Compare(a.Phase, b.Phase),
		cmp.Compare(a.Peer, b.Peer), cmp.Compare(a.Elapsed, b.Elapsed), cmp.Compare(a.Why, b.Why),
		slices.Compare(a.Answers, b.Answers))
}

// rung is the step of the ladder an attempt stands on.
func rung(r *probe.Result) int {
	switch {
	case r.Role == probe.OfHost:
		return 0
	case r.Role == probe.ControlByName || r.Role == probe.ControlByAddress:
		return 2
	case r.Role != probe.OfService || r.Kind == probe.KindDNS:
		return 1
	case r.Kind == probe.KindHTTP:
		return 3
	case r.Kind == probe.KindStream:
		return 5
	case r.Kind == probe.KindExec:
		return 6
	}
	return 0
}

// excuses reports whether r failed while the same thing worked another way in the same round: then it degrades the
// service, but it does not take it away. What is unknown has no excuse.
func (g *groupedRound) tolerates(r *probe.Result) bool {
	if isInexplicable(r) {
		return false
	}
	if slices.ContainsFunc(g.service, func(other *probe.Result) bool {
		return other.OK() && (isSameProbe(r, other) || isSameEndpoint(r, other) || isUnneededLookup(r, other) || isOtherFamily(r, other))
	}) {
		return true
	}
	return slices.ContainsFunc(g.direct, func(other *probe.Result) bool { return other.OK() && isSameAttempt(r, other) })
}

func isSameProbe(r, other *probe.Result) bool { return r.Name == other.Name && r.Kind == other.Kind }

// sameAttempt reports whether other, past the system's resolver and proxy, was made at the same addresses as r by the same
// way after all: then it is one more attempt of the same kind.
func isSameAttempt(r, other *probe.Result) bool {
	return isSameProbe(r, other) && r.Proxy == "" && r.Phase > probe.Resolve && r.Class.Layer() != "local" && overlaps(addresses(r), addresses(other))
}

// sameDoor reports whether r is a stream whose connection did not come about where other's did. Until both have connected
// nobody on the way can tell them apart: it is luck that divides them, as where packets get lost.
func isSameEndpoint(r, other *probe.Result) bool {
	return r.Kind == probe.KindStream && r.Phase == probe.Connect && r.Class.Layer() == "tcp" &&
		other.Kind == probe.KindHTTP && authority(r) == authority(other)
}

// byName reports whether r is a lookup that failed for a name that was reached by other all the same: behind a proxy, or
// with the name in /etc/hosts, nobody needs the nameserver. A wrong answer has no such excuse: it was asked for as such.
func isUnneededLookup(r, other *probe.Result) bool {
	return r.Kind == probe.KindDNS && r.Class != probe.DNSWrongAnswer && other.Kind == probe.KindHTTP && hostOf(other) == r.Target
}

// otherFamily reports whether r failed to connect over one address family where other got through over the other one.
func isOtherFamily(r, other *probe.Result) bool {
	return r.Kind == probe.KindHTTP && other.Kind == probe.KindHTTP && r.Phase == probe.Connect && r.Class != probe.LocalDenied &&
		familyOf(r) != 0 && familyOf(other) != 0 && familyOf(r) != familyOf(other) && hostOf(r) == hostOf(other)
}

func (g *groupedRound) hostCheck(name string) *probe.Result {
	return first(g.hostChecks, func(r *probe.Result) bool { return r.Name == name && r.Vantage == probe.FromHost })
}

// insideLook is what a look at the process inside the sandbox saw: its signals say whose sandbox it is.
func (g *groupedRound) sandboxCheck() *probe.Result {
	return first(g.hostChecks, func(r *probe.Result) bool { return r.Name == probe.CheckSandbox && r.Vantage == probe.FromSandbox })
}

// hostFault is the check of that name if it found a fault.
func (g *groupedRound) failedHostCheck(name string) *probe.Result {
	if r := g.hostCheck(name); r != nil && !r.OK() && !isInexplicable(r) {
		return r
	}
	return nil
}

// control is a control that gave its known answer in this round; without one nothing pages.
func (g *groupedRound) reachedControl() *probe.Result { return first(g.controls, isOK) }

// asks is the first nameserver of that vantage and role for which is holds.
func (g *groupedRound) nameserver(from probe.Vantage, role probe.Role, match func(*probe.Result) bool) *probe.Result {
	return first(g.nameservers, func(r *probe.Result) bool { return r.Vantage == from && r.Role == role && match(r) })
}

// fails is the lowest attempt at the service from the host that failed as is says.
func (g *groupedRound) failure(match func(*probe.Result) bool) *probe.Result {
	return first(g.failing, match)
}

func (g *groupedRound) failureOf(classes ...probe.Class) *probe.Result {
	return g.failure(func(r *probe.Result) bool { return isNetworkProbe(r) && slices.Contains(classes, r.Class) })
}

// brokenWire is the lowest failure from the host that is not merely the agent's own.
func (g *groupedRound) firstNetworkFailure() *probe.Result { return g.failure(isNetworkProbe) }

// reached is an attempt from the host that shows that the service can be spoken to. A lookup alone shows it only where
// nothing but lookups is tried: a cache answers on a host that is offline.
func (g *groupedRound) serviceReached() *probe.Result {
	if r := first(g.service, func(r *probe.Result) bool { return r.Kind != probe.KindDNS && isAnswered(r) }); r != nil {
		return r
	}
	if slices.ContainsFunc(g.service, func(r *probe.Result) bool { return r.Kind != probe.KindDNS }) {
		return nil
	}
	return first(g.service, isOK)
}

// fine is the attempt that shows best that the service is well from the host, if nothing on the wire fails.
func (g *groupedRound) bestSuccess() *probe.Result {
	if g.firstNetworkFailure() != nil {
		return nil
	}
	for _, kind := range []probe.Kind{probe.KindHTTP, probe.KindStream, probe.KindDNS} {
		if r := first(g.service, func(r *probe.Result) bool { return r.Kind == kind && r.OK() }); r != nil {
			return r
		}
	}
	return nil
}

// nameResolved reports whether the service's name got an address on this host in this round.
func (g *groupedRound) isNameResolved() bool {
	return slices.ContainsFunc(g.service, func(r *probe.Result) bool {
		return r.Phase > probe.Resolve && isNetworkProbe(r) && r.Kind != probe.KindDNS || r.Kind == probe.KindDNS && r.OK()
	})
}

// namesOfControls is an attempt that shows that other names than the service's resolve on this host.
func (g *groupedRound) resolvedControlName() *probe.Result {
	if r := g.nameserver(probe.FromHost, probe.ResolverAsksControl, isOK); r != nil {
		return r
	}
	return first(g.controls, func(r *probe.Result) bool {
		return r.Role == probe.ControlByName && (r.OK() || r.Phase > probe.Resolve)
	})
}

// itself reports whether it is the service that answered r, not someone in its place: its certificate was verified, or
// controls show that nobody answers for others.
func (g *groupedRound) isAuthenticated(r *probe.Result) bool {
	return g.reachedControl() != nil || isTLS(r)
}

// httpFine reports whether plain requests reach the service and are answered, as expected or not.
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
