// Package scenes injects faults into the network of package world and checks netwatchd's verdict on each.
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

// A Scene is one fault, and the verdict that netwatchd must reach.
type Scene struct {
	Name   string
	Config world.Config       // how the configuration differs from the usual one
	Before func(*world.World) // prepares the healthy world; may be nil
	Inject func(*world.World) // injects the fault; nil: no fault
	Cause  string             // of the daemon's verdict
	Class  string             // of the decisive evidence; empty: not checked
	Says   []string           // parts of the title, the advice or the evidence: who is at fault, and what to do
	Inside string             // class of the head probe inside the sandbox; empty: not checked
	ByHand ByHand             // a command that is run at the same time
	Or     []string           // causes that are correct too, where chance decides
	Never  []string           // forbidden causes, in addition to those of Forbidden
	Allow  []string           // exceptions to Forbidden
}

// ByHand is a command that is run during the fault, and the verdict that it must print.
type ByHand struct {
	Command []string // netwatchd's arguments; empty: check
	Inside  bool     // run by the agent, inside its sandbox
	Cause   string   // empty: the daemon's
	Or      []string // causes that are correct too, where chance decides
	Class   string
}

// String is empty for a check with the daemon's verdict.
func (a ByHand) String() string {
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

func (a ByHand) command() []string {
	if len(a.Command) == 0 {
		return []string{"check"}
	}
	return a.Command
}

// byHand is ByHand with its defaults filled in.
func (s *Scene) byHand() ByHand {
	a := s.ByHand
	a.Command = a.command()
	if a.Cause == "" {
		a.Cause, a.Class = s.Cause, s.Class
	}
	return a
}

// Forbidden lists the causes that must not be found in this scene if named is the correct cause, neither as the main
// cause nor beside it: nobody may be woken without need, and nothing blamed that was not tested.
func (s *Scene) Forbidden(named string) []string {
	all := append([]string{"upstream", "stream", "account", "agent", "sandbox", "sandbox_open", "self_sandboxed"}, s.Never...)
	return slices.DeleteFunc(all, func(cause string) bool { return cause == named || slices.Contains(s.Allow, cause) })
}

const (
	dropsService  = "ip daddr " + world.ServiceIPv4 + " tcp dport 443"
	dropsService6 = "ip6 daddr " + world.ServiceIPv6 + " tcp dport 443"
	allTraffic    = "meta l4proto { tcp, udp, icmp }"
	toInternet    = "ip daddr != 192.0.2.0/24"
	toInternet6   = "ip6 daddr != 2001:db8:1::/64 meta l4proto tcp"
	dnsByUDP      = "udp dport 53"
	dnsByTCP      = "tcp dport 53"
	hasEDNS0      = " @th,144,16 1" // after 8 bytes of UDP and 10 of DNS: ARCOUNT is 1
	resolverByUDP = "ip daddr " + world.Resolver + " udp dport 53"
	resolverByTCP = "ip daddr " + world.Resolver + " tcp dport 53"
	reset         = " reject with tcp reset"
	vpnResolver   = "10.8.0.1"
	searching     = "search corp.example\noptions ndots:3\nnameserver " + world.Resolver + "\n"
	slowTimeout   = 3 * time.Second
	year          = 365 * 24 * time.Hour
)

var slowConfig = world.Config{Interval: 4 * time.Second, Timeout: slowTimeout}

// A Part is a list of scenes of one kind.
type Part struct {
	Title  string
	Scenes []Scene
}

// Parts are all parts, in the order of docs/truth-table.md.
var Parts = []Part{{"The network", network}, {"Proxies and the path to the service", ways},
	{"What the service answers and demands", demands}, {"Streams", streams}, {"The agent", agents}}

// All are the scenes of every part.
var All = slices.Concat(network, ways, demands, streams, agents)

// The network, from the host outwards.
var network = []Scene{
	{Name: "nothing is wrong", Cause: "healthy"},

	{Name: "the link is down", Inject: (*world.World).Unplug, Cause: "host_offline", Class: "local.no_interface"},
	{Name: "no default route", Inject: func(w *world.World) { w.Unroute("-4", "-6") }, Cause: "host_offline", Class: "local.no_route"},
	{Name: "the gateway drops everything", Inject: func(w *world.World) { w.Drop(allTraffic) },
		Cause: "host_offline", Class: "tcp.timed_out"},
	{Name: "a firewall on this host drops lookups", Inject: func(w *world.World) { w.Firewall(dnsByUDP + " drop") },
		Cause: "local_policy", Class: "local.denied"},

	{Name: "a firewall on this host drops the service", Config: slowConfig,
		Inject: func(w *world.World) { w.Firewall(dropsService+" drop", dropsService6+" drop") }, Cause: "local_policy", Class: "local.denied"},
	{Name: "a firewall on this host resets the service",
		Inject: func(w *world.World) { w.Firewall(dropsService+reset, dropsService6+reset) },
		Cause:  "local_policy", Class: "local.denied"},
	{Name: "DHCP has not answered", Inject: func(w *world.World) { w.Reroute("addr flush dev wan0") }, Cause: "host_offline", Class: "local.no_interface"},
	{Name: "a blackhole route for the service", Inject: func(w *world.World) {
		w.Reroute("route add blackhole "+world.ServiceIPv4, "-6 route add blackhole "+world.ServiceIPv6)
	}, Cause: "host_offline", Class: "local.no_route"},
	{Name: "the network rejects connections to ports 80 and 443", Inject: func(w *world.World) { w.Reject("tcp dport { 80, 443 }" + reset) },
		Cause: "host_offline", Class: "tcp.refused"},

	{Name: "only IPv6 is broken", Inject: func(w *world.World) { w.Drop(toInternet6) }, Cause: "ipv6", Class: "tcp.timed_out"},
	{Name: "only IPv4 is broken", Inject: func(w *world.World) { w.Drop(toInternet) }, Cause: "ipv4", Class: "tcp.timed_out"},
	{Name: "no IPv6 at all", Inject: func(w *world.World) { w.Unroute("-6") }, Cause: "healthy"},

	{Name: "the proxy is down", Before: func(w *world.World) { w.UseProxy() }, Inject: func(w *world.World) { w.Proxy.Stop() },
		Cause: "proxy", Class: "proxy.refused"},
	{Name: "the proxy requires credentials", Before: func(w *world.World) { w.UseProxy() }, Inject: func(w *world.World) { w.Proxy.RequireLogin(`Basic realm="office"`) },
		Cause: "proxy", Class: "proxy.auth_required"},
	{Name: "the service's port is closed, behind a proxy", Before: func(w *world.World) { w.UseProxy() },
		Inject: func(w *world.World) { w.CloseService() }, Cause: "upstream", Class: "tcp.refused"},
	{Name: "the proxy answers every request itself", Before: func(w *world.World) { w.UseProxy() }, Inject: func(w *world.World) { w.Proxy.AnswerAll() },
		Cause: "proxy", Class: "tls.protocol.error"},

	{Name: "the resolver is stopped", Inject: (*world.World).StopResolver, Cause: "resolver", Class: "dns.unreachable"},
	{Name: "the resolver does not answer", Inject: func(w *world.World) { w.Drop(resolverByUDP, resolverByTCP) },
		Cause: "resolver", Class: "dns.timeout"},
	{Name: "the resolver does not answer for the service's name", Inject: func(w *world.World) { w.ResolverAnswers(parts.Silent) },
		Cause: "resolver", Class: "dns.timeout"},
	{Name: "the resolver answers NXDOMAIN for the service's name", Inject: func(w *world.World) { w.ResolverAnswers(parts.Missing) },
		Cause: "resolver", Class: "dns.name_not_resolved"},
	{Name: "the resolver answers NXDOMAIN for every name", Inject: func(w *world.World) { w.ScriptResolver(world.Rcode(dns.RcodeNameError)) },
		Cause: "resolver", Class: "dns.name_not_resolved"},
	{Name: "the resolver answers SERVFAIL", Inject: func(w *world.World) { w.ScriptResolver(world.Rcode(dns.RcodeServerFailure)) },
		Cause: "resolver", Class: "dns.servfail"},
	{Name: "the resolver answers REFUSED for the service's name", Inject: func(w *world.World) { w.ResolverAnswers(parts.Refusing) },
		Cause: "resolver", Class: "dns.refused"},
	{Name: "the resolver answers REFUSED for every name", Inject: func(w *world.World) { w.ScriptResolver(world.Rcode(dns.RcodeRefused)) },
		Cause: "resolver", Class: "dns.refused"},
	{Name: "a block list answers 0.0.0.0", Inject: func(w *world.World) { w.ResolverAnswers(parts.BlockList) },
		Cause: "resolver", Class: "dns.wrong_answer"},
	{Name: "the first nameserver is down, the second works", Before: bothNameservers, Inject: (*world.World).StopResolver,
		Cause: "resolver_degraded", Class: "dns.unreachable"},
	{Name: "only AAAA is answered, and IPv6 works", Inject: func(w *world.World) { w.ScriptResolver(world.OnlyAAAA) }, Cause: "resolver_degraded"},
	{Name: "only AAAA is answered, and there is no IPv6", Before: func(w *world.World) { w.Unroute("-6") },
		Inject: func(w *world.World) { w.ScriptResolver(world.OnlyAAAA) }, Cause: "resolver"},
	{Name: "names that do not exist resolve to a captive portal", Inject: func(w *world.World) { w.ScriptResolver(world.RedirectMissing(false)) },
		Cause: "resolver_degraded", Class: "dns.wrong_answer"},
	{Name: "the service's name resolves to a captive portal", Inject: func(w *world.World) { w.ScriptResolver(world.RedirectMissing(true)) },
		Cause: "resolver", Class: "tls.cert.name_invalid"},
	{Name: "UDP port 53 is blocked, TCP is not", Inject: func(w *world.World) { w.Drop(dnsByUDP) }, Cause: "resolver", Class: "dns.timeout"},
	{Name: "lookups with EDNS0 are dropped", Inject: func(w *world.World) { w.Drop(dnsByUDP + hasEDNS0) }, Cause: "healthy"},
	{Name: "TCP port 53 is blocked, UDP is not", Inject: func(w *world.World) { w.Drop(dnsByTCP) }, Cause: "healthy"},
	{Name: "resolv.conf is empty", Inject: func(w *world.World) { w.ResolvConf("") }, Cause: "resolver", Class: "dns.no_nameserver"},
	{Name: "resolv.conf is missing", Inject: (*world.World).RemoveResolvConf, Cause: "resolver", Class: "dns.no_nameserver"},
	{Name: "resolv.conf is unreadable", Inject: (*world.World).HideResolvConf, Cause: "resolver", Class: "dns.no_nameserver"},

	{Name: "resolv.conf still lists the nameserver of a disconnected VPN", Inject: func(w *world.World) { w.Nameservers(vpnResolver) },
		Cause: "resolver", Class: "dns.timeout"},
	{Name: "the nameserver stops and resolv.conf lists another one", Inject: func(w *world.World) {
		w.Nameservers(world.SecondResolver)
		w.StopResolver()
	}, Cause: "healthy"},
	{Name: "a search domain", Inject: func(w *world.World) { w.ResolvConf(searching) }, Cause: "healthy"},
	{Name: "a search domain resolves every name", Before: func(w *world.World) { w.ScriptResolver(world.RedirectDomain(".corp.example.")) },
		Inject: func(w *world.World) { w.ResolvConf(searching) }, Cause: "resolver", Class: "tls.cert.name_invalid"},

	{Name: "the hosts file maps the service's name to this host", Inject: func(w *world.World) { w.Hosts("127.0.0.1 " + world.ServiceName) },
		Cause: "resolver", Class: "dns.wrong_answer"},
	{Name: "the hosts file maps the service's name to another server", Inject: func(w *world.World) { w.Hosts(world.PortalAddress + " " + world.ServiceName) },
		Cause: "resolver", Class: "tls.cert.name_invalid"},

	{Name: "a blackhole route for the resolver", Inject: func(w *world.World) { w.Reroute("route add blackhole " + world.Resolver) },
		Cause: "resolver", Class: "local.no_route"},
	{Name: "the resolver answers NOTIMP", Inject: func(w *world.World) { w.ScriptResolver(world.Rcode(dns.RcodeNotImplemented)) },
		Cause: "resolver", Class: "dns.failed"},
	{Name: "nsswitch.conf does not use DNS", Inject: (*world.World).WithoutDNS, // codex does not read it
		Cause: "resolver_degraded", Class: "dns.name_not_resolved"},
	{Name: "the resolver answers REFUSED for AAAA", Inject: func(w *world.World) { w.ScriptResolver(world.RcodeOfAAAA(dns.RcodeRefused)) },
		Cause: "resolver", Class: "dns.refused"},
	{Name: "the resolver answers SERVFAIL for AAAA", Inject: func(w *world.World) { w.ScriptResolver(world.RcodeOfAAAA(dns.RcodeServerFailure)) },
		Cause: "resolver", Class: "dns.servfail"},
	{Name: "the resolver answers NXDOMAIN for AAAA", Inject: func(w *world.World) { w.ScriptResolver(world.RcodeOfAAAA(dns.RcodeNameError)) },
		Cause: "resolver", Class: "dns.name_not_resolved"},
	{Name: "the resolver answers AAAA for another name, as WSL's DNS tunnel",
		Inject: func(w *world.World) { w.ScriptResolver(world.SuffixAAAA("corp.example.")) }, Cause: "resolver", Class: "dns.failed"},
	{Name: "the resolver returns a private address for the service's name", Inject: func(w *world.World) { w.ScriptResolver(world.ServiceAt("10.1.2.3")) },
		Cause: "resolver", Class: "tcp.timed_out"},

	{Name: "a captive portal answers 200", Inject: func(w *world.World) { w.Portal(`200 "<html>sign in</html>"`) },
		Cause: "interception", Class: "http.unexpected_status"},
	{Name: "a captive portal redirects", Inject: func(w *world.World) { w.Portal("302 http://portal.example/") },
		Cause: "interception", Class: "http.redirected"},
	{Name: "a captive portal answers TLS connections only", Inject: (*world.World).PortalForTLS, Cause: "interception", Class: "tls.cert.name_invalid"},
	{Name: "511", Inject: answers(511), Cause: "interception", Class: "http.unexpected_status"},
	{Name: "TLS is inspected", Inject: func(w *world.World) { w.Inspect(true) }, Cause: "interception", Class: "tls.cert.authority_invalid"},
	{Name: "only the service's TLS is inspected", Inject: func(w *world.World) { w.Inspect(false) },
		Cause: "interception", Class: "tls.cert.authority_invalid"},

	{Name: "this host's clock is a year ahead", Inject: func(w *world.World) { w.HostClockAhead(year) },
		Cause: "clock", Class: "tls.cert.date_invalid"},
	{Name: "this host's clock is a year behind", Inject: func(w *world.World) { w.HostClockAhead(-year) },
		Cause: "clock", Class: "tls.cert.date_invalid"},
	{Name: "this host's clock is ten minutes ahead", Inject: func(w *world.World) { w.HostClockAhead(10 * time.Minute) }, Cause: "healthy"},

	{Name: "the CDN answers with a challenge", Inject: func(w *world.World) { w.ServiceAnswers(403, "cf-mitigated: challenge") },
		Cause: "edge_blocked", Class: "http.edge_blocked"},
	{Name: "429 with Retry-After", Inject: func(w *world.World) { w.ServiceAnswers(429, "Retry-After: 120") },
		Cause: "edge_blocked", Class: "http.rate_limited"},
	{Name: "403 where 405 is expected", Inject: answers(403), Cause: "edge_blocked", Class: "http.edge_blocked"},

	{Name: "the service's port is closed", Inject: (*world.World).CloseService, Cause: "upstream", Class: "tcp.refused"},
	{Name: "packets to the service are dropped", Inject: func(w *world.World) { w.Drop(dropsService, dropsService6) },
		Cause: "upstream", Class: "tcp.timed_out"},
	{Name: "the service accepts and never answers", Inject: func(w *world.World) { w.MisbehavingService(world.AcceptOnly) },
		Cause: "upstream", Class: "tls.timed_out"},
	{Name: "the service stops in the middle of the TLS handshake", Inject: func(w *world.World) { w.MisbehavingService(world.HalfHandshake) },
		Cause: "upstream", Class: "tls.timed_out"},
	{Name: "the service resets after ClientHello", Inject: func(w *world.World) { w.MisbehavingService(world.Reset) },
		Cause: "upstream", Class: "tls.closed"},
	{Name: "the service's certificate has expired", Inject: func(w *world.World) { w.ServiceCertificate(parts.Expired) },
		Cause: "upstream", Class: "tls.cert.date_invalid"},
	{Name: "the service's certificate is self-signed", Inject: func(w *world.World) { w.ServiceCertificate(parts.BySelf) },
		Cause: "upstream", Class: "tls.cert.authority_invalid"},
	{Name: "the service's certificate is for another name", Inject: func(w *world.World) { w.ServiceCertificate(parts.OfAnotherName) },
		Cause: "upstream", Class: "tls.cert.name_invalid"},
	{Name: "500", Inject: answers(500), Cause: "upstream", Class: "http.server_error"},
	{Name: "502", Inject: answers(502), Cause: "upstream", Class: "http.server_error"},
	{Name: "503", Inject: answers(503), Cause: "upstream", Class: "http.server_error"},
	{Name: "504", Inject: answers(504), Cause: "upstream", Class: "http.server_error"},
	{Name: "the service answers after the timeout", Inject: func(w *world.World) { w.DelayService(20 * time.Second) },
		Cause: "upstream", Class: "http.timed_out"},
	{Name: "no resolver knows the service's name", Inject: func(w *world.World) { w.AllResolversAnswer(parts.Missing) },
		Cause: "upstream", Class: "dns.name_not_resolved"},
	{Name: "the service's certificate is not valid yet", Inject: func(w *world.World) { w.ServiceCertificate(parts.NotYetValid) },
		Cause: "upstream", Class: "tls.cert.date_invalid"},
	{Name: "the network rejects packets to the service", Inject: func(w *world.World) {
		w.Reject(dropsService+" reject with icmp admin-prohibited", dropsService6+" reject with icmpv6 admin-prohibited")
	}, Cause: "path", Class: "tcp.address_unreachable"},
	{Name: "only routing discovery fails", Config: world.Config{Routing: true}, Inject: (*world.World).RefuseRouting,
		Cause: "upstream", Class: "http.server_error"},
	{Name: "521 from the service's CDN", Inject: answers(521, "Server: cloudflare", "Cf-Ray: 8c1-FRA"), Cause: "upstream", Class: "http.server_error"},

	{Name: "200 instead of 405", Inject: answers(200), Cause: "unexpected_answer", Class: "http.unexpected_status"},
	{Name: "405 without Allow", Inject: answers(405), Cause: "unexpected_answer", Class: "http.unexpected_header"},
	{Name: "405 with Allow: GET", Inject: answers(405, "Allow: GET"), Cause: "unexpected_answer", Class: "http.unexpected_header"},
	{Name: "401", Inject: answers(401), Cause: "unexpected_answer", Class: "http.unauthorized"},

	{Name: "a third of the round trips are lost", Config: world.Config{Interval: 6 * time.Second, Timeout: 5 * time.Second}, Inject: func(w *world.World) { w.Impair(wire.Impairment{Loss: 0.16}) },
		Cause: "degraded", Or: []string{"healthy", "inconclusive", "resolver", "resolver_degraded", "host_offline", "ipv6", "ipv4"}},
	{Name: "the service fails every fifth request", Inject: func(w *world.World) { w.FailEvery(5) },
		Cause: "degraded", Class: "http.server_error", ByHand: ByHand{Cause: "healthy", Or: []string{"degraded", "ipv6", "ipv4"}}},
	{Name: "a slow network path", Config: slowConfig, Inject: func(w *world.World) { w.Impair(wire.Impairment{Delay: 150 * time.Millisecond}) }, Cause: "healthy"},
	{Name: "a slow network path, slower than configured",
		Config: world.Config{Interval: 4 * time.Second, Timeout: slowTimeout, Late: 500 * time.Millisecond},
		Inject: func(w *world.World) { w.Impair(wire.Impairment{Delay: 150 * time.Millisecond}) }, Cause: "degraded", Class: "ok"},
	{Name: "large packets are dropped", Inject: func(w *world.World) { w.Impair(wire.Impairment{MaxFrame: 614}) }, Cause: "path", Class: "tls.timed_out"},
	{Name: "large packets to the service are dropped", Inject: func(w *world.World) {
		w.Drop(dropsService+" meta length > 700", dropsService6+" meta length > 700")
	}, Cause: "path", Class: "tls.timed_out"},
	{Name: "large packets to the service's IPv6 address are dropped",
		Inject: func(w *world.World) { w.Drop(dropsService6 + " meta length > 700") }, Cause: "ipv6", Class: "tls.timed_out"},
	{Name: "packets to the service's IPv6 address are dropped",
		Inject: func(w *world.World) { w.Drop(dropsService6) }, Cause: "ipv6", Class: "tcp.timed_out"},
	{Name: "the service's IPv6 address accepts connections and carries nothing", Inject: func(w *world.World) {
		w.Divert("ip6 daddr "+world.ServiceIPv6+" tcp dport 443", world.AcceptOnly)
	}, Cause: "ipv6", Class: "tls.timed_out"},
	{Name: "a TUN proxy takes the service's connections and ends them", Inject: func(w *world.World) {
		w.ScriptResolver(world.ServiceAt(world.DirectResolvers[0]))
		w.Misbehaving(world.DirectResolvers[0]+":443", world.Reset)
	}, Cause: "proxy", Class: "tls.closed"},
	{Name: "a TUN proxy takes the service's connections and carries nothing", Inject: func(w *world.World) {
		w.ScriptResolver(world.ServiceAt(world.DirectResolvers[0]))
		w.Misbehaving(world.DirectResolvers[0]+":443", world.AcceptOnly)
	}, Cause: "proxy", Class: "tls.timed_out"},
	{Name: "a TUN proxy takes the service's connections and refuses them",
		Inject: func(w *world.World) { w.ScriptResolver(world.ServiceAt(world.DirectResolvers[0])) }, Cause: "proxy", Class: "tcp.refused"},
	{Name: "the network drops packets to port 443", Inject: func(w *world.World) { w.Drop("tcp dport 443") }, Cause: "inconclusive", Class: "tcp.timed_out"},

	{Name: "one control of three is down", Inject: func(w *world.World) { w.CloseControls(1) }, Cause: "healthy"},
	{Name: "all controls are down, the service is fine", Inject: func(w *world.World) { w.CloseControls(3) }, Cause: "healthy"},
}

func bothNameservers(w *world.World) { w.Nameservers(world.Resolver, world.SecondResolver) }

func answers(status int, headers ...string) func(*world.World) {
	return func(w *world.World) { w.ServiceAnswers(status, headers...) }
}
