package diagnose

import (
	"net/netip"
	"netwatchd/internal/probe"
	"slices"
)

// answers are the service's addresses as nameservers of that vantage gave them.
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

// configured is what a configured nameserver said of the service's name.
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

// nearby reports whether an address is of this host or its own networks.
func isLocalAddress(a netip.Addr) bool {
	return a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast() || a.IsUnspecified() || carrierNAT.Contains(a)
}

// carrierNAT shares one address among many customers (RFC 6598): private to the network, though not by Go's word.
var carrierNAT = netip.MustParsePrefix("100.64.0.0/10")
