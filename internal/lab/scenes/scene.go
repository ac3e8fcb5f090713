// Package scenes holds netwatchd to its word: each scene bends the world of package world in one way and says which
// verdict must come of it.
package scenes

import (
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"

	"netwatchd/internal/lab/parts"
	"netwatchd/internal/lab/wire"
	"netwatchd/internal/lab/world"
)

// A Scene is a way in which the world can be bent, and what netwatchd must make of it.
type Scene struct {
	Name   string
	Config world.Config       // what the configuration says otherwise
	Before func(*world.World) // how the world is while all is well
	Bend   func(*world.World) // nil: it stays so
	Cause  string             // that the daemon names
	Class  string             // of the decisive evidence; empty: not looked at
	Inside string             // the class of the request made in the agent's sandbox; empty: not looked at
	Asked  Asked              // what is asked by hand meanwhile
	Or     []string           // causes that are right as well, where chance decides
	Never  []string           // causes that must not be named, beside those that Forbidden knows
	Allow  []string           // of those that Forbidden knows
}

// Asked is a command that is run while the world is bent, and what it must say.
type Asked struct {
	Command []string // of netwatchd; empty: check
	Inside  bool     // it is the agent that runs it, in its sandbox
	Cause   string   // empty: what the daemon says
	Class   string
}

// String is empty where check says what the daemon says.
func (a Asked) String() string {
	if a.Cause == "" && len(a.Command) == 0 {
		return ""
	}
	text := "`" + strings.Join(append([]string{"netwatchd"}, a.command()...), " ") + "`"
	if a.Inside {
		text += " inside"
	}
	if a.Cause != "" {
		text += ": `" + a.Cause + "`"
	}
	if a.Class != "" {
		text += ", `" + a.Class + "`"
	}
	return text
}

func (a Asked) command() []string {
	if len(a.Command) == 0 {
		return []string{"check"}
	}
	return a.Command
}

// asked is what must come of the command.
func (s *Scene) asked() Asked {
	a := s.Asked
	a.Command = a.command()
	if a.Cause == "" {
		a.Cause, a.Class = s.Cause, s.Class
	}
	return a
}

// Forbidden are the causes that must never be named in this scene where named is right, neither as the cause nor beside it:
// who is not at fault must not be woken, and who was not asked must not be blamed.
func (s *Scene) Forbidden(named string) []string {
	all := append([]string{"upstream", "stream", "account", "agent", "sandbox", "sandbox_open", "self_sandboxed"}, s.Never...)
	return slices.DeleteFunc(all, func(cause string) bool { return cause == named || slices.Contains(s.Allow, cause) })
}

const (
	dropsService   = "ip daddr " + world.ServiceIPv4 + " tcp dport 443"
	dropsService6  = "ip6 daddr " + world.ServiceIPv6 + " tcp dport 443"
	everything     = "meta l4proto { tcp, udp, icmp }"
	abroad         = "ip daddr != 192.0.2.0/24"
	abroad6        = "ip6 daddr != 2001:db8:1::/64 meta l4proto tcp"
	namesByUDP     = "udp dport 53"
	namesByTCP     = "tcp dport 53"
	hasEDNS0       = " @th,144,16 1" // after 8 octets of UDP and 10 of DNS: there is an additional record
	resolverByUDP  = "ip daddr " + world.Resolver + " udp dport 53"
	resolverByTCP  = "ip daddr " + world.Resolver + " tcp dport 53"
	reset          = " reject with tcp reset"
	vpnResolver    = "10.8.0.1"
	searching      = "search corp.example\noptions ndots:3\nnameserver " + world.Resolver + "\n"
	patientTimeout = 3 * time.Second
	year           = 365 * 24 * time.Hour
)

var patient = world.Config{Interval: 4 * time.Second, Timeout: patientTimeout}

// A Part is scenes of one kind.
type Part struct {
	Title  string
	Scenes []Scene
}

// Parts are all there is.
var Parts = []Part{{"The network", network}, {"Streams", streams}, {"The agent", agents}}

// All are the scenes of every part.
var All = slices.Concat(network, streams, agents)

// The network, from the host outwards.
var network = []Scene{
	{Name: "nothing is wrong", Cause: "healthy"},

	{Name: "the link is down", Bend: (*world.World).Unplug, Cause: "host_offline", Class: "local.no_interface"},
	{Name: "no default route", Bend: func(w *world.World) { w.Unroute("-4", "-6") }, Cause: "host_offline", Class: "local.no_route"},
	{Name: "the gateway drops everything", Bend: func(w *world.World) { w.Lose(everything) },
		Cause: "host_offline", Class: "tcp.timed_out"},
	{Name: "a firewall on this host drops lookups", Bend: func(w *world.World) { w.Firewall(namesByUDP + " drop") },
		Cause: "local_policy", Class: "local.denied"},

	{Name: "a firewall on this host drops the service", Config: patient,
		Bend: func(w *world.World) { w.Firewall(dropsService+" drop", dropsService6+" drop") }, Cause: "local_policy", Class: "local.denied"},
	{Name: "a firewall on this host resets the service",
		Bend:  func(w *world.World) { w.Firewall(dropsService+reset, dropsService6+reset) },
		Cause: "local_policy", Class: "local.denied"},
	{Name: "DHCP has not answered", Bend: func(w *world.World) { w.Reroute("addr flush dev wan0") }, Cause: "host_offline", Class: "local.no_interface"},
	{Name: "a route leads the service into nothing", Bend: func(w *world.World) {
		w.Reroute("route add blackhole "+world.ServiceIPv4, "-6 route add blackhole "+world.ServiceIPv6)
	}, Cause: "host_offline", Class: "local.no_route"},
	{Name: "the network lets no connection out", Bend: func(w *world.World) { w.Reject("tcp dport { 80, 443 }" + reset) },
		Cause: "host_offline", Class: "tcp.refused"},

	{Name: "only IPv6 is broken", Bend: func(w *world.World) { w.Lose(abroad6) }, Cause: "ipv6", Class: "tcp.timed_out"},
	{Name: "only IPv4 is broken", Bend: func(w *world.World) { w.Lose(abroad) }, Cause: "ipv4", Class: "tcp.timed_out"},
	{Name: "no IPv6 at all", Bend: func(w *world.World) { w.Unroute("-6") }, Cause: "healthy"},

	{Name: "the proxy is dead", Before: func(w *world.World) { w.UseProxy() }, Bend: func(w *world.World) { w.Proxy.Stop() },
		Cause: "proxy", Class: "proxy.refused"},
	{Name: "the proxy wants credentials", Before: func(w *world.World) { w.UseProxy() }, Bend: func(w *world.World) { w.Proxy.Demand() },
		Cause: "proxy", Class: "proxy.auth_required"},
	{Name: "the service's port is closed, and the way leads through a proxy", Before: func(w *world.World) { w.UseProxy() },
		Bend: func(w *world.World) { w.CloseService() }, Cause: "upstream", Class: "tcp.refused"},
	{Name: "the proxy answers for everyone", Before: func(w *world.World) { w.UseProxy() }, Bend: func(w *world.World) { w.Proxy.Pose() },
		Cause: "proxy", Class: "tls.protocol.error"},

	{Name: "the resolver is stopped", Bend: (*world.World).StopResolver, Cause: "resolver", Class: "dns.unreachable"},
	{Name: "the resolver is silent", Bend: func(w *world.World) { w.Lose(resolverByUDP, resolverByTCP) },
		Cause: "resolver", Class: "dns.timeout"},
	{Name: "the resolver is silent about the service", Bend: func(w *world.World) { w.ResolverSays(parts.Silent) },
		Cause: "resolver", Class: "dns.timeout"},
	{Name: "the resolver denies the service's name", Bend: func(w *world.World) { w.ResolverSays(parts.Missing) },
		Cause: "resolver", Class: "dns.name_not_resolved"},
	{Name: "the resolver denies every name", Bend: func(w *world.World) { w.TwistResolver(world.Says(dns.RcodeNameError)) },
		Cause: "resolver", Class: "dns.name_not_resolved"},
	{Name: "the resolver answers SERVFAIL", Bend: func(w *world.World) { w.TwistResolver(world.Says(dns.RcodeServerFailure)) },
		Cause: "resolver", Class: "dns.servfail"},
	{Name: "the resolver refuses the service's name", Bend: func(w *world.World) { w.ResolverSays(parts.Refusing) },
		Cause: "resolver", Class: "dns.refused"},
	{Name: "the resolver refuses every name", Bend: func(w *world.World) { w.TwistResolver(world.Says(dns.RcodeRefused)) },
		Cause: "resolver", Class: "dns.refused"},
	{Name: "a block list answers 0.0.0.0", Bend: func(w *world.World) { w.ResolverSays(parts.BlockList) },
		Cause: "resolver", Class: "dns.wrong_answer"},
	{Name: "the first nameserver is dead, the second is fine", Before: bothNameservers, Bend: (*world.World).StopResolver,
		Cause: "resolver_degraded", Class: "dns.unreachable"},
	{Name: "only AAAA is answered, and IPv6 works", Bend: func(w *world.World) { w.TwistResolver(world.OnlyAAAA) }, Cause: "resolver_degraded"},
	{Name: "only AAAA is answered, and there is no IPv6", Before: func(w *world.World) { w.Unroute("-6") },
		Bend: func(w *world.World) { w.TwistResolver(world.OnlyAAAA) }, Cause: "resolver"},
	{Name: "made-up names lead to a portal", Bend: func(w *world.World) { w.TwistResolver(world.Rewrites(false)) },
		Cause: "resolver_degraded", Class: "dns.wrong_answer"},
	{Name: "the service's name leads to a portal", Bend: func(w *world.World) { w.TwistResolver(world.Rewrites(true)) },
		Cause: "resolver", Class: "tls.cert.name_invalid"},
	{Name: "UDP port 53 is blocked, TCP is not", Bend: func(w *world.World) { w.Lose(namesByUDP) }, Cause: "resolver", Class: "dns.timeout"},
	{Name: "lookups with EDNS0 are lost", Bend: func(w *world.World) { w.Lose(namesByUDP + hasEDNS0) }, Cause: "healthy"},
	{Name: "TCP port 53 is blocked, UDP is not", Bend: func(w *world.World) { w.Lose(namesByTCP) }, Cause: "healthy"},
	{Name: "resolv.conf is empty", Bend: func(w *world.World) { w.ResolvConf("") }, Cause: "resolver", Class: "dns.no_nameserver"},
	{Name: "resolv.conf is missing", Bend: (*world.World).LoseResolvConf, Cause: "resolver", Class: "dns.no_nameserver"},
	{Name: "resolv.conf is unreadable", Bend: (*world.World).HideResolvConf, Cause: "resolver", Class: "dns.no_nameserver"},

	{Name: "resolv.conf still names the nameserver of a VPN that is gone", Bend: func(w *world.World) { w.Nameservers(vpnResolver) },
		Cause: "resolver", Class: "dns.timeout"},
	{Name: "resolv.conf names another nameserver as the first one goes", Bend: func(w *world.World) {
		w.Nameservers(world.SecondResolver)
		w.StopResolver()
	}, Cause: "healthy"},
	{Name: "a search domain", Bend: func(w *world.World) { w.ResolvConf(searching) }, Cause: "healthy"},
	{Name: "a search domain has an answer for every name", Before: func(w *world.World) { w.TwistResolver(world.Answers(".corp.example.")) },
		Bend: func(w *world.World) { w.ResolvConf(searching) }, Cause: "resolver", Class: "tls.cert.name_invalid"},

	{Name: "the hosts file sends the service's name home", Bend: func(w *world.World) { w.Hosts("127.0.0.1 " + world.ServiceName) },
		Cause: "resolver", Class: "dns.wrong_answer"},
	{Name: "the hosts file sends the service's name to a stranger", Bend: func(w *world.World) { w.Hosts(world.PortalAddress + " " + world.ServiceName) },
		Cause: "resolver", Class: "tls.cert.name_invalid"},

	{Name: "a route leads lookups into nothing", Bend: func(w *world.World) { w.Reroute("route add blackhole " + world.Resolver) },
		Cause: "resolver", Class: "local.no_route"},
	{Name: "the resolver implements nothing", Bend: func(w *world.World) { w.TwistResolver(world.Says(dns.RcodeNotImplemented)) },
		Cause: "resolver", Class: "dns.failed"},
	{Name: "nsswitch.conf names no nameserver", Bend: (*world.World).AskNobody, Cause: "resolver", Class: "dns.name_not_resolved"},
	{Name: "the resolver gives a private address", Bend: func(w *world.World) { w.TwistResolver(world.Places("10.1.2.3")) },
		Cause: "resolver", Class: "tcp.timed_out"},

	{Name: "a captive portal answers 200", Bend: func(w *world.World) { w.Portal(`200 "<html>sign in</html>"`) },
		Cause: "interception", Class: "http.unexpected_status"},
	{Name: "a captive portal redirects", Bend: func(w *world.World) { w.Portal("302 http://portal.example/") },
		Cause: "interception", Class: "http.redirected"},
	{Name: "a captive portal answers TLS alone", Bend: (*world.World).PortalForTLS, Cause: "interception", Class: "tls.cert.name_invalid"},
	{Name: "511", Bend: answers(511), Cause: "interception", Class: "http.unexpected_status"},
	{Name: "TLS is inspected", Bend: func(w *world.World) { w.Inspect(true) }, Cause: "interception", Class: "tls.cert.authority_invalid"},
	{Name: "TLS of the service alone is inspected", Bend: func(w *world.World) { w.Inspect(false) },
		Cause: "interception", Class: "tls.cert.authority_invalid"},

	{Name: "this host's clock is a year ahead", Bend: func(w *world.World) { w.HostAhead(year) },
		Cause: "clock", Class: "tls.cert.date_invalid"},
	{Name: "this host's clock is a year behind", Bend: func(w *world.World) { w.HostAhead(-year) },
		Cause: "clock", Class: "tls.cert.date_invalid"},
	{Name: "this host's clock is ten minutes ahead", Bend: func(w *world.World) { w.HostAhead(10 * time.Minute) }, Cause: "healthy"},

	{Name: "the CDN challenges", Bend: func(w *world.World) { w.ServiceAnswers(403, "cf-mitigated: challenge") },
		Cause: "edge_blocked", Class: "http.edge_blocked"},
	{Name: "429 with Retry-After", Bend: func(w *world.World) { w.ServiceAnswers(429, "Retry-After: 120") },
		Cause: "edge_blocked", Class: "http.rate_limited"},

	{Name: "the service's port is closed", Bend: (*world.World).CloseService, Cause: "upstream", Class: "tcp.refused"},
	{Name: "the service drops SYN", Bend: func(w *world.World) { w.Lose(dropsService, dropsService6) },
		Cause: "upstream", Class: "tcp.timed_out"},
	{Name: "the service accepts and says nothing", Bend: func(w *world.World) { w.OddService(world.SayNothing) },
		Cause: "upstream", Class: "tls.timed_out"},
	{Name: "the service stops in mid-handshake", Bend: func(w *world.World) { w.OddService(world.HalfShake) },
		Cause: "upstream", Class: "tls.timed_out"},
	{Name: "the service resets after ClientHello", Bend: func(w *world.World) { w.OddService(world.Reset) },
		Cause: "upstream", Class: "tls.closed"},
	{Name: "its certificate has expired", Bend: func(w *world.World) { w.ServiceShows(parts.Expired) },
		Cause: "upstream", Class: "tls.cert.date_invalid"},
	{Name: "its certificate signed itself", Bend: func(w *world.World) { w.ServiceShows(parts.BySelf) },
		Cause: "upstream", Class: "tls.cert.authority_invalid"},
	{Name: "its certificate names another", Bend: func(w *world.World) { w.ServiceShows(parts.OfAnotherName) },
		Cause: "upstream", Class: "tls.cert.name_invalid"},
	{Name: "500", Bend: answers(500), Cause: "upstream", Class: "http.server_error"},
	{Name: "502", Bend: answers(502), Cause: "upstream", Class: "http.server_error"},
	{Name: "503", Bend: answers(503), Cause: "upstream", Class: "http.server_error"},
	{Name: "504", Bend: answers(504), Cause: "upstream", Class: "http.server_error"},
	{Name: "the service answers too late", Bend: func(w *world.World) { w.ServiceThinks(20 * time.Second) },
		Cause: "upstream", Class: "http.timed_out"},
	{Name: "the service's name is gone everywhere", Bend: func(w *world.World) { w.EveryoneSays(parts.Missing) },
		Cause: "upstream", Class: "dns.name_not_resolved"},
	{Name: "its certificate is not valid yet", Bend: func(w *world.World) { w.ServiceShows(parts.NotYetValid) },
		Cause: "upstream", Class: "tls.cert.date_invalid"},
	{Name: "the network prohibits the service", Bend: func(w *world.World) {
		w.Reject(dropsService+" reject with icmp admin-prohibited", dropsService6+" reject with icmpv6 admin-prohibited")
	}, Cause: "upstream", Class: "tcp.address_unreachable"},
	{Name: "521 of its CDN", Bend: answers(521, "Server: cloudflare", "Cf-Ray: 8c1-FRA"), Cause: "upstream", Class: "http.server_error"},

	{Name: "200 instead of 405", Bend: answers(200), Cause: "unexpected_answer", Class: "http.unexpected_status"},
	{Name: "405 without Allow", Bend: answers(405), Cause: "unexpected_answer", Class: "http.unexpected_header"},
	{Name: "405 with Allow: GET", Bend: answers(405, "Allow: GET"), Cause: "unexpected_answer", Class: "http.unexpected_header"},
	{Name: "401", Bend: answers(401), Cause: "unexpected_answer", Class: "http.unauthorized"},
	{Name: "403 by the application", Bend: answers(403), Cause: "unexpected_answer", Class: "http.unexpected_status"},

	{Name: "a third of the round trips is lost", Config: world.Config{Interval: 6 * time.Second, Timeout: 5 * time.Second}, Bend: func(w *world.World) { w.Bend(wire.Bend{Loss: 0.16}) },
		Cause: "degraded", Or: []string{"healthy", "inconclusive", "resolver", "resolver_degraded", "host_offline", "ipv6", "ipv4"}},
	{Name: "a long way", Config: patient, Bend: func(w *world.World) { w.Bend(wire.Bend{Delay: 150 * time.Millisecond}) }, Cause: "healthy"},
	{Name: "a long way, longer than the bound",
		Config: world.Config{Interval: 4 * time.Second, Timeout: patientTimeout, Late: 500 * time.Millisecond},
		Bend:   func(w *world.World) { w.Bend(wire.Bend{Delay: 150 * time.Millisecond}) }, Cause: "degraded", Class: "ok"},
	{Name: "large packets vanish", Bend: func(w *world.World) { w.Bend(wire.Bend{Longest: 614}) }, Cause: "inconclusive", Class: "tls.timed_out"},
	{Name: "port 443 is blocked on the way", Bend: func(w *world.World) { w.Lose("tcp dport 443") }, Cause: "inconclusive", Class: "tcp.timed_out"},

	{Name: "one control of three is down", Bend: func(w *world.World) { w.CloseControls(1) }, Cause: "healthy"},
	{Name: "all controls are down, the service is fine", Bend: func(w *world.World) { w.CloseControls(3) }, Cause: "healthy"},
}

func bothNameservers(w *world.World) { w.Nameservers(world.Resolver, world.SecondResolver) }

func answers(status int, headers ...string) func(*world.World) {
	return func(w *world.World) { w.ServiceAnswers(status, headers...) }
}
