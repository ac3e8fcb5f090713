package diagnose

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	"netwatchd/internal/netpath"
	"netwatchd/internal/outcome"
	"netwatchd/internal/probe"
	"netwatchd/internal/words"
)

func brokenResolver(g *groupedRound) *finding {
	strict := strictClient(g)
	if strict != nil && !strict.aside {
		return strict
	}
	r := g.failure(isNameFailure)
	if r == nil {
		return cmp.Or(noRouteToResolver(g), wrongAddress(g), strict)
	}
	conf := g.failedHostCheck(probe.CheckResolvConf)
	switch other := g.otherNameserver(r); {
	case conf != nil || r.Class == probe.DNSNoNameserver:
		return &finding{title: words.TitleNoNameserver, advice: words.AdviceNoNameserver,
			evidence: []*probe.Result{cmp.Or(conf, r), r, other, g.reachedControl()}}
	case other != nil:
		return &finding{title: contrastTitle(g, r), advice: contrastAdvice(g, r),
			evidence: []*probe.Result{r, other, g.reachedControl()}}
	case r.Class == probe.DNSWrongAnswer && isBlockListed(r) &&
		g.nameserver(probe.Direct, probe.ResolverAsksService, isNameserverAnswer) == nil:
		// nobody publishes 0.0.0.0 for a service: the answer itself shows a block list
		return &finding{title: resolverTitle(g, r),
			evidence: []*probe.Result{r, g.reachedControl()}, advice: words.ResolverAdvice(r)}
	}
	return cmp.Or(deadResolver(g, r), unknownName(g, r))
}

// unknownName finds that no nameserver that was asked knows a name that the public DNS was never told: one that last
// resolved to private addresses, one whose zone has no public delegation, or one that is ours. That public resolvers
// report NXDOMAIN proves nothing about it: the nameserver that knows it, of a VPN or a company, was not asked.
func unknownName(g *groupedRound, r *probe.Result) *finding {
	if !nameGone(r) || g.resolvedControlName() == nil {
		return nil
	}
	notPublic := g.nameserver(probe.Direct, probe.ResolverAsksService,
		func(r *probe.Result) bool { return hasWarning(r, probe.WarnNotPublic) })
	known := len(g.Known) > 0
	switch {
	case known && netpath.AllPrivate(g.Known), g.Expect.Owner == Us:
	case notPublic != nil && !known && g.Expect.Owner != Vendor:
	default:
		return nil
	}
	return &finding{title: words.UnknownNameTitle(r), advice: words.AdviceUnknownName, evidence: []*probe.Result{r,
		cmp.Or(notPublic, g.nameserver(probe.Direct, probe.ResolverAsksService, not(isOK))), g.resolvedControlName(),
		g.reachedControl()}}
}

// noRouteToResolver finds that this host reaches other sites, but has no route to its own nameserver.
func noRouteToResolver(g *groupedRound) *finding {
	r := g.failure(func(r *probe.Result) bool { return isUnroutable(r) && r.Phase == probe.Resolve })
	if r == nil || g.reachedControl() == nil {
		return nil
	}
	return &finding{title: noRouteToResolverTitle(g, r), advice: words.ResolverAdvice(r),
		evidence: []*probe.Result{r, g.nameserver(probe.Direct, probe.ResolverAsksService, isOK), g.reachedControl()}}
}

// otherNameserver returns a lookup at another nameserver that resolved the service's name while r could not. A
// nameserver that returns the same wrong answer as r proves nothing.
func (g *groupedRound) otherNameserver(r *probe.Result) *probe.Result {
	match := func(other *probe.Result) bool {
		another := other.Server != r.Server || r.Server == ""
		differs := r.Class != probe.DNSWrongAnswer || !slices.Equal(other.Answers, r.Answers)
		return other.OK() && another && differs
	}
	if other := g.nameserver(probe.Direct, probe.ResolverAsksService, match); other != nil {
		return other
	}
	return g.nameserver(probe.FromHost, probe.ResolverAsksService, match)
}

// deadResolver finds that no name resolves on this host, not only the service's, although other sites can be reached.
func deadResolver(g *groupedRound, r *probe.Result) *finding {
	if g.resolvedControlName() != nil {
		return nil
	}
	dead := g.nameserver(probe.FromHost, probe.ResolverAsksControl, not(isOK))
	if dead == nil {
		dead = first(g.controls, func(r *probe.Result) bool { return r.Role == probe.ControlByName && isNameFailure(r) })
	}
	contrast := g.reachedControl()
	if contrast == nil {
		contrast = g.nameserver(probe.Direct, probe.ResolverAsksControl, isOK)
	}
	if dead == nil || contrast == nil {
		return nil
	}
	return &finding{title: resolverTitle(g, r), advice: words.ResolverAdvice(r),
		evidence: []*probe.Result{r, dead, contrast}}
}

// wrongAddress finds that the name resolves to another address than elsewhere, and that the connection fails as it
// would for that reason.
func wrongAddress(g *groupedRound) *finding {
	if family := g.missingFamily(); family != 0 {
		return &finding{title: familyTitle(g, family),
			evidence: []*probe.Result{g.firstNetworkFailure(), g.configuredAnswer(),
				g.nameserver(probe.Direct, probe.ResolverAsksService, isOK), g.reachedControl()}}
	}
	if f := cmp.Or(turnedName(g), strayAddress(g)); f != nil {
		return f
	}
	// A CDN may return a different address to every resolver, but none of its addresses presents a certificate for
	// another name.
	here, there := g.answers(probe.FromHost), g.answers(probe.Direct)
	if r := g.failureOf(probe.TLSNameInvalid); r != nil && len(here) > 0 && len(there) > 0 && !overlaps(here, there) {
		return &finding{title: otherAddressTitle(g), evidence: []*probe.Result{r,
			g.configuredAnswer(), g.nameserver(probe.Direct, probe.ResolverAsksService, isOK), g.reachedControl()}}
	}
	return unpublishedAddress(g)
}

// turnedName finds that a request failed at an address to which only this host turns the name: by a search domain, by
// the hosts file, or by a nameserver that returns an address of this host itself. Another resolver need not be reached
// to see that, unless the address may be the service's own.
func turnedName(g *groupedRound) *finding {
	r := g.failure(func(r *probe.Result) bool {
		request := r.Kind == probe.KindHTTP || r.Kind == probe.KindStream
		return request && r.Proxy == "" && r.Phase > probe.Resolve && r.Class.Layer() != "local" && netpath.HasPublicName(r) &&
			(r.FullName != "" || netpath.IsNear(r) && fromHostsFile(r) || netpath.IsOwn(r) && g.isReturned(r))
	})
	if r == nil {
		return nil
	}
	published := g.nameserver(probe.Direct, probe.ResolverAsksService, isOK)
	if published != nil && overlaps(addresses(r), addresses(published)) {
		return nil // the service's owner wants it there
	}
	return &finding{title: netpath.TurnedTitle(r, resolverName(g, r)), advice: words.TurnedAdvice(r),
		evidence: []*probe.Result{r, g.configuredAnswer(), published, g.reachedControl()}}
}

// isReturned reports whether a nameserver of this host returned the address of r's peer.
func (g *groupedRound) isReturned(r *probe.Result) bool {
	addr, known := netpath.Peer(r)
	return known && slices.Contains(g.answers(probe.FromHost), addr)
}

// missingFamily returns 4 or 6 if the configured nameservers return no address of that family although public ones
// do, and the connection over the other family fails; otherwise 0.
//
// A missing A record is always a fault. A missing AAAA record is not, because networks without IPv6 filter it out: it
// is a fault only if IPv4 has no route.
func (g *groupedRound) missingFamily() int {
	broken := g.failure(func(r *probe.Result) bool {
		return isNetworkProbe(r) && r.Kind != probe.KindDNS && (r.Phase == probe.Connect || r.Class == probe.LocalNoRoute)
	})
	if broken == nil {
		return 0
	}
	here, there := g.answers(probe.FromHost), g.answers(probe.Direct)
	switch {
	case len(here) == 0:
		return 0
	case !slices.ContainsFunc(here, netip.Addr.Is4) && slices.ContainsFunc(there, netip.Addr.Is4):
		return 4
	case broken.Class == probe.LocalNoRoute && !slices.ContainsFunc(here, netip.Addr.Is6) &&
		slices.ContainsFunc(there, netip.Addr.Is6):
		return 6
	}
	return 0
}

// unpublishedAddress finds that the failed connection was not made to any address that nameservers return: the hosts
// file or a search domain makes the name resolve to another address. Because a CDN may return a different address
// each time, a certificate for another name is required too, or an address that nobody publishes.
func unpublishedAddress(g *groupedRound) *finding {
	r := g.failure(func(r *probe.Result) bool {
		peer, err := netip.ParseAddrPort(r.Peer)
		addr := peer.Addr().Unmap()
		unpublished := addr.IsLoopback() || addr.IsPrivate() || addr.IsUnspecified()
		return err == nil && isNetworkProbe(r) && r.Proxy == "" && (r.Class == probe.TLSNameInvalid || unpublished) &&
			g.isUnpublished(addr)
	})
	if r == nil {
		return nil
	}
	return &finding{title: words.UnpublishedAddressTitle(r), advice: words.AdviceUnpublished,
		evidence: []*probe.Result{r, g.nameserver(probe.FromHost, probe.ResolverAsksService, isOK),
			g.nameserver(probe.Direct, probe.ResolverAsksService, isOK), g.reachedControl()}}
}

// isUnpublished reports whether nameservers return addresses of addr's family for the service, but not addr.
func (g *groupedRound) isUnpublished(addr netip.Addr) bool {
	others := false
	for _, r := range g.nameservers {
		if r.Role != probe.ResolverAsksService {
			continue
		}
		for _, returned := range addresses(r) {
			if returned == addr {
				return false
			}
			others = others || returned.Is4() == addr.Is4()
		}
	}
	return others
}

// strayAddress finds that the service is not at the address that this host uses. The connection fails there, and one
// of these holds: the service was reached at the address that other resolvers return; or the address is in /etc/hosts
// and no nameserver returns it; or it is a private address, as a VPN leaves it behind, while public resolvers return
// public ones.
func strayAddress(g *groupedRound) *finding {
	r := g.failure(func(r *probe.Result) bool {
		return isNetworkProbe(r) && r.Proxy == "" && r.Phase > probe.Resolve && len(r.Answers) > 0 &&
			r.Class.Layer() != "local"
	})
	if r == nil || g.reachedControl() == nil {
		return nil
	}
	here := addresses(r)
	stray := func(other *probe.Result) bool {
		there := addresses(other)
		// A service may have several hosts.
		ofSameName := other.Target == "" || strings.EqualFold(outcome.HostOf(r), outcome.HostOf(other))
		return ofSameName && other.OK() && len(there) > 0 && !overlaps(here, there)
	}
	direct, lookup := first(g.direct, stray), g.nameserver(probe.Direct, probe.ResolverAsksService, stray)
	if lookup == nil && fromHostsFile(r) {
		lookup = g.nameserver(probe.FromHost, probe.ResolverAsksService, stray)
	}
	if direct == nil && (lookup == nil || !fromHostsFile(r) &&
		(!netpath.AllPrivate(here) || netpath.AllPrivate(addresses(lookup)))) {
		return nil
	}
	return &finding{title: strayTitle(g, r),
		evidence: []*probe.Result{r, direct, lookup, g.reachedControl()}, advice: words.StrayAdvice(r)}
}
