package diagnose

import (
	"net/netip"
	"slices"

	"netwatchd/internal/probe"
)

// brokenPath finds a sign that the network path to the service is broken, so that the service may be healthy. Other
// sites must be reached: otherwise this host is offline.
func brokenPath(g *groupedRound) *finding {
	if g.reachedControl() == nil {
		return nil
	}
	for _, find := range []func(*groupedRound) *finding{rejectedByFirewall, deadTranslator, deadTunnel, lostLargePackets} {
		if f := find(g); f != nil {
			return f
		}
	}
	return nil
}

// pathFailure returns a request that failed between this host and the service and matches. A stream counts only if
// plain requests fail too: see brokenStream.
func (g *groupedRound) pathFailure(match func(*probe.Result) bool) *probe.Result {
	return g.failure(func(r *probe.Result) bool {
		request := r.Kind == probe.KindHTTP || r.Kind == probe.KindStream && !g.isHTTPWorking()
		return request && r.Proxy == "" && r.Phase > probe.Resolve && !isNear(r) && match(r)
	})
}

func rejectedByFirewall(g *groupedRound) *finding {
	r := g.pathFailure(isRejectedOnPath)
	if r == nil {
		return nil
	}
	return &finding{title: titlePathRejects, advice: advicePathRejects, evidence: []*probe.Result{r, g.reachedControl()}}
}

// isUnheard reports whether nothing came back from r's peer.
func isUnheard(r *probe.Result) bool {
	return r.Class == probe.TCPTimedOut || r.Class == probe.TCPAddressUnreachable
}

// deadTranslator finds that the service has only an address that a NAT64 translator (RFC 6146) serves, and that nothing
// gets through the translator, while sites are reached without it.
func deadTranslator(g *groupedRound) *finding {
	prefixes := g.translatedPrefixes()
	prefixOf := func(r *probe.Result) (netip.Prefix, bool) {
		addr, known := peerAddress(r)
		i := slices.IndexFunc(prefixes, func(p netip.Prefix) bool { return p.Contains(addr) })
		if !known || i < 0 {
			return netip.Prefix{}, false
		}
		return prefixes[i], true
	}
	isTranslated := func(r *probe.Result) bool { _, is := prefixOf(r); return is }
	r := g.pathFailure(func(r *probe.Result) bool { return isUnheard(r) && isTranslated(r) })
	if r == nil || first(g.controls, func(c *probe.Result) bool { return c.OK() && isTranslated(c) }) != nil {
		return nil
	}
	prefix, _ := prefixOf(r)
	return &finding{title: translatorTitle(prefix), advice: adviceTranslator,
		evidence: []*probe.Result{r, first(g.prefixes, isOK), g.reachedControl()}}
}

// translatedPrefixes returns the prefixes of this network's NAT64 translators: the well-known ones (RFC 6052, RFC 8215)
// and those in which the resolver returned the addresses of ipv4only.arpa (RFC 7050).
func (g *groupedRound) translatedPrefixes() []netip.Prefix {
	all := []netip.Prefix{netip.MustParsePrefix("64:ff9b::/96"), netip.MustParsePrefix("64:ff9b:1::/48")}
	for _, r := range g.prefixes {
		for _, addr := range addresses(r) {
			if prefix, is := translatedPrefix(addr); is {
				all = append(all, prefix)
			}
		}
	}
	return all
}

// translatedPrefix returns the prefix in which addr holds an address of ipv4only.arpa, 192.0.0.170 or 192.0.0.171. RFC
// 6052, 2.2 has the places; octet 8 is always zero and left out.
func translatedPrefix(addr netip.Addr) (netip.Prefix, bool) {
	if !addr.Is6() {
		return netip.Prefix{}, false
	}
	octets := addr.As16()
	for _, bits := range []int{96, 64, 56, 48, 40, 32} {
		var four [4]byte
		for at, i := bits/8, 0; i < len(four); at++ {
			if at != 8 || bits == 96 {
				four[i] = octets[at]
				i++
			}
		}
		if four == [4]byte{192, 0, 0, 170} || four == [4]byte{192, 0, 0, 171} {
			return netip.PrefixFrom(addr, bits).Masked(), true
		}
	}
	return netip.Prefix{}, false
}

// deadTunnel finds that packets to the service leave through another interface than those to every control that was
// reached, and that nothing comes back. A tunnel may accept connections itself: then its silence counts too.
func deadTunnel(g *groupedRound) *finding {
	routed := func(r *probe.Result) bool { return r.Route != nil && r.Route.Interface != "" }
	r := g.pathFailure(func(r *probe.Result) bool {
		return routed(r) && (isUnheard(r) || r.Route.Tunnel && isSilent(r))
	})
	if r == nil {
		return nil
	}
	reached := func(match func(*probe.Result) bool) *probe.Result {
		return first(g.controls, func(c *probe.Result) bool { return c.OK() && c.Proxy == "" && routed(c) && match(c) })
	}
	if reached(func(c *probe.Result) bool { return c.Route.Interface == r.Route.Interface }) != nil {
		return nil
	}
	other := reached(func(c *probe.Result) bool { return !isNear(c) })
	if other == nil {
		return nil
	}
	return &finding{title: tunnelTitle(r, other), advice: adviceTunnel, evidence: []*probe.Result{r, other}}
}

// lostLargePackets finds that the service answers small packets and not large ones: the prober has tried both.
func lostLargePackets(g *groupedRound) *finding {
	isProof := func(r *probe.Result) bool {
		return hasWarning(r, probe.WarnSmallPackets) || hasWarning(r, probe.WarnSmallHello)
	}
	var proof *probe.Result
	r := g.pathFailure(func(r *probe.Result) bool {
		if r.Phase <= probe.Connect || !isSilent(r) && r.Class != probe.TLSClosed {
			return false
		}
		proof = first(g.addresses, func(at *probe.Result) bool {
			return !at.OK() && isProof(at) && hostOf(at) == hostOf(r)
		})
		return proof != nil
	})
	if r == nil {
		return nil
	}
	return &finding{title: sizeTitle(proof), advice: sizeAdvice(proof),
		evidence: []*probe.Result{proof, r, g.reachedControl()}}
}
