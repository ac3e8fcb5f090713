package diagnose

import (
	"cmp"
	"net/netip"
	"slices"

	"netwatchd/internal/probe"
)

// answers returns the service's addresses as nameservers of that vantage returned them.
func (g *groupedRound) answers(from probe.Vantage) []netip.Addr {
	var addrs []netip.Addr
	collect := func(r *probe.Result) {
		for _, text := range r.Answers {
			if addr, err := netip.ParseAddr(text); err == nil {
				addrs = append(addrs, addr.Unmap())
			}
		}
	}
	for _, r := range g.nameservers {
		if r.Vantage == from && r.Role == probe.ResolverAsksService {
			collect(r)
		}
	}
	for _, r := range g.service {
		if r.Kind == probe.KindDNS && from == probe.FromHost {
			collect(r)
		}
	}
	return addrs
}

// configuredAnswer returns the lookup of the service's name at a configured nameserver.
func (g *groupedRound) configuredAnswer() *probe.Result {
	if r := g.nameserver(probe.FromHost, probe.ResolverAsksService, isOK); r != nil {
		return r
	}
	return first(g.service, func(r *probe.Result) bool { return r.Kind == probe.KindDNS })
}

func allPrivate(all []netip.Addr) bool {
	return !slices.ContainsFunc(all, func(a netip.Addr) bool { return !isLocalAddress(a) })
}

// isLocalAddress reports whether an address belongs to this host or its own networks.
func isLocalAddress(a netip.Addr) bool {
	return a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast() || a.IsUnspecified() || carrierNAT.Contains(a)
}

// madeUp are prefixes of which no public service has an address. A TUN proxy returns such addresses for names and takes
// the connections to them: Clash and sing-box use 198.18.0.0/15 (RFC 2544), others 240.0.0.0/4 (RFC 1112, 4) or those
// of carrierNAT.
var madeUp = []netip.Prefix{netip.MustParsePrefix("198.18.0.0/15"), netip.MustParsePrefix("240.0.0.0/4"), carrierNAT}

// isMadeUp reports whether r was connected to an address that only a TUN proxy on this host gives out. A network may
// have addresses of carrierNAT itself.
func isMadeUp(r *probe.Result) bool {
	addr, known := peerAddress(r)
	return known && slices.ContainsFunc(madeUp, func(p netip.Prefix) bool { return p.Contains(addr) }) &&
		!(carrierNAT.Contains(addr) && isNear(r))
}

// isNear reports whether r's peer is this host, or on its link. Nothing farther away explains how r ended.
func isNear(r *probe.Result) bool {
	addr, known := peerAddress(r)
	return r.Route != nil && (r.Route.Own || r.Route.OnLink) || known && addr.IsLoopback()
}

// isOwn reports whether r's peer is this host.
func isOwn(r *probe.Result) bool {
	addr, known := peerAddress(r)
	return r.Route != nil && r.Route.Own || known && addr.IsLoopback()
}

// carrierNAT is for providers that share one public address among customers (RFC 6598). It is private, but not to
// IsPrivate.
var carrierNAT = netip.MustParsePrefix("100.64.0.0/10")

// A name may have several addresses. Of a service, some may fail while others work: then it is degraded, or an address
// family is broken, but the service is not down.

// peerAddress returns the address that r was connected to.
func peerAddress(r *probe.Result) (netip.Addr, bool) {
	peer, err := netip.ParseAddrPort(r.Peer)
	return peer.Addr().Unmap(), err == nil
}

// otherAddressSuccess returns an attempt of r's probe that succeeded at one of the addresses that r had too.
func (g *groupedRound) otherAddressSuccess(r *probe.Result) *probe.Result {
	if r.Proxy != "" || r.Phase <= probe.Resolve || r.Phase >= probe.Streaming || isDenied(r) {
		return nil
	}
	here := addresses(r)
	return first(g.addresses, func(other *probe.Result) bool {
		addr, known := peerAddress(other)
		return other.OK() && isSameProbe(r, other) && known && slices.Contains(here, addr)
	})
}

// isAddressFault reports whether the attempt r at a single address shows that this address fails. That this host has no
// route to it does not: a host with one address family is normal.
func isAddressFault(r *probe.Result) bool { return !r.OK() && !isUnroutable(r) }

// An addressFault is what the attempts of one probe at the single addresses of its name show, if some fail.
type addressFault struct {
	failed, works *probe.Result
	addresses     int // that were tried
	failing       int // of them
}

// addressFault returns the first probe that fails at some of its addresses and works at others. Counts selects the
// failing ones that count.
func (g *groupedRound) addressFault(counts func(*probe.Result) bool) *addressFault {
	for _, r := range g.addresses {
		if !isAddressFault(r) || !counts(r) {
			continue
		}
		same := func(other *probe.Result) bool { return isSameProbe(r, other) }
		match := func(other *probe.Result) bool { return other.OK() && same(other) && !isSamePeer(r, other) }
		works := cmp.Or(first(g.addresses, match), first(g.service, match))
		if works == nil {
			continue
		}
		fault := &addressFault{failed: r, works: works}
		for _, other := range g.addresses {
			if same(other) && !isUnroutable(other) {
				fault.addresses++
				if !other.OK() {
					fault.failing++
				}
			}
		}
		return fault
	}
	return nil
}

// isAtBrokenAddress reports whether the stream r failed at an address where HTTP fails too, while it works at another.
func (g *groupedRound) isAtBrokenAddress(r *probe.Result) bool {
	return r.Kind == probe.KindStream && g.addressFault(func(other *probe.Result) bool {
		return other.Kind == probe.KindHTTP && isSamePeer(r, other)
	}) != nil
}

// deadFamily returns what shows that the service fails at every address of that family, and works at one of the other.
func (g *groupedRound) deadFamily(family int) *addressFault {
	fault := g.addressFault(func(r *probe.Result) bool { return familyOf(r) == family })
	if fault == nil || family == 0 || first(g.addresses, func(r *probe.Result) bool {
		return r.OK() && isSameProbe(fault.failed, r) && familyOf(r) == family
	}) != nil {
		return nil
	}
	return fault
}
