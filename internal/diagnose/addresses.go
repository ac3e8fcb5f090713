package diagnose

import (
	"net/netip"
	"slices"

	"netwatchd/internal/netpath"
	"netwatchd/internal/probe"
)

// answers returns the service's addresses as nameservers of that vantage returned them.
func (g *groupedRound) answers(from probe.Vantage) []netip.Addr {
	var addrs []netip.Addr
	for _, r := range g.nameservers {
		if r.Vantage == from && r.Role == probe.ResolverAsksService {
			addrs = append(addrs, addresses(r)...)
		}
	}
	for _, r := range g.service {
		if r.Kind == probe.KindDNS && from == probe.FromHost {
			addrs = append(addrs, addresses(r)...)
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

// faultAddresses returns the attempts at single addresses that show which of them fail. One that failed shows nothing
// of its address if the probe fails now and then anyway.
func (g *groupedRound) faultAddresses() []*probe.Result {
	if len(g.Intermittent) == 0 {
		return g.addresses
	}
	isByChance := func(r *probe.Result) bool { return !r.OK() && g.isIntermittent(r) }
	return slices.DeleteFunc(slices.Clone(g.addresses), isByChance)
}

// addressFault returns what shows that some of the service's addresses fail while others work: then it is degraded, or
// an address family is broken, but it is not down. Counts selects the failures that count.
func (g *groupedRound) addressFault(counts func(*probe.Result) bool) *netpath.Fault {
	return netpath.FindFault(g.faultAddresses(), g.service, counts)
}

// deadFamily is addressFault for all addresses of a family.
func (g *groupedRound) deadFamily(family int) *netpath.Fault {
	return netpath.DeadFamily(g.faultAddresses(), g.service, family)
}

// isAtBrokenAddress reports whether the stream r failed at an address where HTTP fails too, while it works at another.
func (g *groupedRound) isAtBrokenAddress(r *probe.Result) bool {
	return r.Kind == probe.KindStream && g.addressFault(func(other *probe.Result) bool {
		return other.Kind == probe.KindHTTP && isSamePeer(r, other)
	}) != nil
}
