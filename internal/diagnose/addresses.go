package diagnose

import (
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

func addresses(r *probe.Result) (all []netip.Addr) {
	for _, text := range r.Answers {
		if addr, err := netip.ParseAddr(text); err == nil {
			all = append(all, addr.Unmap())
		}
	}
	return all
}

func overlaps(a, b []netip.Addr) bool {
	return slices.ContainsFunc(a, func(addr netip.Addr) bool { return slices.Contains(b, addr) })
}

func allPrivate(all []netip.Addr) bool {
	return !slices.ContainsFunc(all, func(a netip.Addr) bool { return !isLocalAddress(a) })
}

// isLocalAddress reports whether an address belongs to this host or its own networks.
func isLocalAddress(a netip.Addr) bool {
	return a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast() || a.IsUnspecified() || carrierNAT.Contains(a)
}

// carrierNAT is for providers that share one public address among customers (RFC 6598). It is private, but not to
// IsPrivate.
var carrierNAT = netip.MustParsePrefix("100.64.0.0/10")
