// Package netpath tells what between this host and a service's addresses is broken, from results alone.
package netpath

import (
	"net/netip"
	"slices"
	"strings"

	"netwatchd/internal/outcome"
	"netwatchd/internal/probe"
)

// carrierNAT is for providers that share one public address among customers (RFC 6598). It is private, but not to
// IsPrivate.
var carrierNAT = netip.MustParsePrefix("100.64.0.0/10")

// madeUp are prefixes of which no public service has an address. A TUN proxy returns such addresses for names and takes
// the connections to them: Clash and sing-box use 198.18.0.0/15 (RFC 2544), others 240.0.0.0/4 (RFC 1112, 4) or those
// of carrierNAT.
var madeUp = []netip.Prefix{netip.MustParsePrefix("198.18.0.0/15"), netip.MustParsePrefix("240.0.0.0/4"), carrierNAT}

// AllPrivate reports whether each address belongs to this host or its own networks.
func AllPrivate(all []netip.Addr) bool {
	return !slices.ContainsFunc(all, func(a netip.Addr) bool {
		return !a.IsPrivate() && !a.IsLoopback() && !a.IsLinkLocalUnicast() && !a.IsUnspecified() && !carrierNAT.Contains(a)
	})
}

// Peer returns the address that r was connected to.
func Peer(r *probe.Result) (netip.Addr, bool) {
	peer, err := netip.ParseAddrPort(r.Peer)
	return peer.Addr().Unmap(), err == nil
}

// isMadeUp reports whether r was connected to an address that only a TUN proxy on this host gives out. A network may
// have addresses of carrierNAT itself.
func isMadeUp(r *probe.Result) bool {
	addr, known := Peer(r)
	return known && slices.ContainsFunc(madeUp, func(p netip.Prefix) bool { return p.Contains(addr) }) &&
		!(carrierNAT.Contains(addr) && IsNear(r))
}

// IsNear reports whether r's peer is this host, or on its link. Nothing farther away explains how r ended.
func IsNear(r *probe.Result) bool { return IsOwn(r) || r.Route != nil && r.Route.OnLink }

// IsOwn reports whether r's peer is this host.
func IsOwn(r *probe.Result) bool {
	addr, known := Peer(r)
	return r.Route != nil && r.Route.Own || known && addr.IsLoopback()
}

// IsTUNProxyFault reports whether request r failed at a made-up address before a certificate showed that the service
// answered.
func IsTUNProxyFault(r *probe.Result) bool {
	request := r.Kind == probe.KindHTTP || r.Kind == probe.KindStream
	if !request || r.Proxy != "" || r.Phase <= probe.Resolve || !isMadeUp(r) || r.TLS != nil {
		return false
	}
	switch r.Class {
	case probe.TLSClosed, probe.TLSProtocolError, probe.HTTPClosed, probe.HTTPProtocolError:
		return true
	}
	return outcome.IsSilent(r) || r.Class.Layer() == "tcp"
}

// OnlyMadeUp reports whether every connection of the controls was made to a TUN proxy on this host. Then it may be
// online although none of them was reached.
func OnlyMadeUp(controls []*probe.Result) bool {
	isElsewhere := func(r *probe.Result) bool { _, known := Peer(r); return known && !isMadeUp(r) }
	return first(controls, isMadeUp) != nil && first(controls, isElsewhere) == nil
}

// localDomains are the top-level domains of names that only one network or one host knows (RFC 6761, RFC 6762, RFC
// 8375, ICANN's resolution 2024.07.29.06, and what routers use).
var localDomains = []string{"localhost", "localdomain", "local", "lan", "home", "arpa", "internal", "intranet", "corp",
	"private", "test", "invalid", "example"}

// HasPublicName reports whether r's target is a name that everyone may resolve: a single label never is, nor is a name
// below a local domain, whose address on this host or its link may be the right one.
func HasPublicName(r *probe.Result) bool {
	name := outcome.HostOf(r)
	if _, err := netip.ParseAddr(strings.Trim(name, "[]")); err == nil {
		return false
	}
	labels := strings.Split(strings.ToLower(strings.TrimSuffix(name, ".")), ".")
	return len(labels) > 1 && !slices.Contains(localDomains, labels[len(labels)-1])
}

func first(rs []*probe.Result, match func(*probe.Result) bool) *probe.Result {
	if i := slices.IndexFunc(rs, match); i >= 0 {
		return rs[i]
	}
	return nil
}
