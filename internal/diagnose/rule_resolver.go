package diagnose

import (
	"cmp"
	"net/netip"
	"netwatchd/internal/probe"
	"slices"
)

func brokenResolver(g *groupedRound) *finding {
	r := g.failure(isNameFailure)
	if r == nil {
		return cmp.Or(noRouteToResolver(g), wrongAddress(g))
	}
	conf := g.failedHostCheck(probe.CheckResolvConf)
	switch elsewhere := g.otherNameserver(r); {
	case conf != nil || r.Class == probe.DNSNoNameserver:
		return &finding{title: "no nameserver is configured", evidence: []*probe.Result{cmp.Or(conf, r), r, elsewhere, g.reachedControl()},
			advice: "Put a nameserver into /etc/resolv.conf: the file is missing, empty or unreadable."}
	case elsewhere != nil:
		return &finding{title: resolverTitle(g, r) + othersKnow(r), evidence: []*probe.Result{r, elsewhere, g.reachedControl()}, advice: resolverAdvice(r)}
	case r.Class == probe.DNSWrongAnswer && isBlockListed(r) && g.nameserver(probe.Direct, probe.ResolverAsksService, isNameserverAnswer) == nil:
		// nobody publishes 0.0.0.0 for a service: the answer itself is the sign of a block list
		return &finding{title: resolverTitle(g, r), evidence: []*probe.Result{r, g.reachedControl()}, advice: resolverAdvice(r)}
	}
	return deadResolver(g, r)
}

// noWayToResolver is the finding that this host reaches others, but has no route to its own nameserver.
func noRouteToResolver(g *groupedRound) *finding {
	r := g.failure(func(r *probe.Result) bool { return isUnroutable(r) && r.Phase == probe.Resolve })
	if r == nil || g.reachedControl() == nil {
		return nil
	}
	return &finding{title: "this host has no route to " + resolverName(g, r), evidence: []*probe.Result{r,
		g.nameserver(probe.Direct, probe.ResolverAsksService, isOK), g.reachedControl()}, advice: resolverAdvice(r)}
}

// elsewhere is a nameserver that resolves the service's name while r could not. One that gives the very answer that was
// not wanted of r is no contrast.
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

// deadResolver is the finding that no name resolves here, not only the service's, although the world can be reached.
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
	return &finding{title: resolverTitle(g, r), evidence: []*probe.Result{r, dead, contrast}, advice: resolverAdvice(r)}
}

// wrongAddress is the finding that the name resolves, but not to what others are told, and the connection fails as it
// would then.
func wrongAddress(g *groupedRound) *finding {
	if family := g.missingFamily(); family != 0 {
		return &finding{title: familyTitle(g, family), evidence: []*probe.Result{g.firstNetworkFailure(), g.configuredAnswer(),
			g.nameserver(probe.Direct, probe.ResolverAsksService, isOK), g.reachedControl()}}
	}
	if f := strayAddress(g); f != nil {
		return f
	}
	// A CDN may give every resolver another address, but no address of its own shows a certificate for another name.
	here, there := g.answers(probe.FromHost), g.answers(probe.Direct)
	if r := g.failureOf(probe.TLSNameInvalid); r != nil && len(here) > 0 && len(there) > 0 && !overlaps(here, there) {
		return &finding{title: resolverName(g, g.configuredAnswer()) + " gives an address that is not the service's", evidence: []*probe.Result{r,
			g.configuredAnswer(), g.nameserver(probe.Direct, probe.ResolverAsksService, isOK), g.reachedControl()}}
	}
	return unpublishedAddress(g)
}

// missesFamily is 4 or 6 if the configured nameservers withhold addresses of that family, public ones know some, and the
// connection over the other one fails; else 0.
//
// To lack A is always a fault. To lack AAAA is not: networks without IPv6 filter it out. It is one only where IPv4 has
// no route.
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

// ledAstray is the finding that the connection that failed was not made to any of the addresses that nameservers give: the
// hosts file or a search domain has the name lead elsewhere. Since a CDN may give another one each time it is asked, it takes
// a certificate for another name as well, or an address that nobody publishes.
func unpublishedAddress(g *groupedRound) *finding {
	r := g.failure(func(r *probe.Result) bool {
		peer, err := netip.ParseAddrPort(r.Peer)
		addr := peer.Addr().Unmap()
		unpublished := addr.IsLoopback() || addr.IsPrivate() || addr.IsUnspecified()
		return err == nil && isNetworkProbe(r) && r.Proxy == "" && (r.Class == probe.TLSNameInvalid || unpublished) && g.isUnpublished(addr)
	})
	if r == nil {
		return nil
	}
	return &finding{title: "its name leads to " + r.Peer + " here, which no nameserver says",
		evidence: []*probe.Result{r, g.nameserver(probe.FromHost, probe.ResolverAsksService, isOK),
			g.nameserver(probe.Direct, probe.ResolverAsksService, isOK), g.reachedControl()},
		advice: "Look at /etc/hosts, and at search and ndots in /etc/resolv.conf: they lead programs elsewhere."}
}

// deny reports whether nameservers give the service addresses of addr's family, and not this one.
func (g *groupedRound) isUnpublished(addr netip.Addr) bool {
	others := false
	for _, r := range g.nameservers {
		for _, text := range r.Answers {
			given, err := netip.ParseAddr(text)
			if r.Role != probe.ResolverAsksService || err != nil || given.Unmap().Is4() != addr.Is4() {
				continue
			}
			if given.Unmap() == addr {
				return false
			}
			others = true
		}
	}
	return others
}

// strayAddress is the finding that the service is not where this host is told to look for it: it fails there, and was
// reached by the address others give; or the address is written in /etc/hosts and no nameserver gives it; or it is a
// private one, as a VPN leaves it behind, while the world is given public ones.
func strayAddress(g *groupedRound) *finding {
	r := g.failure(func(r *probe.Result) bool {
		return isNetworkProbe(r) && r.Proxy == "" && r.Phase > probe.Resolve && len(r.Answers) > 0 && r.Class.Layer() != "local"
	})
	if r == nil || g.reachedControl() == nil {
		return nil
	}
	here := addresses(r)
	stray := func(other *probe.Result) bool {
		there := addresses(other)
		return other.OK() && len(there) > 0 && !overlaps(here, there)
	}
	past, told := first(g.direct, stray), g.nameserver(probe.Direct, probe.ResolverAsksService, stray)
	if told == nil && fromHostsFile(r) {
		told = g.nameserver(probe.FromHost, probe.ResolverAsksService, stray)
	}
	if past == nil && (told == nil || !fromHostsFile(r) && (!allPrivate(here) || allPrivate(addresses(told)))) {
		return nil
	}
	return &finding{title: strayTitle(g, r), evidence: []*probe.Result{r, past, told, g.reachedControl()}, advice: strayAdvice(r)}
}
