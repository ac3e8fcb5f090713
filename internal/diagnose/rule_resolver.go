package diagnose

import (
	"cmp"
	"net/netip"
	"netwatchd/internal/probe"
	"slices"
)

func brokenResolver(v *view) *finding {
	r := v.fails(nameFailed)
	if r == nil {
		return cmp.Or(noWayToResolver(v), wrongAddress(v))
	}
	conf := v.hostFault(probe.CheckResolvConf)
	switch elsewhere := v.elsewhere(r); {
	case conf != nil || r.Class == probe.DNSNoNameserver:
		return &finding{title: "no nameserver is configured", evidence: []*probe.Result{either(conf, r), r, elsewhere, v.control()},
			advice: "Put a nameserver into /etc/resolv.conf: the file is missing, empty or unreadable."}
	case elsewhere != nil:
		return &finding{title: resolverTitle(v, r) + othersKnow(r), evidence: []*probe.Result{r, elsewhere, v.control()}, advice: resolverAdvice(r)}
	case r.Class == probe.DNSWrongAnswer && blockListed(r) && v.asks(probe.Direct, probe.ResolverAsksService, spoke) == nil:
		// nobody publishes 0.0.0.0 for a service: the answer itself is the sign of a block list
		return &finding{title: resolverTitle(v, r), evidence: []*probe.Result{r, v.control()}, advice: resolverAdvice(r)}
	}
	return deadResolver(v, r)
}

// noWayToResolver is the finding that this host reaches others, but has no route to its own nameserver.
func noWayToResolver(v *view) *finding {
	r := v.fails(func(r *probe.Result) bool { return routeless(r) && r.Phase == probe.Resolve })
	if r == nil || v.control() == nil {
		return nil
	}
	return &finding{title: "this host has no route to " + resolverName(v, r), evidence: []*probe.Result{r,
		v.asks(probe.Direct, probe.ResolverAsksService, ok), v.control()}, advice: resolverAdvice(r)}
}

// elsewhere is a nameserver that resolves the service's name while r could not. One that gives the very answer that was
// not wanted of r is no contrast.
func (v *view) elsewhere(r *probe.Result) *probe.Result {
	is := func(other *probe.Result) bool {
		another := other.Server != r.Server || r.Server == ""
		differs := r.Class != probe.DNSWrongAnswer || !slices.Equal(other.Answers, r.Answers)
		return other.OK() && another && differs
	}
	if other := v.asks(probe.Direct, probe.ResolverAsksService, is); other != nil {
		return other
	}
	return v.asks(probe.FromHost, probe.ResolverAsksService, is)
}

// deadResolver is the finding that no name resolves here, not only the service's, although the world can be reached.
func deadResolver(v *view, r *probe.Result) *finding {
	if v.namesOfControls() != nil {
		return nil
	}
	dead := v.asks(probe.FromHost, probe.ResolverAsksControl, not(ok))
	if dead == nil {
		dead = first(v.controls, func(r *probe.Result) bool { return r.Role == probe.ControlByName && nameFailed(r) })
	}
	contrast := v.control()
	if contrast == nil {
		contrast = v.asks(probe.Direct, probe.ResolverAsksControl, ok)
	}
	if dead == nil || contrast == nil {
		return nil
	}
	return &finding{title: resolverTitle(v, r), evidence: []*probe.Result{r, dead, contrast}, advice: resolverAdvice(r)}
}

// wrongAddress is the finding that the name resolves, but not to what others are told, and the connection fails as it
// would then.
func wrongAddress(v *view) *finding {
	if family := v.missesFamily(); family != 0 {
		return &finding{title: familyTitle(v, family), evidence: []*probe.Result{v.brokenWire(), v.configured(),
			v.asks(probe.Direct, probe.ResolverAsksService, ok), v.control()}}
	}
	if f := strayAddress(v); f != nil {
		return f
	}
	// A CDN may give every resolver another address, but no address of its own shows a certificate for another name.
	here, there := v.answers(probe.FromHost), v.answers(probe.Direct)
	if r := v.failsAs(probe.TLSNameInvalid); r != nil && len(here) > 0 && len(there) > 0 && !overlap(here, there) {
		return &finding{title: resolverName(v, v.configured()) + " gives an address that is not the service's", evidence: []*probe.Result{r,
			v.configured(), v.asks(probe.Direct, probe.ResolverAsksService, ok), v.control()}}
	}
	return ledAstray(v)
}

// missesFamily is 4 or 6 if the configured nameservers withhold addresses of that family, public ones know some, and the
// connection over the other one fails; else 0.
//
// To lack A is always a fault. To lack AAAA is not: networks without IPv6 filter it out. It is one only where IPv4 has
// no route.
func (v *view) missesFamily() int {
	broken := v.fails(func(r *probe.Result) bool {
		return onWire(r) && r.Kind != probe.KindDNS && (r.Phase == probe.Connect || r.Class == probe.LocalNoRoute)
	})
	if broken == nil {
		return 0
	}
	here, there := v.answers(probe.FromHost), v.answers(probe.Direct)
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
func ledAstray(v *view) *finding {
	r := v.fails(func(r *probe.Result) bool {
		peer, err := netip.ParseAddrPort(r.Peer)
		addr := peer.Addr().Unmap()
		unpublished := addr.IsLoopback() || addr.IsPrivate() || addr.IsUnspecified()
		return err == nil && onWire(r) && r.Proxy == "" && (r.Class == probe.TLSNameInvalid || unpublished) && v.deny(addr)
	})
	if r == nil {
		return nil
	}
	return &finding{title: "its name leads to " + r.Peer + " here, which no nameserver says",
		evidence: []*probe.Result{r, v.asks(probe.FromHost, probe.ResolverAsksService, ok),
			v.asks(probe.Direct, probe.ResolverAsksService, ok), v.control()},
		advice: "Look at /etc/hosts, and at search and ndots in /etc/resolv.conf: they lead programs elsewhere."}
}

// deny reports whether nameservers give the service addresses of addr's family, and not this one.
func (v *view) deny(addr netip.Addr) bool {
	others := false
	for _, r := range v.asked {
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
func strayAddress(v *view) *finding {
	r := v.fails(func(r *probe.Result) bool {
		return onWire(r) && r.Proxy == "" && r.Phase > probe.Resolve && len(r.Answers) > 0 && r.Class.Layer() != "local"
	})
	if r == nil || v.control() == nil {
		return nil
	}
	here := addresses(r)
	stray := func(other *probe.Result) bool {
		there := addresses(other)
		return other.OK() && len(there) > 0 && !overlap(here, there)
	}
	past, told := first(v.past, stray), v.asks(probe.Direct, probe.ResolverAsksService, stray)
	if told == nil && byHand(r) {
		told = v.asks(probe.FromHost, probe.ResolverAsksService, stray)
	}
	if past == nil && (told == nil || !byHand(r) && (!allPrivate(here) || allPrivate(addresses(told)))) {
		return nil
	}
	return &finding{title: strayTitle(v, r), evidence: []*probe.Result{r, past, told, v.control()}, advice: strayAdvice(r)}
}
