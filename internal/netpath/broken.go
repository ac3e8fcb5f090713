package netpath

import (
	"fmt"
	"net/netip"
	"slices"

	"netwatchd/internal/outcome"
	"netwatchd/internal/probe"
)

// A Break is where the network path of a failed request is broken.
type Break struct {
	Title    string // to be read after "codex: "
	Advice   string
	Evidence []*probe.Result // the decisive one first
}

// What each kind of break takes to fix.
const (
	adviceFirewall   = "Ask whoever runs the firewall at the address in the evidence, or use another network."
	adviceTranslator = "Use another network, or IPv4 if there is one, and tell whoever runs this network that its NAT64 " +
		"translator is down."
	adviceTunnel = "Reconnect the VPN, or remove the route that it left behind: ip route get ADDRESS shows it."
	adviceMTU    = "Lower the MTU of the interface: try ip link set dev NAME mtu 1280. Then tell whoever runs the VPN or " +
		"the firewall that ICMP \"packet too big\" must pass."
	adviceHello = "Use another network, or ask whoever runs the firewall or VPN on the path to allow a TLS ClientHello " +
		"of two packets, which post-quantum key exchange needs."
)

// Rejected finds that a firewall on the network path reported that it rejects the connection of r.
func Rejected(r *probe.Result) *Break {
	if !slices.Contains(r.Warnings, probe.WarnRejectedOnPath) {
		return nil
	}
	title := "a firewall on the network path to the service rejects the connection"
	return &Break{title, adviceFirewall, []*probe.Result{r}}
}

// isUnheard reports whether nothing came back from r's peer.
func isUnheard(r *probe.Result) bool {
	return r.Class == probe.TCPTimedOut || r.Class == probe.TCPAddressUnreachable
}

// DeadTranslator finds that r's peer is behind a NAT64 translator (RFC 6146), and that nothing gets through it: no
// control was reached through it either. Lookups are those of the NAT64 prefixes.
func DeadTranslator(r *probe.Result, lookups, controls []*probe.Result) *Break {
	prefixes := prefixesOf(lookups)
	prefixOf := func(r *probe.Result) int {
		addr, _ := Peer(r)
		return slices.IndexFunc(prefixes, func(p netip.Prefix) bool { return p.Contains(addr) })
	}
	isThrough := func(c *probe.Result) bool { return c.OK() && prefixOf(c) >= 0 }
	if !isUnheard(r) || prefixOf(r) < 0 || slices.ContainsFunc(controls, isThrough) {
		return nil
	}
	title := fmt.Sprintf("the NAT64 translator of this network (%s) does not forward connections", prefixes[prefixOf(r)])
	return &Break{title, adviceTranslator, append([]*probe.Result{r}, lookups...)}
}

// prefixesOf returns the prefixes of this network's NAT64 translators: the well-known ones (RFC 6052, RFC 8215) and
// those in which the resolver returned the addresses of ipv4only.arpa (RFC 7050).
func prefixesOf(lookups []*probe.Result) []netip.Prefix {
	all := []netip.Prefix{netip.MustParsePrefix("64:ff9b::/96"), netip.MustParsePrefix("64:ff9b:1::/48")}
	for _, r := range lookups {
		for _, addr := range outcome.Addresses(r) {
			if prefix, is := prefixIn(addr); is {
				all = append(all, prefix)
			}
		}
	}
	return all
}

// prefixIn returns the prefix in which addr holds an address of ipv4only.arpa, 192.0.0.170 or 192.0.0.171. RFC 6052,
// 2.2 has the places; octet 8 is always zero and left out.
func prefixIn(addr netip.Addr) (netip.Prefix, bool) {
	octets := addr.As16()
	for _, bits := range []int{96, 64, 56, 48, 40, 32} {
		var four [4]byte
		for at, i := bits/8, 0; i < len(four); at++ {
			if at != 8 || bits == 96 {
				four[i] = octets[at]
				i++
			}
		}
		if addr.Is6() && (four == [4]byte{192, 0, 0, 170} || four == [4]byte{192, 0, 0, 171}) {
			return netip.PrefixFrom(addr, bits).Masked(), true
		}
	}
	return netip.Prefix{}, false
}

// DeadTunnel finds that packets to r's peer leave through another interface than those to every control that was
// reached, and that nothing comes back. A tunnel may accept connections itself: then its silence counts too.
func DeadTunnel(r *probe.Result, controls []*probe.Result) *Break {
	isRouted := func(r *probe.Result) bool { return r.Route != nil && r.Route.Interface != "" }
	if !isRouted(r) || !isUnheard(r) && !(r.Route.Tunnel && outcome.IsSilent(r)) {
		return nil
	}
	var other *probe.Result
	for _, c := range controls {
		switch {
		case !c.OK() || c.Proxy != "" || !isRouted(c):
		case c.Route.Interface == r.Route.Interface:
			return nil
		case other == nil && !IsNear(c):
			other = c
		}
	}
	if other == nil {
		return nil
	}
	through := r.Route.Interface
	if r.Route.Tunnel {
		through = "the tunnel " + through
	}
	title := fmt.Sprintf("packets to the service leave through %s and nothing comes back; other sites are reached "+
		"through %s", through, other.Route.Interface)
	return &Break{title, adviceTunnel, []*probe.Result{r, other}}
}

func isAnsweredSmall(r *probe.Result, warning string) bool {
	return !r.OK() && slices.Contains(r.Warnings, warning)
}

// LostBySize finds that r's service answers small packets, or a small ClientHello, where it does not answer the usual
// ones. At has the attempts at single addresses: their prober tries both.
func LostBySize(r *probe.Result, at []*probe.Result) *Break {
	if r.Phase <= probe.Connect || !outcome.IsSilent(r) && r.Class != probe.TLSClosed {
		return nil
	}
	ofService := func(warning string) func(*probe.Result) bool {
		return func(at *probe.Result) bool {
			return isAnsweredSmall(at, warning) && outcome.HostOf(at) == outcome.HostOf(r)
		}
	}
	if proof := first(at, ofService(probe.WarnSmallPackets)); proof != nil {
		return &Break{"large packets are lost on the network path to the service; small ones are answered", adviceMTU,
			[]*probe.Result{proof, r}}
	}
	proof := first(at, ofService(probe.WarnSmallHello))
	if proof == nil {
		return nil
	}
	title := "large TLS ClientHellos are lost on the network path to the service; a small one is answered"
	if proof.Class == probe.TLSClosed {
		title = "connections with a large TLS ClientHello are closed on the network path to the service; a small one is " +
			"answered"
	}
	return &Break{title, adviceHello, []*probe.Result{proof, r}}
}

// NearTitle says how a request to this host itself, or to its link, failed while nothing outside answers.
func NearTitle(r *probe.Result) string {
	where := "on this host's link"
	if IsOwn(r) {
		where = "on this host"
	}
	return fmt.Sprintf("the service, %s (%s), %s", where, r.Peer, outcome.Of(r))
}

// TUNProxyTitle says how a TUN proxy failed at the address that it made up for the service.
func TUNProxyTitle(r *probe.Result) string {
	addr, _ := Peer(r)
	return fmt.Sprintf("the TUN proxy or VPN on this host that takes the service's connections (%s) %s", addr,
		outcome.Of(r))
}

// TurnedTitle says what turned the service's name, and to which address. Resolver names the nameserver.
func TurnedTitle(r *probe.Result, resolver string) string {
	addr, _ := Peer(r)
	source, what := resolver+" resolves the service's name to ", addr.String()
	switch {
	case r.FullName != "":
		source, what = "a search domain in /etc/resolv.conf turns the service's name into ", r.FullName+" ("+what+")"
	case slices.Contains(r.Warnings, probe.WarnHostsFile):
		source = "/etc/hosts resolves the service's name to "
	}
	switch {
	case IsOwn(r):
		what += ", which is this host itself"
	case IsNear(r):
		what += ", which is on this host's own link"
	}
	return source + what
}
