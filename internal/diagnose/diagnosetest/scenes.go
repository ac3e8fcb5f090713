// Package diagnosetest provides rounds of results as users meet them, for tests of packages that show a verdict.
package diagnosetest

import (
	"net/netip"
	"slices"
	"time"

	"netwatchd/internal/causes"
	"netwatchd/internal/clientrules"
	"netwatchd/internal/diagnose"
)

// A Scene is a round of results, and the verdict it must lead to.
type Scene struct {
	Name     string
	Round    diagnose.Round // all results of the round, successes included
	Cause    causes.Cause
	Also     []causes.Cause
	Decisive string // the class of the first piece of evidence

	world           string
	sandbox         diagnose.Want
	client          clientrules.Client // zero: codex's
	owner           diagnose.Owner
	certificateLeft time.Duration
	known           string // the address that the name resolved to before
}

// nameUnknown, after [Working], is a name that every nameserver reports as missing.
const nameUnknown = ` -exec *.svc:dns.name_not_resolved dns:dns.name_not_resolved head:dns.name_not_resolved
	stream:dns.name_not_resolved`

// onThisHost is a service as ollama is: no name is looked up, and its requests stay on this host.
const onThisHost = ` -dns -stream -exec head:ok(target=http://localhost:11434/,peer=127.0.0.1:11434,route=|own) `

// late is the bound of every scene: an answer that took longer is late.
const late = 250 * time.Millisecond

// Scenes returns every scene. Nothing in it is shared with what an earlier call returned.
func Scenes() []Scene {
	all := slices.Clone(scenes)
	for i := range all {
		s := &all[i]
		if s.client == (clientrules.Client{}) {
			s.client = clientrules.Codex()
		}
		s.Round = diagnose.Round{Service: "codex", Results: Results(s.world),
			Expect: diagnose.Expect{Sandbox: s.sandbox, Client: s.client, Owner: s.owner,
				CertificateLeft: s.certificateLeft, Late: late}}
		if s.known != "" {
			s.Round.Known = []netip.Addr{netip.MustParseAddr(s.known)}
		}
	}
	return all
}

// Named returns the scene of that name, and panics if there is none.
func Named(name string) Scene {
	all := Scenes()
	i := slices.IndexFunc(all, func(s Scene) bool { return s.Name == name })
	if i < 0 {
		panic("diagnosetest: no scene " + name)
	}
	return all[i]
}

// scenes are the situations that users meet, each with the one cause it must lead to: what would the person who is
// paged want to read?
var scenes = []Scene{
	// Nothing wrong.
	{Name: "nothing wrong", Cause: causes.Healthy, Decisive: "ok",
		world: Working},
	{Name: "nothing wrong, nothing but the probes", Cause: causes.Healthy, Decisive: "ok",
		world: bare},
	{Name: "all controls down, the service fine", Cause: causes.Healthy, Decisive: "ok",
		world: Working + ` c*:tcp.timed_out a*:tcp.timed_out`},
	{Name: "one control of three down", Cause: causes.Healthy, Decisive: "ok",
		world: Working + ` c1:tcp.timed_out a1:tcp.timed_out`},
	{Name: "one control of three changes its answer", Cause: causes.Healthy, Decisive: "ok",
		world: Working + ` c1:http.unexpected_status`},
	{Name: "public resolvers blocked, as in many offices", Cause: causes.Healthy, Decisive: "ok",
		world: Working + ` pub.*:dns.timeout`},
	{Name: "captive portal for plain HTTP, service not affected", Cause: causes.Healthy, Decisive: "ok",
		Also:  []causes.Cause{causes.Interception},
		world: Working + ` c*:http.redirected a*:http.redirected`},
	{Name: "clock a year ahead, certificates still valid", Cause: causes.Healthy, Decisive: "ok",
		world: Working + ` c*:ok(date=-8760h)`},
	{Name: "only DNS is watched, healthy", Cause: causes.Healthy, Decisive: "ok",
		world: `dns:ok(answers=1.2.3.4)`},

	// This host.
	{Name: "link down", Cause: causes.HostOffline, Decisive: "local.no_interface",
		world: Working + Offline + ` link:local.no_interface route:local.no_route a*:local.no_route`},
	{Name: "no default route", Cause: causes.HostOffline, Decisive: "local.no_route",
		world: Working + Offline + ` route:local.no_route a*:local.no_route`},
	{Name: "gateway drops everything", Cause: causes.HostOffline, Decisive: "tcp.timed_out",
		world: Working + Offline},
	{Name: "gateway drops everything, controls by name only", Cause: causes.HostOffline, Decisive: "dns.timeout",
		world: Working + Offline + ` -a*`},
	{Name: "gateway drops everything, the stub resolver reports SERVFAIL", Cause: causes.HostOffline,
		Decisive: "tcp.timed_out",
		world:    Working + Offline + ` ns1.*:dns.servfail c*:dns.servfail dns:dns.servfail head:dns.servfail`},
	{Name: "gateway drops everything, cached name", Cause: causes.HostOffline, Decisive: "tcp.timed_out",
		world: Working + Offline + ` dns:ok ns1.svc:ok head:tcp.timed_out stream:tcp.timed_out`},
	{Name: "offline, without any host check", Cause: causes.HostOffline, Decisive: "tcp.timed_out",
		world: Offline + ` c1:dns.timeout a1:tcp.timed_out`},
	{Name: "no route to the service alone", Cause: causes.HostOffline, Decisive: "local.no_route",
		world: Working + ` head:local.no_route stream:local.no_route exec:exec.network`},
	{Name: "no route, but the service answers", Cause: causes.Healthy, Decisive: "ok",
		world: Working + ` route:local.no_route`},
	{Name: "gateway does not answer ARP", Cause: causes.HostOffline, Decisive: "local.no_route",
		world: Working + Offline + ` -link route:ok(signals=ipv4) *.ctl:dns.timeout dns:ok head:local.no_route
			stream:local.no_route c*:local.no_route a*:local.no_route`},
	{Name: "link down, the service is on this host", Cause: causes.ResolverDegraded, Decisive: "dns.unreachable",
		world: Working + Offline + onThisHost + ` ns1.*:dns.unreachable link:local.no_interface route:local.no_route
			a*:local.no_route`},
	{Name: "resolver down, the service is on this host", Cause: causes.ResolverDegraded, Decisive: "dns.unreachable",
		world: Working + onThisHost + ` ns1.*:dns.unreachable c*:dns.unreachable`},
	{Name: "resolver for localhost alone down, other names resolve", Cause: causes.ResolverDegraded,
		Decisive: "dns.unreachable",
		world:    Working + onThisHost + ` ns1.*:dns.unreachable`},
	{Name: "no address from DHCP", Cause: causes.HostOffline, Decisive: "local.no_interface",
		world: Working + Offline + ` link:local.no_interface(why=no.address.on.eth0:.has.DHCP.answered?)
			route:local.no_route a*:local.no_route`},
	{Name: "DNS works, every connection is blocked", Cause: causes.HostOffline, Decisive: "tcp.refused",
		world: Working + ` c1:tcp.refused(target=http://alpha.example/) c2:tcp.refused(target=http://beta.example/)
			c3:tcp.refused a*:tcp.refused a1:local.no_route head:tcp.refused stream:tcp.refused exec:exec.network`},
	{Name: "controls and service fail differently", Cause: causes.Inconclusive, Decisive: "tcp.refused",
		world: Working + ` c1:tcp.timed_out(target=http://alpha.example/)
			c2:tcp.timed_out(target=http://beta.example/) c3:tcp.timed_out a*:tcp.timed_out head:tcp.refused
			stream:tcp.refused`},
	{Name: "the only control is down too", Cause: causes.Inconclusive, Decisive: "tcp.refused",
		world: `c1:tcp.refused(target=http://alpha.example/) a1:tcp.refused(target=http://alpha.example/)
			pub.ctl:ok pub.svc:ok dns:ok head:tcp.refused`},
	{Name: "firewall refuses the service", Cause: causes.LocalPolicy, Decisive: "local.denied",
		world: Working + ` head:local.denied stream:local.denied exec:exec.network`},
	{Name: "firewall refuses everything", Cause: causes.LocalPolicy, Decisive: "local.denied",
		world: Working + ` ns1.*:local.denied pub.*:local.denied c*:local.denied a*:local.denied dns:local.denied
			head:local.denied@resolve`},
	{Name: "firewall refuses port 53", Cause: causes.LocalPolicy, Decisive: "local.denied",
		world: Working + ` ns1.*:local.denied pub.*:local.denied c*:local.denied@resolve dns:local.denied
			head:local.denied@resolve`},
	{Name: "firewall refuses the controls and drops the service",
		Cause: causes.LocalPolicy, Decisive: "local.denied",
		world: Working + ` c*:local.denied a*:local.denied head:tcp.timed_out stream:tcp.timed_out`},
	{Name: "firewall refuses the controls alone", Cause: causes.Healthy, Decisive: "ok",
		world: Working + ` c*:local.denied a*:local.denied`},
	{Name: "firewall refuses only the agent's process", Cause: causes.LocalPolicy, Decisive: "local.denied",
		world: Working + ` exec:local.denied`},
	{Name: "self sandboxed", Cause: causes.SelfSandboxed, Decisive: "local.denied",
		world: Working + Offline + ` sandbox:local.denied ns1.*:local.denied c*:local.denied a*:local.denied
			dns:local.denied head:local.denied@resolve`},
	{Name: "self sandboxed, managed proxy refuses", Cause: causes.SelfSandboxed, Decisive: "local.denied",
		sandbox: diagnose.WantOpen,
		world: Working + ` sandbox:local.denied c*:http.edge_blocked a*:tcp.refused dns:dns.unreachable
			head:proxy.failed`},
	{Name: "out of sockets", Cause: causes.Inconclusive, Decisive: "local.resources",
		world: Working + ` c*:local.resources a*:local.resources dns:local.resources head:local.resources`},

	// The proxy.
	{Name: "proxy dead", Cause: causes.Proxy, Decisive: "proxy.refused",
		world: Working + ` c*:proxy.refused a*:proxy.refused head:proxy.refused stream:proxy.refused
			exec:exec.network`},
	{Name: "proxy dead, the service reached without it", Cause: causes.Proxy, Decisive: "proxy.refused",
		world: Working + ` head:proxy.refused(proxy=http://10.0.0.1:3128) stream:proxy.refused d.head:ok(status=405)`},
	{Name: "proxy requires credentials", Cause: causes.Proxy, Decisive: "proxy.auth_required",
		world: Working + ` head:proxy.auth_required stream:proxy.auth_required`},
	{Name: "proxy is the only way out, and dead", Cause: causes.Proxy, Decisive: "proxy.unreachable",
		world: Working + ` ns1.ctl:dns.name_not_resolved ns1.svc:dns.name_not_resolved pub.*:dns.timeout
			c*:proxy.unreachable a*:tcp.timed_out dns:dns.name_not_resolved head:proxy.unreachable`},
	{Name: "gateway drops everything, behind a proxy", Cause: causes.HostOffline, Decisive: "tcp.timed_out",
		world: Working + Offline + ` head:proxy.unreachable(proxy=http://10.0.0.1:3128)
			stream:proxy.unreachable(proxy=http://10.0.0.1:3128)`},
	{Name: "proxy refuses while nothing outside answers", Cause: causes.Proxy, Decisive: "proxy.refused",
		world: Working + Offline + ` head:proxy.refused(proxy=http://10.0.0.1:3128)
			stream:proxy.refused(proxy=http://10.0.0.1:3128)`},
	{Name: "proxy resolves, the office's resolver does not",
		Cause: causes.ResolverDegraded, Decisive: "dns.name_not_resolved",
		world: Working + ` ns1.ctl:dns.name_not_resolved ns1.svc:dns.name_not_resolved dns:dns.name_not_resolved`},
	{Name: "proxy answers for every site itself", Cause: causes.Proxy, Decisive: "tls.closed",
		world: Working + ` c1:http.unexpected_status(proxy=http://10.0.0.1:3128)
			c3:tls.closed(target=https://gamma.example/,proxy=http://10.0.0.1:3128)
			head:tls.closed(proxy=http://10.0.0.1:3128) stream:tls.closed(proxy=http://10.0.0.1:3128)`},
	{Name: "proxy answers for the service itself, which is reached without it", Cause: causes.Proxy,
		Decisive: "tls.closed",
		world: Working + ` head:tls.closed(proxy=http://10.0.0.1:3128) stream:tls.closed(proxy=http://10.0.0.1:3128)
			d.head:ok(status=405)`},
	{Name: "proxy forwards to others, the service closes the handshake", Cause: causes.Upstream, Decisive: "tls.closed",
		world: Working + ` c3:ok(target=https://gamma.example/,proxy=http://10.0.0.1:3128)
			head:tls.closed(proxy=http://10.0.0.1:3128) stream:tls.closed(proxy=http://10.0.0.1:3128)`},
	{Name: "behind a proxy that forwarded no control", Cause: causes.Inconclusive, Decisive: "tls.closed",
		world: Working + ` head:tls.closed(proxy=http://10.0.0.1:3128) stream:tls.closed(proxy=http://10.0.0.1:3128)`},
	{Name: "503 with the service's own certificate, through a proxy that forwarded no control",
		Cause: causes.Upstream, Decisive: "http.server_error",
		world: Working + ` head:http.server_error(status=503,proxy=http://10.0.0.1:3128)`},
	{Name: "the service is down, and the proxy reports it", Cause: causes.Upstream, Decisive: "tcp.refused",
		world: Working + ` c3:ok(target=https://gamma.example/,proxy=http://10.0.0.1:3128)
			a3:ok(target=https://gamma.example/)
			head:proxy.failed(proxy=http://10.0.0.1:3128,warn=proxy_got_nowhere)
			stream:proxy.failed(proxy=http://10.0.0.1:3128,warn=proxy_got_nowhere) d.head:tcp.refused`},
	{Name: "the proxy forbids it, and the service is down too", Cause: causes.Proxy, Decisive: "proxy.failed",
		world: Working + ` c3:ok(target=https://gamma.example/,proxy=http://10.0.0.1:3128)
			a3:ok(target=https://gamma.example/) head:proxy.failed(proxy=http://10.0.0.1:3128)
			stream:proxy.failed(proxy=http://10.0.0.1:3128) d.head:tcp.refused`},
	{Name: "the proxy does not reach the service, and no TLS works without it",
		Cause: causes.Proxy, Decisive: "proxy.failed",
		world: Working + ` c3:ok(target=https://gamma.example/,proxy=http://10.0.0.1:3128)
			a3:tcp.timed_out(target=https://gamma.example/)
			head:proxy.failed(proxy=http://10.0.0.1:3128,warn=proxy_got_nowhere)
			stream:proxy.failed(proxy=http://10.0.0.1:3128,warn=proxy_got_nowhere) d.head:tcp.timed_out`},
	{Name: "proxy forwards to others, but not to the service", Cause: causes.Proxy, Decisive: "proxy.failed",
		world: Working + ` c3:ok(target=https://gamma.example/,proxy=http://10.0.0.1:3128)
			head:proxy.failed(proxy=http://10.0.0.1:3128) stream:proxy.failed(proxy=http://10.0.0.1:3128)`},
	{Name: "the two spellings differ, and the agent's proxy is dead", Cause: causes.Proxy, Decisive: "proxy.refused",
		world: Working + ` head:proxy.refused(proxy=http://10.0.0.1:3129,from=HTTPS_PROXY,warn=proxy_spellings_differ,
			note=HTTPS_PROXY.and.https_proxy.differ) stream:proxy.refused d.head:ok(status=405)`},
	{Name: "the two spellings differ, and the agent's proxy works", Cause: causes.Healthy, Decisive: "ok",
		Also: []causes.Cause{causes.Degraded},
		world: Working + ` head:ok(status=405,proxy=http://10.0.0.1:3128,from=HTTPS_PROXY,warn=proxy_spellings_differ,
			note=HTTPS_PROXY.and.https_proxy.differ)`},
	{Name: "proxy accepts no password", Cause: causes.Proxy, Decisive: "proxy.auth_required",
		world: Working + ` head:proxy.auth_required(proxy=http://10.0.0.1:3128,warn=proxy_no_password,
			schemes=Negotiate|NTLM) stream:proxy.auth_required`},
	{Name: "proxy accepts no password, and got one", Cause: causes.Proxy, Decisive: "proxy.auth_required",
		world: Working + ` head:proxy.auth_required(proxy=http://10.0.0.1:3128,
			warn=proxy_no_password|proxy_credentials_refused,schemes=Negotiate|NTLM) stream:proxy.auth_required`},
	{Name: "proxy refuses the password", Cause: causes.Proxy, Decisive: "proxy.auth_required",
		world: Working + ` head:proxy.auth_required(proxy=http://10.0.0.1:3128,warn=proxy_credentials_refused,
			schemes=Basic) stream:proxy.auth_required`},
	{Name: "proxy swallows what is for the service alone", Cause: causes.Proxy, Decisive: "tls.timed_out",
		world: Working + ` c3:ok(target=https://gamma.example/,proxy=http://10.0.0.1:3128)
			head:tls.timed_out(proxy=http://10.0.0.1:3128) stream:tls.timed_out(proxy=http://10.0.0.1:3128)
			d.head:ok(status=405)`},
	{Name: "proxy resets after CONNECT", Cause: causes.Proxy, Decisive: "tcp.reset",
		world: Working + ` c3:tcp.reset@tls(target=https://gamma.example/,proxy=http://10.0.0.1:3128)
			head:tcp.reset@tls(proxy=http://10.0.0.1:3128) d.head:ok(status=405)`},
	{Name: "proxy cuts requests in the tunnel", Cause: causes.Proxy, Decisive: "http.closed",
		world: Working + ` head:http.closed(proxy=http://10.0.0.1:3128) d.head:ok(status=405)`},
	{Name: "the service is down behind a working proxy, and without it", Cause: causes.Upstream, Decisive: "tls.closed",
		world: Working + ` c3:ok(target=https://gamma.example/,proxy=http://10.0.0.1:3128)
			head:tls.closed(proxy=http://10.0.0.1:3128) stream:tls.closed(proxy=http://10.0.0.1:3128) d.head:tls.closed`},
	{Name: "a local server behind a proxy", Cause: causes.Proxy, Decisive: "proxy.failed",
		world: Working + ` -dns -stream head:proxy.failed(target=http://127.0.0.1:4000/v1/responses,
			proxy=http://10.0.0.1:3128,warn=proxy_for_loopback,note=it.goes.through.the.proxy)`},
	{Name: "a local server that is gone, behind a dead proxy", Cause: causes.Proxy, Decisive: "proxy.refused",
		world: Working + ` -dns head:proxy.refused(target=http://127.0.0.1:4000/v1/responses,
			why=nothing.listens.there,warn=base_url_refused) stream:proxy.refused(proxy=http://10.0.0.1:3128)`},
	{Name: "a variable that is no proxy's URL", Cause: causes.Proxy, Decisive: "proxy.failed",
		world: Working + ` head:proxy.failed(warn=proxy_not_a_url,note=https_proxy.is.not.the.URL.of.a.proxy)`},

	// Whom the agent trusts.
	{Name: "proxy inspects TLS by its own CA", Cause: causes.Interception, Decisive: "tls.cert.authority_invalid",
		world: Working + ` c3:tls.cert.authority_invalid(target=https://gamma.example/,proxy=http://10.0.0.1:3128)
			head:tls.cert.authority_invalid(proxy=http://10.0.0.1:3128,issuer=CN=Corp,subject=CN=chatgpt.com)
			stream:tls.cert.authority_invalid(proxy=http://10.0.0.1:3128,issuer=CN=Corp,subject=CN=chatgpt.com)
			d.head:ok(status=405)`},
	{Name: "TLS inspected, and the agent's bundle cannot be used", Cause: causes.Interception,
		Decisive: "tls.cert.authority_invalid",
		world: Working + ` head:tls.cert.authority_invalid(issuer=CN=Corp,subject=CN=chatgpt.com,warn=ca_bundle_unusable,
			note=CODEX_CA_CERTIFICATE.names.a.directory)`},
	{Name: "TLS inspected, and the agent alone trusts it", Cause: causes.Healthy, Decisive: "ok",
		Also: []causes.Cause{causes.Degraded},
		world: Working + ` head:ok(status=405,issuer=CN=Corp,warn=ca_trusted_by_agent_only,
			note=codex.trusts.CN=Corp.by.CODEX_CA_CERTIFICATE) stream:ok(warn=ca_trusted_by_agent_only,
			note=codex.trusts.CN=Corp.by.CODEX_CA_CERTIFICATE)`},
	{Name: "the agent's bundle is out of date", Cause: causes.Agent, Decisive: "tls.cert.authority_invalid",
		world: Working + ` head:tls.cert.authority_invalid(issuer=CN=WE1,subject=CN=chatgpt.com,
			warn=ca_trusted_by_host_only,note=codex.trusts.only.SSL_CERT_FILE) exec:exec.network
			stream:tls.cert.authority_invalid(warn=ca_trusted_by_host_only) d.head:tls.cert.authority_invalid(
			warn=ca_trusted_by_host_only)`},

	// The resolver.
	{Name: "resolver stopped", Cause: causes.Resolver, Decisive: "dns.unreachable",
		world: Working + ` ns1.*:dns.unreachable c*:dns.unreachable dns:dns.unreachable head:dns.unreachable
			stream:dns.unreachable exec:exec.network`},
	{Name: "resolver drops", Cause: causes.Resolver, Decisive: "dns.timeout",
		world: Working + ` ns1.*:dns.timeout c*:dns.timeout dns:dns.timeout head:dns.timeout stream:dns.timeout`},
	{Name: "resolver drops, no public one is reached", Cause: causes.Resolver, Decisive: "dns.timeout",
		world: Working + ` ns1.*:dns.timeout pub.*:dns.timeout c*:dns.timeout dns:dns.timeout head:dns.timeout`},
	{Name: "UDP 53 blocked, TCP fine", Cause: causes.Resolver, Decisive: "dns.timeout",
		world: Working + ` ns1.*:dns.timeout pub.*:dns.timeout c*:dns.timeout dns:dns.timeout head:dns.timeout`},
	{Name: "TCP 53 blocked, truncated answers fail", Cause: causes.Resolver, Decisive: "tcp.timed_out",
		world: Working + ` ns1.svc:tcp.timed_out@resolve dns:tcp.timed_out@resolve head:tcp.timed_out@resolve`},
	{Name: "resolver reports NXDOMAIN, a public one resolves the name",
		Cause: causes.Resolver, Decisive: "dns.name_not_resolved",
		world: Working + ` ns1.svc:dns.name_not_resolved dns:dns.name_not_resolved head:dns.name_not_resolved`},
	{Name: "resolver reports NXDOMAIN, no public one is reached",
		Cause: causes.Inconclusive, Decisive: "dns.name_not_resolved",
		world: Working + ` pub.*:dns.timeout ns1.svc:dns.name_not_resolved dns:dns.name_not_resolved
			head:dns.name_not_resolved`},
	{Name: "resolver reports NXDOMAIN, no other was queried",
		Cause: causes.Inconclusive, Decisive: "dns.name_not_resolved",
		world: Working + ` -pub.* -head -stream -exec ns1.svc:dns.name_not_resolved dns:dns.name_not_resolved`},
	{Name: "SERVFAIL for everything", Cause: causes.Resolver, Decisive: "dns.servfail",
		world: Working + ` ns1.*:dns.servfail c*:dns.servfail dns:dns.servfail head:dns.servfail`},
	{Name: "REFUSED for everything", Cause: causes.Resolver, Decisive: "dns.refused",
		world: Working + ` ns1.*:dns.refused c*:dns.refused dns:dns.refused head:dns.refused`},
	{Name: "resolv.conf empty", Cause: causes.Resolver, Decisive: "dns.no_nameserver",
		world: Working + ` -ns1.* conf:dns.no_nameserver c*:dns.unreachable dns:dns.no_nameserver
			head:dns.unreachable`},
	{Name: "resolv.conf missing, nothing else known", Cause: causes.Resolver, Decisive: "dns.no_nameserver",
		world: `conf:dns.no_nameserver dns:dns.no_nameserver head:dns.unreachable`},
	{Name: "resolv.conf unreadable", Cause: causes.Resolver, Decisive: "dns.no_nameserver",
		world: Working + ` -ns1.* conf:dns.no_nameserver(why=permission.denied) c*:dns.failed dns:dns.failed
			head:dns.failed`},
	{Name: "resolv.conf empty, but everything works", Cause: causes.Healthy, Decisive: "ok",
		world: Working + ` conf:dns.no_nameserver`},
	{Name: "block list: 0.0.0.0", Cause: causes.Resolver, Decisive: "dns.wrong_answer",
		world: Working + ` ns1.svc:dns.wrong_answer(answers=0.0.0.0) dns:dns.wrong_answer(answers=0.0.0.0)
			head:tcp.refused`},
	{Name: "block list, no public resolver is reached", Cause: causes.Resolver, Decisive: "dns.wrong_answer",
		world: Working + ` pub.*:dns.timeout dns:dns.wrong_answer(answers=0.0.0.0) head:tcp.refused`},
	{Name: "AAAA only, no IPv6 here", Cause: causes.Resolver, Decisive: "local.no_route",
		world: Working + ` dns:ok(answers=2606:4700::1) ns1.svc:ok(answers=2606:4700::1) head:local.no_route
			stream:local.no_route`},
	{Name: "AAAA only, IPv6 drops", Cause: causes.Resolver, Decisive: "tcp.timed_out",
		world: Working + ` dns:ok(answers=2606:4700::1) ns1.svc:ok(answers=2606:4700::1) head:tcp.timed_out
			stream:tcp.timed_out`},
	{Name: "A only, no IPv4 here", Cause: causes.Resolver, Decisive: "local.no_route",
		world: Working + ` dns:ok(answers=104.18.32.47) ns1.svc:ok(answers=104.18.32.47) head:local.no_route
			stream:local.no_route`},
	{Name: "AAAA only, reached over IPv6", Cause: causes.ResolverDegraded, Decisive: "dns.no_data",
		world: Working + ` dns:dns.no_data(answers=2001:db8::1) musl:ok(answers=2001:db8::1)`},
	{Name: "AAAA filtered, the service is down", Cause: causes.Upstream, Decisive: "tcp.refused",
		world: Working + ` dns:ok(answers=104.18.32.47) ns1.svc:ok(answers=104.18.32.47) head:tcp.refused
			stream:tcp.refused`},
	{Name: "block page: wrong address, certificate for another name",
		Cause: causes.Resolver, Decisive: "tls.cert.name_invalid",
		world: Working + ` dns:ok(answers=10.9.9.9) ns1.svc:ok(answers=10.9.9.9) head:tls.cert.name_invalid`},
	{Name: "first nameserver dead, second fine", Cause: causes.ResolverDegraded, Decisive: "dns.timeout",
		world: Working + ` ns1.*:dns.timeout ns2.ctl:ok ns2.svc:ok dns:ok(warn=dns_first_nameserver_failed)`},
	{Name: "first nameserver dead, seen by a warning only", Cause: causes.ResolverDegraded, Decisive: "ok",
		world: bare + ` dns:ok(warn=dns_first_nameserver_failed)`},
	{Name: "first nameserver reports NXDOMAIN, the second is never queried",
		Cause: causes.Resolver, Decisive: "dns.name_not_resolved",
		world: Working + ` pub.*:dns.timeout ns1.svc:dns.name_not_resolved ns2.ctl:ok ns2.svc:ok
			dns:dns.name_not_resolved(server=192.168.1.1:53) head:dns.name_not_resolved`},
	{Name: "DNS fails, nothing to compare with", Cause: causes.Inconclusive, Decisive: "dns.timeout",
		world: `dns:dns.timeout`},
	{Name: "no route to the resolver alone", Cause: causes.Resolver, Decisive: "local.no_route",
		world: Working + ` ns1.*:local.no_route c*:local.no_route@resolve dns:local.no_route(server=192.168.1.1:53)
			head:local.no_route@resolve stream:local.no_route@resolve`},
	{Name: "nsswitch.conf has no dns", Cause: causes.Resolver, Decisive: "dns.name_not_resolved",
		world: Working + ` dns:dns.name_not_resolved(warn=dns_not_asked) head:dns.name_not_resolved`},
	{Name: "systemd's stub is down", Cause: causes.Resolver, Decisive: "dns.unreachable",
		world: Working + ` -ns1.* c*:dns.unreachable dns:dns.unreachable(server=127.0.0.53:53)
			head:dns.unreachable(server=127.0.0.53:53)`},
	{Name: "WSL's tunnel is down", Cause: causes.Resolver, Decisive: "dns.timeout",
		world: Working + ` -ns1.* c*:dns.timeout dns:dns.timeout(server=10.255.255.254:53)
			head:dns.timeout(server=10.255.255.254:53)`},
	// The resolver of the service's client: codex is linked with musl, which forgives less than glibc.
	{Name: "AAAA is refused, only codex cannot resolve the name", Cause: causes.Resolver, Decisive: "dns.refused",
		world: Working + ` musl:dns.refused(server=192.168.1.1:53,rcode=REFUSED,question=chatgpt.com/AAAA)`},
	{Name: "AAAA is refused, and the agent's run reports it", Cause: causes.Resolver, Decisive: "dns.refused",
		world: Working + ` exec:exec.network
			musl:dns.refused(server=192.168.1.1:53,rcode=REFUSED,question=chatgpt.com/AAAA)`},
	{Name: "AAAA is not answered, and the request has not ended yet", Cause: causes.Resolver, Decisive: "dns.timeout",
		world: Working + ` -head -stream -exec dns:dns.timeout(server=192.168.1.1:53,answers=104.18.32.47)
			musl:dns.timeout(server=192.168.1.1:53,question=chatgpt.com/AAAA)`},
	{Name: "AAAA is not answered", Cause: causes.Resolver, Decisive: "dns.timeout",
		world: Working + ` head:ok(warn=dns_aaaa_failed)
			musl:dns.timeout(server=192.168.1.1:53,question=chatgpt.com/AAAA)`},
	{Name: "no nameserver of two answers AAAA", Cause: causes.Resolver, Decisive: "dns.timeout",
		world: Working + ` ns2.svc:ok musl:dns.timeout(question=chatgpt.com/AAAA)`},
	{Name: "AAAA is answered about another name", Cause: causes.Resolver, Decisive: "dns.failed",
		world: Working + ` musl:dns.failed(server=192.168.1.1:53,rcode=NXDOMAIN,question=chatgpt.com/AAAA,answers_to=chatgpt.com.corp.local/AAAA)`},
	{Name: "WSL's tunnel refuses AAAA", Cause: causes.Resolver, Decisive: "dns.servfail",
		world: Working + ` musl:dns.servfail(server=10.255.255.254:53,rcode=SERVFAIL,question=chatgpt.com/AAAA)`},
	{Name: "AAAA is truncated, TCP is filtered", Cause: causes.Resolver, Decisive: "dns.timeout",
		world: Working + ` musl:dns.timeout(server=192.168.1.1:53,rcode=NOERROR,question=chatgpt.com/AAAA)`},
	{Name: "a second nameserver reports NXDOMAIN first", Cause: causes.Resolver, Decisive: "dns.name_not_resolved",
		world: Working + ` ns2.ctl:ok ns2.svc:dns.name_not_resolved
			musl:dns.name_not_resolved(server=192.168.1.2:53,rcode=NXDOMAIN,question=chatgpt.com/A)`},
	{Name: "the first nameserver reports NXDOMAIN, the second answers codex first", Cause: causes.ResolverDegraded,
		Decisive: "dns.name_not_resolved",
		world: Working + ` dns:dns.name_not_resolved(server=192.168.1.1:53) ns1.svc:dns.name_not_resolved
			ns2.ctl:ok ns2.svc:ok musl:ok head:ok(warn=dns_as_client)`},
	{Name: "the first nameserver reports NXDOMAIN, the client is linked with glibc", Cause: causes.Resolver,
		Decisive: "dns.name_not_resolved", client: clientrules.Curl(),
		world: Working + ` dns:dns.name_not_resolved(server=192.168.1.1:53) head:dns.name_not_resolved
			stream:dns.name_not_resolved ns1.svc:dns.name_not_resolved ns2.ctl:ok ns2.svc:ok(took=10ms)`},
	{Name: "AAAA is refused, a proxy resolves the name", Cause: causes.Healthy, Decisive: "ok",
		world: Working + ` head:ok(status=405,proxy=10.0.0.1:3128)
			musl:dns.refused(server=192.168.1.1:53,rcode=REFUSED,question=chatgpt.com/AAAA)`},
	{Name: "a datagram of codex's lookup is lost, another lookup of the same kind succeeds", Cause: causes.Healthy,
		Decisive: "ok",
		world: Working + ` head:ok(warn=dns_as_client)
			musl:dns.timeout(server=192.168.1.1:53,question=chatgpt.com/AAAA)`},
	{Name: "AAAA is refused and the service is down", Cause: causes.Upstream, Decisive: "http.server_error",
		Also: []causes.Cause{causes.Resolver},
		world: Working + ` head:http.server_error(status=503)
			musl:dns.refused(server=192.168.1.1:53,rcode=REFUSED,question=chatgpt.com/AAAA)`},

	{Name: "the resolver answers NOTIMP", Cause: causes.Resolver, Decisive: "dns.failed",
		world: Working + ` ns1.svc:dns.failed(rcode=NOTIMP) dns:dns.failed(server=192.168.1.1:53,rcode=NOTIMP)
			head:dns.failed`},
	{Name: "/etc/hosts blocks it", Cause: causes.Resolver, Decisive: "dns.wrong_answer",
		world: Working + ` dns:dns.wrong_answer(answers=0.0.0.0,warn=dns_hosts_file) head:dns.wrong_answer@resolve`},
	{Name: "/etc/hosts has a dead address", Cause: causes.Resolver, Decisive: "tcp.timed_out",
		world: Working + ` dns:ok(answers=203.0.113.7,warn=dns_hosts_file)
			head:tcp.timed_out(answers=203.0.113.7,warn=dns_hosts_file)`},
	{Name: "/etc/hosts has the right address, the service is down",
		Cause: causes.Upstream, Decisive: "tcp.timed_out",
		world: Working + ` dns:ok(answers=104.18.32.47,warn=dns_hosts_file)
			head:tcp.timed_out(answers=104.18.32.47,warn=dns_hosts_file)`},
	{Name: "a VPN left a private address behind", Cause: causes.Resolver, Decisive: "tcp.timed_out",
		world: Working + ` ns1.svc:ok(answers=10.1.2.3) dns:ok(answers=10.1.2.3) head:tcp.timed_out(answers=10.1.2.3)`},
	{Name: "every resolver returns a private address, the service is down", Cause: causes.Upstream,
		Decisive: "tcp.timed_out",
		world:    Working + ` *.svc:ok(answers=10.1.2.3) dns:ok(answers=10.1.2.3) head:tcp.timed_out(answers=10.1.2.3)`},
	{Name: "the resolver returns a dead address, a public one a working address",
		Cause: causes.Resolver, Decisive: "tcp.timed_out",
		world: Working + ` ns1.svc:ok(answers=198.51.100.9) dns:ok(answers=198.51.100.9)
			head:tcp.timed_out(answers=198.51.100.9) d.head:ok(status=405,answers=104.18.32.47)`},
	{Name: "one host of the service is down, another one answers at its own address", Cause: causes.Upstream,
		Decisive: "http.server_error",
		world: Working + ` head:http.server_error(status=503,answers=104.18.32.47)
			d.head:http.server_error(status=503,answers=104.18.32.47)
			d.routing:ok(status=200,answers=140.82.121.6,target=https://api.example/rate_limit)`},
	{Name: "the resolver and a public one return different addresses, both dead", Cause: causes.Upstream,
		Decisive: "tcp.timed_out",
		world: Working + ` ns1.svc:ok(answers=198.51.100.9) dns:ok(answers=198.51.100.9)
			head:tcp.timed_out(answers=198.51.100.9) d.head:tcp.timed_out(answers=104.18.32.47)`},

	// Interception.
	{Name: "NXDOMAIN rewritten, the service reached", Cause: causes.ResolverDegraded, Decisive: "dns.wrong_answer",
		world: Working + ` ns1.rnd:dns.wrong_answer(answers=10.9.9.9)`},
	{Name: "NXDOMAIN rewritten, and the service's name too",
		Cause: causes.Interception, Decisive: "dns.wrong_answer",
		world: Working + ` -pub.* ns1.rnd:dns.wrong_answer(answers=10.9.9.9) ns1.svc:ok(answers=10.9.9.9)
			dns:ok(answers=10.9.9.9) head:tcp.refused stream:tcp.refused`},
	{Name: "NXDOMAIN rewritten, wrong certificate, no address known",
		Cause: causes.Interception, Decisive: "dns.wrong_answer",
		world: Working + ` -pub.* ns1.rnd:dns.wrong_answer ns1.svc:ok dns:ok head:tls.cert.name_invalid
			stream:tls.cert.name_invalid`},
	{Name: "NXDOMAIN rewritten, the service is down independently",
		Cause: causes.Upstream, Decisive: "http.server_error",
		Also:  []causes.Cause{causes.ResolverDegraded},
		world: Working + ` ns1.rnd:dns.wrong_answer(answers=10.9.9.9) head:http.server_error(status=503)`},
	{Name: "a search domain answers for every name", Cause: causes.Resolver, Decisive: "tls.cert.name_invalid",
		world: Working + ` head:tls.cert.name_invalid(peer=10.9.9.9:443)
			stream:tls.cert.name_invalid(peer=10.9.9.9:443)`},
	{Name: "certificate for another name at the service's address",
		Cause: causes.Upstream, Decisive: "tls.cert.name_invalid",
		world: Working + ` head:tls.cert.name_invalid(peer=104.18.32.47:443)`},
	{Name: "/etc/hosts has a loopback address", Cause: causes.Resolver, Decisive: "tcp.refused",
		world: Working + ` head:tcp.refused(peer=127.0.0.1:443) stream:tcp.refused(peer=127.0.0.1:443)`},
	{Name: "an address that was not among the answers refuses", Cause: causes.Upstream, Decisive: "tcp.refused",
		world: Working + ` head:tcp.refused(peer=104.18.32.99:443)`},
	{Name: "captive portal answers 200", Cause: causes.Interception, Decisive: "http.unexpected_status",
		world: Working + ` pub.*:dns.timeout c*:http.unexpected_status(status=200)
			a*:http.unexpected_status(status=200) head:tls.cert.name_invalid stream:tls.cert.name_invalid`},
	{Name: "captive portal redirects with 302", Cause: causes.Interception, Decisive: "http.redirected",
		world: Working + ` pub.*:dns.timeout c*:http.redirected a*:http.redirected head:tls.closed stream:tls.closed`},
	{Name: "captive portal that lets one control through", Cause: causes.Interception, Decisive: "http.redirected",
		world: Working + ` c1:http.redirected c2:http.redirected a1:http.redirected a2:http.redirected
			head:tls.closed`},
	{Name: "captive portal, a service on this host is down", Cause: causes.Inconclusive, Decisive: "tcp.refused",
		Also: []causes.Cause{causes.Interception},
		world: Working + ` c*:http.redirected a*:http.redirected
			-*.svc -dns -stream -exec head:tcp.refused(target=http://127.0.0.1:8080/,peer=127.0.0.1:8080)`},
	{Name: "captive portal on this host, as in the demo", Cause: causes.Interception, Decisive: "http.redirected",
		world: Working + ` c*:http.redirected(peer=127.0.1.21:80) -a* *.svc:ok(answers=127.0.1.10) dns:ok(answers=127.0.1.10)
			head:tls.cert.name_invalid(answers=127.0.1.10,peer=127.0.1.10:443) -stream`},
	{Name: "interception by another CA, all sites",
		Cause: causes.Interception, Decisive: "tls.cert.authority_invalid",
		world: Working + ` c*:tls.cert.authority_invalid(issuer=Zscaler,subject=x) -a*
			head:tls.cert.authority_invalid(issuer=Zscaler,subject=chatgpt.com)`},
	{Name: "interception by another CA, the service alone",
		Cause: causes.Interception, Decisive: "tls.cert.authority_invalid",
		world: Working + ` head:tls.cert.authority_invalid(issuer=Zscaler,subject=chatgpt.com)
			stream:tls.cert.authority_invalid`},
	{Name: "interception by a CA this host trusts",
		Cause: causes.Interception, Decisive: "tls.cert.unexpected_issuer",
		world: Working + ` head:tls.cert.unexpected_issuer(issuer=Zscaler,subject=chatgpt.com)`},
	{Name: "captive portal for TLS only", Cause: causes.Interception, Decisive: "tls.cert.name_invalid",
		world: Working + ` c3:tls.cert.name_invalid(target=https://gamma.example/)
			a3:tls.cert.name_invalid(target=https://gamma.example/) head:tls.cert.name_invalid
			stream:tls.cert.name_invalid`},
	{Name: "captive portal for TLS only, self-signed",
		Cause: causes.Interception, Decisive: "tls.cert.authority_invalid",
		world: Working + ` c3:tls.cert.authority_invalid(target=https://gamma.example/,issuer=portal,subject=portal)
			a3:tls.cert.authority_invalid(target=https://gamma.example/,issuer=portal,subject=portal)
			head:tls.cert.authority_invalid(issuer=portal,subject=portal)`},
	{Name: "certificate for another name, a control presents its own",
		Cause: causes.Upstream, Decisive: "tls.cert.name_invalid",
		world: Working + ` c3:ok(target=https://gamma.example/)
			a3:tls.cert.name_invalid(target=https://gamma.example/) head:tls.cert.name_invalid`},
	{Name: "511: sign-in required", Cause: causes.Interception, Decisive: "http.unexpected_status",
		world: Working + ` head:http.unexpected_status(status=511)`},
	{Name: "407 from a proxy that is not configured", Cause: causes.Interception, Decisive: "http.unexpected_status",
		world: Working + ` head:http.unexpected_status(status=407)`},
	{Name: "clock a year ahead", Cause: causes.Clock, Decisive: "tls.cert.date_invalid",
		world: Working + ` c*:ok(date=-8760h) head:tls.cert.date_invalid(expires=-2000h)
			stream:tls.cert.date_invalid(expires=-2000h)`},
	{Name: "clock a year behind", Cause: causes.Clock, Decisive: "tls.cert.date_invalid",
		world: Working + ` c*:ok(date=8760h) head:tls.cert.date_invalid(expires=10000h)`},
	{Name: "clock an hour and a half ahead, certificate expired last month",
		Cause: causes.Upstream, Decisive: "tls.cert.date_invalid",
		world: Working + ` c*:ok(date=-90m) head:tls.cert.date_invalid(expires=-720h)`},
	{Name: "certificate looks expired, no Date header known",
		Cause: causes.Inconclusive, Decisive: "tls.cert.date_invalid",
		world: Working + ` c*:ok head:tls.cert.date_invalid(expires=-1h)`},
	{Name: "certificate not valid yet, clock right", Cause: causes.Upstream, Decisive: "tls.cert.date_invalid",
		world: Working + ` head:tls.cert.date_invalid(expires=2000h)`},

	// The service.
	{Name: "expired certificate, clock right", Cause: causes.Upstream, Decisive: "tls.cert.date_invalid",
		world: Working + ` head:tls.cert.date_invalid(expires=-1h) stream:tls.cert.date_invalid exec:exec.network`},
	{Name: "self-signed certificate", Cause: causes.Upstream, Decisive: "tls.cert.authority_invalid",
		world: Working + ` head:tls.cert.authority_invalid(issuer=chatgpt.com,subject=chatgpt.com)`},
	{Name: "TLS times out to every site, plain HTTP works", Cause: causes.Inconclusive, Decisive: "tls.timed_out",
		world: Working + ` c3:tls.timed_out(target=https://gamma.example/)
			a3:tls.timed_out(target=https://gamma.example/) head:tls.timed_out stream:tls.timed_out`},
	{Name: "packet loss", Cause: causes.Inconclusive, Decisive: "tcp.timed_out",
		world: Working + ` c1:ok(connect=1020ms) a2:tcp.timed_out head:tcp.timed_out`},
	{Name: "packet loss, timeout too short for a second SYN",
		Cause: causes.Inconclusive, Decisive: "tcp.timed_out",
		world: Working + ` c1:ok(peer=192.0.2.81:80) a1:tcp.timed_out(peer=192.0.2.81:80) a2:tcp.timed_out
			head:tcp.timed_out`},
	{Name: "a control does not answer one attempt of two", Cause: causes.Upstream, Decisive: "tcp.timed_out",
		world: Working + ` c1:ok(peer=192.0.2.81:80) a1:tcp.timed_out(peer=192.0.2.81:80) head:tcp.timed_out`},
	{Name: "packet loss, and a stream stalls", Cause: causes.Inconclusive, Decisive: "stream.stalled",
		world: Working + ` c1:ok(connect=1020ms) a2:tcp.timed_out stream:stream.stalled`},
	{Name: "packet loss, and an upgrade is not answered",
		Cause: causes.Inconclusive, Decisive: "http.timed_out",
		world: Working + ` c1:ok(connect=1020ms) a2:tcp.timed_out stream:http.timed_out`},
	{Name: "packet loss, and a stream is disconnected when idle", Cause: causes.Stream, Decisive: "stream.idle_cut",
		world: Working + ` c1:ok(connect=1020ms) a2:tcp.timed_out stream:stream.idle_cut`},
	{Name: "packet loss, and the service refuses", Cause: causes.Upstream, Decisive: "tcp.refused",
		world: Working + ` c1:ok(connect=1020ms) a2:tcp.timed_out head:tcp.refused`},
	{Name: "connection too slow for the timeout", Cause: causes.Inconclusive, Decisive: "http.timed_out",
		world: Working + ` c*:ok(connect=1200ms) head:http.timed_out(connect=1200ms,waited=1400ms)`},
	{Name: "slow connection, and the service does not answer", Cause: causes.Upstream, Decisive: "http.timed_out",
		world: Working + ` c*:ok(connect=900ms) head:http.timed_out(connect=900ms,waited=3s)`},
	{Name: "one slow control, and the service does not answer", Cause: causes.Upstream, Decisive: "tcp.timed_out",
		world: Working + ` c1:ok(connect=1020ms) head:tcp.timed_out`},
	{Name: "port 443 is blocked on the network path", Cause: causes.Inconclusive, Decisive: "tcp.timed_out",
		world: Working + ` c3:tcp.timed_out(target=https://gamma.example/)
			a3:tcp.timed_out(target=https://gamma.example/) head:tcp.timed_out stream:tcp.timed_out`},
	{Name: "the service does not answer, a control by TLS does", Cause: causes.Upstream, Decisive: "tls.timed_out",
		world: Working + ` c3:ok(target=https://gamma.example/) a3:tls.timed_out(target=https://gamma.example/)
			head:tls.timed_out`},
	{Name: "the service does not answer, a control by TLS refuses",
		Cause: causes.Upstream, Decisive: "tls.timed_out",
		world: Working + ` c3:tcp.refused(target=https://gamma.example/) a3:tcp.refused(target=https://gamma.example/)
			head:tls.timed_out`},
	{Name: "certificate for another name", Cause: causes.Upstream, Decisive: "tls.cert.name_invalid",
		world: Working + ` head:tls.cert.name_invalid`},
	{Name: "service refuses its port", Cause: causes.Upstream, Decisive: "tcp.refused",
		world: Working + ` head:tcp.refused stream:tcp.refused exec:exec.network`},
	{Name: "a firewall on the network path rejects the service",
		Cause: causes.Path, Decisive: "tcp.address_unreachable",
		world: Working + ` head:tcp.address_unreachable(warn=forbidden_on_the_way)
			stream:tcp.address_unreachable(warn=forbidden_on_the_way)`},
	{Name: "a router on the network path has no route to the service",
		Cause: causes.Upstream, Decisive: "tcp.address_unreachable",
		world: Working + ` head:tcp.address_unreachable stream:tcp.address_unreachable`},
	{Name: "service drops SYN", Cause: causes.Upstream, Decisive: "tcp.timed_out",
		world: Working + ` head:tcp.timed_out stream:tcp.timed_out exec:exec.network`},
	{Name: "service accepts and does not answer", Cause: causes.Upstream, Decisive: "tls.timed_out",
		world: Working + ` head:tls.timed_out stream:tls.timed_out exec:exec.timed_out`},
	{Name: "service resets after ClientHello", Cause: causes.Upstream, Decisive: "tls.closed",
		world: Working + ` head:tls.closed stream:tls.closed exec:exec.network`},
	{Name: "MTU hole: small packets pass, the certificate does not",
		Cause: causes.Upstream, Decisive: "tls.timed_out",
		world: Working + ` head:tls.timed_out stream:tls.timed_out`},
	{Name: "slow beyond the timeout", Cause: causes.Upstream, Decisive: "http.timed_out",
		world: Working + ` head:http.timed_out stream:http.timed_out`},
	{Name: "500", Cause: causes.Upstream, Decisive: "http.server_error",
		world: Working + ` head:http.server_error(status=500)`},
	{Name: "502", Cause: causes.Upstream, Decisive: "http.server_error",
		world: Working + ` head:http.server_error(status=502)`},
	{Name: "503", Cause: causes.Upstream, Decisive: "http.server_error",
		world: Working + ` head:http.server_error(status=503) stream:http.server_error(status=503)
			exec:exec.overloaded`},
	{Name: "504", Cause: causes.Upstream, Decisive: "http.server_error",
		world: Working + ` head:http.server_error(status=504)`},
	{Name: "503 and no control reached", Cause: causes.Inconclusive, Decisive: "http.server_error",
		world: Working + ` c*:tcp.timed_out a*:tcp.timed_out head:http.server_error(status=503)`},
	{Name: "refused and no control tried", Cause: causes.Inconclusive, Decisive: "tcp.refused",
		world: `dns:ok head:tcp.refused`},
	{Name: "the service's DNS is gone", Cause: causes.Upstream, Decisive: "dns.name_not_resolved",
		world: Working + ` *.svc:dns.name_not_resolved dns:dns.name_not_resolved head:dns.name_not_resolved
			stream:dns.name_not_resolved`},
	{Name: "the service's DNS servers are dead", Cause: causes.Upstream, Decisive: "dns.servfail",
		world: Working + ` *.svc:dns.servfail dns:dns.servfail head:dns.servfail`},
	{Name: "queries for the service time out everywhere", Cause: causes.Inconclusive, Decisive: "dns.timeout",
		world: Working + ` *.svc:dns.timeout dns:dns.timeout head:dns.timeout`},
	{Name: "routing discovery is down, the rest answers", Cause: causes.Upstream, Decisive: "http.server_error",
		world: Working + ` routing:http.server_error(status=503,warn=routing_discovery)`},
	{Name: "routing discovery does not answer, the rest does", Cause: causes.Upstream, Decisive: "http.timed_out",
		world: Working + ` routing:http.timed_out(warn=routing_discovery)`},
	{Name: "routing discovery is gone", Cause: causes.UnexpectedAnswer, Decisive: "http.unexpected_status",
		world: Working + ` routing:http.unexpected_status(status=404,warn=routing_discovery)`},
	{Name: "routing discovery is blocked by the CDN", Cause: causes.EdgeBlocked, Decisive: "http.edge_blocked",
		world: Working + ` routing:http.edge_blocked(status=403,warn=routing_discovery)`},
	{Name: "the whole service fails, routing discovery too", Cause: causes.Upstream, Decisive: "http.server_error",
		world: Working + ` head:http.server_error(status=503) routing:http.server_error(status=503,warn=routing_discovery)
			stream:http.server_error exec:exec.network`},
	{Name: "model overloaded, the edge fine", Cause: causes.Upstream, Decisive: "exec.overloaded",
		world: Working + ` exec:exec.overloaded`},
	{Name: "one endpoint of two fails", Cause: causes.Upstream, Decisive: "http.server_error",
		world: Working + ` models:http.server_error(status=500)`},
	{Name: "service down, second nameserver dead too", Cause: causes.Upstream, Decisive: "tcp.refused",
		Also:  []causes.Cause{causes.ResolverDegraded},
		world: Working + ` ns2.ctl:dns.timeout ns2.svc:dns.timeout head:tcp.refused`},
	{Name: "200 instead of 405", Cause: causes.UnexpectedAnswer, Decisive: "http.unexpected_status",
		world: Working + ` head:http.unexpected_status(status=200)`},
	{Name: "405 without Allow", Cause: causes.UnexpectedAnswer, Decisive: "http.unexpected_header",
		world: Working + ` head:http.unexpected_header(status=405)`},
	{Name: "405 Allow: GET", Cause: causes.UnexpectedAnswer, Decisive: "http.unexpected_header",
		world: Working + ` head:http.unexpected_header(status=405)`},
	{Name: "401", Cause: causes.UnexpectedAnswer, Decisive: "http.unauthorized",
		world: Working + ` head:http.unauthorized(status=401)`},
	{Name: "403 of the application", Cause: causes.UnexpectedAnswer, Decisive: "http.unexpected_status",
		world: Working + ` head:http.unexpected_status(status=403)`},
	{Name: "200 over plain HTTP, nothing to compare with",
		Cause: causes.Inconclusive, Decisive: "http.unexpected_status",
		world: `plain:http.unexpected_status(status=200)`},
	{Name: "200 over HTTPS, nothing to compare with",
		Cause: causes.UnexpectedAnswer, Decisive: "http.unexpected_status",
		world: `head:http.unexpected_status(status=200)`},
	{Name: "every resolver returns another address than configured",
		Cause: causes.UnexpectedAnswer, Decisive: "dns.wrong_answer",
		world: Working + ` *.svc:ok(answers=5.6.7.8) dns:dns.wrong_answer(answers=5.6.7.8)`},
	{Name: "the agent's output is unexpected", Cause: causes.UnexpectedAnswer, Decisive: "exec.unexpected_output",
		world: Working + ` exec:exec.unexpected_output`},
	{Name: "403 challenge of a CDN", Cause: causes.EdgeBlocked, Decisive: "http.edge_blocked",
		world: Working + ` head:http.edge_blocked(status=403) stream:http.edge_blocked exec:exec.unexpected_exit`},
	{Name: "403 for the country, in JSON", Cause: causes.EdgeBlocked, Decisive: "http.edge_blocked",
		world: Working + ` head:http.edge_blocked(status=403,refused=unsupported_country_region_territory)
			stream:http.edge_blocked(status=403) exec:http.edge_blocked(status=403)`},
	{Name: "the CDN bans a country, and names it", Cause: causes.EdgeBlocked, Decisive: "http.edge_blocked",
		world: Working + ` head:http.edge_blocked(status=403,refused=1009|IR)`},
	{Name: "403 before any sign-in, with another code", Cause: causes.EdgeBlocked, Decisive: "http.edge_blocked",
		world: Working + ` head:http.edge_blocked(status=403,refused=ip_not_allowed)`},
	{Name: "the service requires a client certificate", Cause: causes.UnexpectedAnswer, Decisive: "tls.client_certificate",
		world: Working + ` head:tls.client_certificate stream:tls.client_certificate exec:exec.network`},
	{Name: "the service requires a client certificate, through a proxy", Cause: causes.UnexpectedAnswer,
		Decisive: "tls.client_certificate",
		world:    Working + ` -stream -exec head:tls.client_certificate(proxy=http://10.0.0.1:3128)`},
	{Name: "the service refuses our client certificate", Cause: causes.UnexpectedAnswer, Decisive: "tls.client_certificate",
		world: Working + ` -stream -exec head:tls.client_certificate(warn=tls_client_certificate_refused)`},
	{Name: "a client certificate is required, and no control was reached", Cause: causes.UnexpectedAnswer,
		Decisive: "tls.client_certificate",
		world:    Working + ` -stream -exec c*:tcp.timed_out a*:tcp.timed_out head:tls.client_certificate`},
	{Name: "our certificate ends in two days", Cause: causes.Degraded, Decisive: "ok", certificateLeft: 14 * 24 * time.Hour,
		world: Working + ` head:ok(status=405,issuer=CN=Lab,expires=48h)`},
	{Name: "our certificate ends in a month", Cause: causes.Healthy, Decisive: "ok", certificateLeft: 14 * 24 * time.Hour,
		world: Working + ` head:ok(status=405,issuer=CN=Lab,expires=720h)`},
	{Name: "a vendor's certificate ends in two days", Cause: causes.Healthy, Decisive: "ok",
		world: Working + ` head:ok(status=405,issuer=CN=Lab,expires=48h)`},
	{Name: "an expired cross-signature is the only link to a trusted root", Cause: causes.Interception,
		Decisive: "tls.cert.authority_invalid",
		world: Working + ` -stream -exec head:tls.cert.authority_invalid(issuer=CN=R3,subject=CN=chatgpt.com,` +
			`link=CN=R3.expired.on.2021-09-30)`},
	{Name: "outdated TLS only", Cause: causes.Degraded, Decisive: "ok",
		world: Working + ` head:ok(status=405,warn=tls_outdated,cipher=TLS_RSA_WITH_AES_128_CBC_SHA,version=TLS.1.2)`},
	{Name: "429", Cause: causes.EdgeBlocked, Decisive: "http.rate_limited",
		world: Working + ` head:http.rate_limited(status=429)`},
	{Name: "upgrade refused", Cause: causes.Stream, Decisive: "stream.upgrade_refused",
		world: Working + ` stream:stream.upgrade_refused`},
	{Name: "stream cut when idle", Cause: causes.Stream, Decisive: "stream.idle_cut",
		world: Working + ` stream:stream.idle_cut exec:exec.network`},
	{Name: "upgrade refused, and HTTP not as configured",
		Cause: causes.UnexpectedAnswer, Decisive: "http.unauthorized",
		world: Working + ` head:http.unauthorized(status=401) stream:http.server_error(status=501)`},
	{Name: "stream's port filtered, HTTP fine", Cause: causes.Stream, Decisive: "tcp.timed_out",
		world: Working + ` stream:tcp.timed_out(target=wss://svc.example:8443/stream)`},
	{Name: "the connection for the stream is lost, the one for HTTP is not",
		Cause: causes.Degraded, Decisive: "tcp.timed_out",
		world: Working + ` stream:tcp.timed_out`},
	{Name: "the agent's answer is cut, HTTP fine", Cause: causes.Stream, Decisive: "exec.stream_cut",
		world: Working + ` exec:exec.stream_cut`},
	{Name: "stream cut, no control reached", Cause: causes.Inconclusive, Decisive: "stream.cut",
		world: Working + ` c*:tcp.timed_out a*:tcp.timed_out stream:stream.cut`},
	{Name: "stream alone watched, port refused", Cause: causes.Upstream, Decisive: "tcp.refused",
		world: Working + ` -head -exec stream:tcp.refused`},

	// Names that the public DNS was never told.
	{Name: "the VPN is down: the name's zone is not public", Cause: causes.Resolver, Decisive: "dns.name_not_resolved",
		world: Working + nameUnknown + ` pub.svc:dns.name_not_resolved(warn=dns_zone_not_public)`},
	{Name: "the VPN is down: the name was at a private address", Cause: causes.Resolver, Decisive: "dns.name_not_resolved",
		known: "10.20.0.7", world: Working + nameUnknown},
	{Name: "the VPN is down: the name is ours", Cause: causes.Resolver, Decisive: "dns.name_not_resolved",
		owner: diagnose.Us, world: Working + nameUnknown},
	{Name: "the VPN is down: the name is ours, and no public resolver was asked", Cause: causes.Resolver,
		Decisive: "dns.name_not_resolved", owner: diagnose.Us, world: Working + nameUnknown + ` -pub.ctl -pub.svc`},
	{Name: "a name is gone that was at a public address", Cause: causes.Upstream, Decisive: "dns.name_not_resolved",
		known: "104.18.32.47", world: Working + nameUnknown + ` pub.svc:dns.name_not_resolved(warn=dns_zone_not_public)`},
	{Name: "a vendor's name is gone with its zone", Cause: causes.Upstream, Decisive: "dns.name_not_resolved",
		owner: diagnose.Vendor, world: Working + nameUnknown + ` pub.svc:dns.name_not_resolved(warn=dns_zone_not_public)`},
	{Name: "our name does not resolve, and neither does any other", Cause: causes.Resolver, Decisive: "dns.timeout",
		owner: diagnose.Us,
		world: Working + ` ns1.*:dns.timeout c*:dns.timeout dns:dns.timeout head:dns.timeout stream:dns.timeout
			-exec pub.svc:dns.name_not_resolved`},

	// The agent.
	{Name: "codex missing", Cause: causes.Agent, Decisive: "exec.not_found",
		world: Working + ` exec:exec.not_found`},
	{Name: "codex missing, the service down", Cause: causes.Upstream, Decisive: "tcp.refused",
		Also:  []causes.Cause{causes.Agent},
		world: Working + ` head:tcp.refused exec:exec.not_found`},
	{Name: "broken config", Cause: causes.Agent, Decisive: "exec.config_invalid",
		world: Working + ` exec:exec.config_invalid`},
	{Name: "home not writable", Cause: causes.Agent, Decisive: "exec.home_unwritable",
		world: Working + ` exec:exec.home_unwritable`},
	{Name: "model rejected", Cause: causes.Agent, Decisive: "exec.model_rejected",
		world: Working + ` exec:exec.model_rejected`},
	{Name: "the CDN blocks only the agent's run", Cause: causes.EdgeBlocked, Decisive: "http.edge_blocked",
		world: Working + ` exec:http.edge_blocked`},
	{Name: "only the agent's run is refused for the country", Cause: causes.EdgeBlocked, Decisive: "http.edge_blocked",
		world: Working + ` exec:http.edge_blocked(status=403,refused=unsupported_country_region_territory)`},
	{Name: "a gateway removes the agent's sign-in", Cause: causes.Interception, Decisive: "exec.sign_in_missing",
		world: Working + ` head:ok(status=405,issuer=CN=Corp.Gateway.Root) exec:exec.sign_in_missing(status=401)`},
	{Name: "a gateway removes the agent's sign-in, seen from inside the sandbox",
		Cause: causes.Interception, Decisive: "exec.sign_in_missing",
		world: Working + ` s.exec:exec.sign_in_missing(status=401)`},
	{Name: "the sign-in did not arrive earlier, and now the service is down", Cause: causes.Upstream, Decisive: "tcp.refused",
		world: Working + ` head:tcp.refused exec:exec.sign_in_missing(status=401)`},
	{
		Name:     "only the agent's run gets another status",
		Cause:    causes.UnexpectedAnswer,
		Decisive: "http.unexpected_status",
		world:    Working + ` exec:http.unexpected_status`,
	},
	{Name: "only the agent's run gets no answer", Cause: causes.Agent, Decisive: "exec.timed_out",
		world: Working + ` exec:exec.timed_out`},
	{Name: "the agent's run gets no answer from the service, but from a stub", Cause: causes.Upstream,
		Decisive: "exec.timed_out",
		world:    Working + ` exec:exec.timed_out stub:ok`},
	{Name: "the agent's run gets no answer, not even from a stub", Cause: causes.Agent, Decisive: "exec.timed_out",
		world: Working + ` exec:exec.timed_out stub:exec.timed_out`},
	{Name: "the agent's run ends without a reason, with a stub it works", Cause: causes.UnexpectedAnswer,
		Decisive: "exec.unexpected_exit",
		world:    Working + ` exec:exec.unexpected_exit stub:ok`},
	{Name: "the agent's run ends without a reason, with a stub too", Cause: causes.Agent, Decisive: "exec.unexpected_exit",
		world: Working + ` exec:exec.unexpected_exit stub:exec.unexpected_exit`},
	{Name: "the agent's run ends without a reason, and the run against a stub is not made", Cause: causes.Agent,
		Decisive: "exec.unexpected_exit", world: Working + ` exec:exec.unexpected_exit stub:internal`},
	{Name: "the agent's run fails, and with a stub it names its configuration", Cause: causes.Agent,
		Decisive: "exec.unexpected_exit",
		world:    Working + ` exec:exec.unexpected_exit stub:exec.config_invalid`},
	{Name: "the agent quotes an unknown error of the service, with a stub it works", Cause: causes.UnexpectedAnswer,
		Decisive: "unknown",
		world:    Working + ` exec:unknown stub:ok`},
	{Name: "the agent cannot reach the service, a stub it can", Cause: causes.Agent, Decisive: "exec.network",
		world: Working + ` exec:exec.network stub:ok`},
	{Name: "the service closes the connection on the agent's request alone", Cause: causes.Upstream,
		Decisive: "exec.network",
		world:    Working + ` exec:exec.network(signals=connected) stub:ok`},
	{Name: "the CDN blocks only the agent's run, with a stub it works", Cause: causes.EdgeBlocked,
		Decisive: "http.edge_blocked",
		world:    Working + ` exec:http.edge_blocked(status=403) stub:ok`},
	{Name: "the agent's run gets another status, and does not understand the stub", Cause: causes.UnexpectedAnswer,
		Decisive: "http.unexpected_status",
		world:    Working + ` exec:http.unexpected_status(status=413) stub:exec.stream_cut`},
	{Name: "the agent's run gets no answer and does not understand the stub", Cause: causes.Agent,
		Decisive: "exec.timed_out",
		world:    Working + ` exec:exec.timed_out stub:http.unexpected_status(status=404)`},
	{Name: "the agent's run gets no answer, and the stub could not be served", Cause: causes.Agent,
		Decisive: "exec.timed_out",
		world:    Working + ` exec:exec.timed_out stub:internal`},
	{Name: "the agent's run gets no answer, while a request of this host fails", Cause: causes.Upstream,
		Decisive: "tcp.refused",
		world:    Working + ` head:tcp.refused stream:tcp.refused exec:exec.timed_out stub:ok`},
	{Name: "routing discovery fails, a usual run works", Cause: causes.Upstream, Decisive: "exec.network",
		world: Working + ` builtin:exec.network(signals=routing_discovery)`},
	{Name: "routing discovery refuses the account", Cause: causes.Account, Decisive: "exec.unauthorized",
		world: Working + ` builtin:exec.unauthorized`},
	{Name: "the agent's own provider gets no answer, a usual run does", Cause: causes.Upstream, Decisive: "exec.timed_out",
		world: Working + ` builtin:exec.timed_out`},
	{Name: "the agent's own provider fails without a known reason, a usual run works", Cause: causes.UnexpectedAnswer,
		Decisive: "unknown",
		world:    Working + ` builtin:unknown`},
	{Name: "the agent's own provider is blocked, a usual run works", Cause: causes.EdgeBlocked,
		Decisive: "http.edge_blocked",
		world:    Working + ` builtin:http.edge_blocked`},
	{Name: "the agent's own provider and a usual run cannot reach the service", Cause: causes.Agent,
		Decisive: "exec.network",
		world:    Working + ` exec:exec.network stub:ok builtin:exec.network`},
	{Name: "agent alone cannot reach it", Cause: causes.Agent, Decisive: "exec.network",
		world: Working + ` exec:exec.network`},
	{Name: "agent alone cannot resolve the name", Cause: causes.Agent, Decisive: "dns.name_not_resolved",
		world: Working + ` exec:dns.name_not_resolved`},
	{Name: "agent cannot reach it, nothing else tried", Cause: causes.Inconclusive, Decisive: "exec.network",
		world: `exec:exec.network`},
	{Name: "the agent reports that it is signed out", Cause: causes.Account, Decisive: "exec.not_logged_in",
		world: Working + ` status:exec.not_logged_in`},
	{Name: "the agent reports that it is signed out, before its first run", Cause: causes.Account,
		Decisive: "exec.not_logged_in",
		world:    Working + ` -exec status:exec.not_logged_in`},
	{Name: "the agent reports that it is signed out, the service is down", Cause: causes.Upstream, Decisive: "tcp.refused",
		Also:  []causes.Cause{causes.Account},
		world: Working + ` head:tcp.refused stream:tcp.refused status:exec.not_logged_in`},
	{Name: "the agent rejects its configuration", Cause: causes.Agent, Decisive: "exec.config_invalid",
		world: Working + ` status:exec.config_invalid`},
	{Name: "the agent alone reports that it cannot reach the service", Cause: causes.Agent, Decisive: "exec.network",
		world: Working + ` status:exec.network`},
	{Name: "the agent cannot reach the service, and neither can this host", Cause: causes.Upstream, Decisive: "tcp.refused",
		world: Working + ` head:tcp.refused stream:tcp.refused status:exec.network -exec`},
	{Name: "the agent's base URL is wrong", Cause: causes.UnexpectedAnswer, Decisive: "http.unexpected_status",
		world: Working + ` status:http.unexpected_status(status=404)`},
	{Name: "the agent does not answer when it is asked about itself", Cause: causes.Agent, Decisive: "exec.timed_out",
		world: Working + ` status:exec.timed_out`},
	{Name: "the agent is fine, nothing else tried", Cause: causes.Inconclusive,
		world: `status:ok`},
	{Name: "signed out", Cause: causes.Account, Decisive: "exec.not_logged_in",
		world: Working + ` exec:exec.not_logged_in`},
	{Name: "token refused", Cause: causes.Account, Decisive: "exec.unauthorized",
		world: Working + ` exec:exec.unauthorized`},
	{Name: "usage limit", Cause: causes.Account, Decisive: "exec.usage_limit",
		world: Working + ` exec:exec.usage_limit`},
	{Name: "exec fails with an unknown error", Cause: causes.Inconclusive, Decisive: "unknown",
		world: Working + ` exec:unknown`},

	// The sandbox.
	{Name: "sandbox closed, wanted closed", Cause: causes.Healthy, Decisive: "ok", sandbox: diagnose.WantClosed,
		world: Working + SandboxClosed},
	{Name: "sandbox closed, any wanted", Cause: causes.Healthy, Decisive: "ok",
		world: Working + SandboxClosed},
	{Name: "sandbox closed, wanted open", Cause: causes.Sandbox, Decisive: "local.denied",
		sandbox: diagnose.WantOpen,
		world:   Working + SandboxClosed},
	{Name: "sandbox closed, wanted closed, with its signals", Cause: causes.Healthy, Decisive: "ok",
		sandbox: diagnose.WantClosed,
		world:   Working + SandboxClosed + ` s.sandbox:local.denied(signals=socket_inet_eperm)`},
	{Name: "sandbox closed, wanted open, with its signals", Cause: causes.Sandbox, Decisive: "local.denied",
		sandbox: diagnose.WantOpen,
		world:   Working + SandboxClosed + ` s.sandbox:local.denied(signals=socket_inet_eperm)`},
	{Name: "sandbox open, wanted closed, no signals", Cause: causes.SandboxOpen, Decisive: "ok",
		sandbox: diagnose.WantClosed,
		world:   Working + ` s.sandbox:ok s.dns:ok s.head:ok`},
	{Name: "sandbox open, wanted closed", Cause: causes.SandboxOpen, Decisive: "ok", sandbox: diagnose.WantClosed,
		world: Working + ` s.dns:ok s.head:ok`},
	{Name: "sandbox open, wanted closed, the service down", Cause: causes.Upstream, Decisive: "http.server_error",
		Also: []causes.Cause{causes.SandboxOpen}, sandbox: diagnose.WantClosed,
		world: Working + ` head:http.server_error s.head:http.server_error`},
	{Name: "sandbox open, wanted open", Cause: causes.Healthy, Decisive: "ok", sandbox: diagnose.WantOpen,
		world: Working + ` s.dns:ok s.head:ok`},
	{Name: "sandbox allows DNS only, wanted closed", Cause: causes.SandboxOpen, Decisive: "ok",
		sandbox: diagnose.WantClosed,
		world:   Working + ` s.dns:ok s.head:tcp.timed_out`},
	{Name: "bwrap without network", Cause: causes.Sandbox, Decisive: "dns.unreachable", sandbox: diagnose.WantOpen,
		world: Working + ` s.dns:dns.unreachable s.head:local.no_route`},
	{Name: "bwrap without network, wanted closed", Cause: causes.Healthy, Decisive: "ok", sandbox: diagnose.WantClosed,
		world: Working + ` s.dns:dns.unreachable s.head:local.no_route`},
	{Name: "seccomp returns EPERM", Cause: causes.Sandbox, Decisive: "local.denied", sandbox: diagnose.WantOpen,
		world: Working + ` s.head:local.denied(why=operation.not.permitted)`},
	{Name: "seccomp returns EACCES", Cause: causes.Sandbox, Decisive: "local.denied", sandbox: diagnose.WantOpen,
		world: Working + ` s.head:local.denied(why=permission.denied)`},
	{Name: "managed proxy answers plain HTTP itself, wanted closed", Cause: causes.Healthy, Decisive: "ok",
		sandbox: diagnose.WantClosed,
		world:   Working + ` plain:ok s.plain:http.unexpected_status(proxy=127.0.0.1:3128,status=403)`},
	{Name: "managed proxy forwards HTTPS, wanted closed",
		Cause: causes.SandboxOpen, Decisive: "http.unexpected_status",
		sandbox: diagnose.WantClosed,
		world:   Working + ` s.head:http.unexpected_status(proxy=127.0.0.1:3128,status=403)`},
	{Name: "managed proxy refuses by itself, wanted closed", Cause: causes.Healthy, Decisive: "ok",
		sandbox: diagnose.WantClosed,
		world:   Working + ` s.head:proxy.failed(proxy=127.0.0.1:3128)`},
	{Name: "managed proxy refuses, wanted open", Cause: causes.Sandbox, Decisive: "proxy.failed",
		sandbox: diagnose.WantOpen,
		world:   Working + ` s.head:proxy.failed(proxy=127.0.0.1:3128)`},
	{Name: "sandbox probe cannot be started", Cause: causes.Agent, Decisive: "exec.start_failed",
		sandbox: diagnose.WantClosed,
		world:   Working + ` s.dns:exec.start_failed s.head:exec.start_failed`},
	{Name: "sandbox probe fails with an unknown error, wanted closed", Cause: causes.Inconclusive, Decisive: "unknown",
		sandbox: diagnose.WantClosed,
		world:   Working + ` s.head:unknown`},
	{Name: "nested exec fails in the sandbox, the host fine", Cause: causes.Sandbox, Decisive: "exec.network",
		sandbox: diagnose.WantClosed,
		world:   Working + SandboxClosed + ` s.exec:exec.network`},
	{Name: "nested exec fails, its home is read-only in the sandbox",
		Cause: causes.Sandbox, Decisive: "exec.home_unwritable",
		world: Working + ` s.exec:exec.home_unwritable`},
	{Name: "nested exec fails, the service down", Cause: causes.Upstream, Decisive: "tcp.refused",
		sandbox: diagnose.WantClosed,
		world:   Working + ` head:tcp.refused stream:tcp.refused exec:exec.network s.exec:exec.network`},
	{Name: "nested exec is denied, the service down", Cause: causes.Upstream, Decisive: "tcp.refused",
		Also: []causes.Cause{causes.Sandbox}, sandbox: diagnose.WantClosed,
		world: Working + ` head:tcp.refused s.exec:local.denied`},
	{Name: "nested exec fails, and so does the host's", Cause: causes.Agent, Decisive: "exec.network",
		world: Working + ` exec:exec.network s.exec:exec.network`},
	{Name: "usage limit, reached inside the sandbox", Cause: causes.Account, Decisive: "exec.usage_limit",
		world: Working + ` s.exec:exec.usage_limit`},
	{Name: "service down and the sandbox denies, wanted open", Cause: causes.Upstream, Decisive: "tcp.refused",
		Also: []causes.Cause{causes.Sandbox}, sandbox: diagnose.WantOpen,
		world: Working + SandboxClosed + ` head:tcp.refused stream:tcp.refused`},
	{Name: "service down and the sandbox closed, wanted closed", Cause: causes.Upstream, Decisive: "tcp.refused",
		sandbox: diagnose.WantClosed,
		world:   Working + SandboxClosed + ` head:tcp.refused`},
	{Name: "inconclusive and the sandbox denies", Cause: causes.Inconclusive, Decisive: "tcp.refused",
		Also: []causes.Cause{causes.Sandbox}, sandbox: diagnose.WantOpen,
		world: `dns:ok head:tcp.refused ` + SandboxClosed},
	{Name: "nothing but the sandbox tried", Cause: causes.Inconclusive, Decisive: "local.denied",
		sandbox: diagnose.WantClosed,
		world:   SandboxClosed},

	// Works, but.
	{Name: "only IPv6 broken", Cause: causes.IPv6, Decisive: "ok",
		world: Working + ` head:ok(warn=ipv6_failed)`},
	{Name: "only IPv6 broken, a probe of its own for it", Cause: causes.IPv6, Decisive: "tcp.timed_out",
		world: Working + ` head4:ok(peer=104.18.32.47:443) head6:tcp.timed_out(peer=[2606:4700::1]:443)`},
	{Name: "only IPv4 broken", Cause: causes.IPv4, Decisive: "ok",
		world: Working + ` head:ok(warn=ipv4_failed)`},
	{Name: "30 % loss: one of two attempts", Cause: causes.Degraded, Decisive: "tcp.timed_out",
		world: Working + ` head#2:tcp.timed_out`},
	{Name: "30 % loss: the direct attempt succeeds",
		Cause: causes.Degraded, Decisive: "tcp.timed_out",
		world: Working + ` head:tcp.timed_out(answers=104.18.32.47) d.head:ok(status=405,answers=104.18.32.47)`},
	{Name: "300 ms delay, bound 250 ms", Cause: causes.Degraded, Decisive: "ok",
		world: Working + ` head:ok(took=300ms)`},
	{Name: "240 ms delay, bound 250 ms", Cause: causes.Healthy, Decisive: "ok",
		world: Working + ` head:ok(took=240ms)`},
	{Name: "a stream held for a minute is not late", Cause: causes.Healthy, Decisive: "ok",
		world: Working + ` stream:ok(took=1m)`},
	{Name: "only IPv6 broken, by the controls alone", Cause: causes.IPv6, Decisive: "tcp.timed_out",
		world: Working + ` a1:ok(peer=1.1.1.1:80) a2:ok(peer=8.8.8.8:80)
			a1#6:tcp.timed_out(peer=[2606:4700:4700::1111]:80) a2#6:tcp.timed_out(peer=[2001:4860:4860::8888]:80)`},
	{Name: "only IPv4 broken, by the controls alone", Cause: causes.IPv4, Decisive: "tcp.timed_out",
		world: Working + ` a1:tcp.timed_out(peer=1.1.1.1:80) a2:tcp.timed_out(peer=8.8.8.8:80)
			a1#6:ok(peer=[2606:4700:4700::1111]:80) a2#6:ok(peer=[2001:4860:4860::8888]:80)`},
	{Name: "one IPv6 address of two is filtered", Cause: causes.Healthy, Decisive: "ok",
		world: Working + ` a1:ok(peer=1.1.1.1:80) a2:ok(peer=8.8.8.8:80)
			a1#6:tcp.timed_out(peer=[2606:4700:4700::1111]:80) a2#6:ok(peer=[2001:4860:4860::8888]:80)`},
	// The network path.
	{Name: "the service through a dead tunnel", Cause: causes.Path, Decisive: "tcp.timed_out",
		world: Working + ` c*:ok(date=0s,route=eth0) a*:ok(route=eth0)
			head:tcp.timed_out(peer=104.18.32.47:443,route=wg0|tunnel) stream:tcp.timed_out`},
	{Name: "the service through another interface, which carries a control too", Cause: causes.Upstream, Decisive: "tcp.timed_out",
		world: Working + ` c*:ok(date=0s,route=eth0) a1:ok(route=eth1)
			head:tcp.timed_out(peer=104.18.32.47:443,route=eth1) stream:tcp.timed_out`},
	{Name: "the service refuses, behind a tunnel that works", Cause: causes.Upstream, Decisive: "tcp.refused",
		world: Working + ` c*:ok(date=0s,route=eth0) a*:ok(route=eth0)
			head:tcp.refused(peer=104.18.32.47:443,route=wg0|tunnel) stream:tcp.refused`},
	{Name: "a tunnel that accepts connections and carries nothing", Cause: causes.Path, Decisive: "tls.timed_out",
		world: Working + ` c*:ok(date=0s,route=eth0) a*:ok(route=eth0)
			head:tls.timed_out(peer=104.18.32.47:443,route=tun0|tunnel) stream:tls.timed_out`},
	{Name: "a server on the link is down", Cause: causes.Upstream, Decisive: "tcp.timed_out",
		world: Working + ` c*:ok(date=0s,route=eth0) a*:ok(route=eth0)
			ns1.svc:ok(answers=192.168.5.7) pub.svc:ok(answers=192.168.5.7)
			head:tcp.timed_out(peer=192.168.5.7:443,route=eth1|link) stream:tcp.timed_out`},
	{Name: "the NAT64 translator is dead, by its well-known prefix", Cause: causes.Path, Decisive: "tcp.timed_out",
		world: Working + ` head:tcp.timed_out(peer=[64:ff9b::6812:202f]:443) stream:tcp.timed_out`},
	{Name: "the NAT64 translator is dead, by the prefix of ipv4only.arpa", Cause: causes.Path, Decisive: "tcp.address_unreachable",
		world: Working + ` nat64:ok(answers=2001:db8:64::c000:aa)
			head:tcp.address_unreachable(peer=[2001:db8:64::6812:202f]:443) stream:tcp.address_unreachable`},
	{Name: "the NAT64 translator works, the service does not", Cause: causes.Upstream, Decisive: "tcp.timed_out",
		world: Working + ` a1:ok(peer=[64:ff9b::c633:6450]:80) head:tcp.timed_out(peer=[64:ff9b::6812:202f]:443)
			stream:tcp.timed_out`},
	{Name: "large packets are lost on the path to the service", Cause: causes.Path, Decisive: "tls.timed_out",
		world: Working + ` head:tls.timed_out stream:tls.timed_out
			at.head:tls.timed_out(peer=104.18.32.47:443,warn=small_packets_answered)`},
	{Name: "large ClientHellos are lost on the path to the service", Cause: causes.Path, Decisive: "tls.timed_out",
		world: Working + ` head:tls.timed_out stream:tls.timed_out
			at.head:tls.timed_out(peer=104.18.32.47:443,warn=small_hello_answered)`},
	{Name: "large ClientHellos end connections", Cause: causes.Path, Decisive: "tls.closed",
		world: Working + ` head:tls.closed stream:tls.closed
			at.head:tls.closed(peer=104.18.32.47:443,warn=small_hello_answered)`},
	{Name: "small packets are not answered either", Cause: causes.Upstream, Decisive: "tls.timed_out",
		world: Working + ` head:tls.timed_out stream:tls.timed_out at.head:tls.timed_out(peer=104.18.32.47:443)`},
	{Name: "large packets are lost over IPv6 alone", Cause: causes.IPv6, Decisive: "tls.timed_out",
		world: Working + ` head:tls.timed_out(answers=2606:4700::1|104.18.32.47,peer=[2606:4700::1]:443)
			at.head#1:tls.timed_out(peer=[2606:4700::1]:443,warn=small_packets_answered) at.head#2:ok(peer=104.18.32.47:443)`},
	{Name: "a TUN proxy closes connections", Cause: causes.Proxy, Decisive: "tls.closed",
		world: Working + ` ns1.svc:ok(answers=198.18.0.34) dns:ok(answers=198.18.0.34)
			head:tls.closed(answers=198.18.0.34,peer=198.18.0.34:443) stream:tls.closed(peer=198.18.0.34:443)`},
	{Name: "a TUN proxy is silent, at an address for reserved use", Cause: causes.Proxy, Decisive: "tcp.timed_out",
		world: Working + ` head:tcp.timed_out(answers=240.0.0.7,peer=240.0.0.7:443) stream:tcp.timed_out`},
	{Name: "a TUN proxy stands for the controls too", Cause: causes.Proxy, Decisive: "tls.closed",
		world: Working + ` -a1 -a2 -a3 c*:tls.closed(peer=198.18.0.3:443) pub.*:dns.timeout
			head:tls.closed(answers=198.18.0.34,peer=198.18.0.34:443) stream:tls.closed(peer=198.18.0.34:443)`},
	{Name: "the service answers 503 through a TUN proxy", Cause: causes.Upstream, Decisive: "http.server_error",
		world: Working + ` head:http.server_error(status=503,answers=198.18.0.34,peer=198.18.0.34:443)
			stream:http.server_error@response ns1.svc:ok(answers=198.18.0.34) pub.svc:ok(answers=198.18.0.34)`},
	{Name: "a server at a carrier's address on the link", Cause: causes.Upstream, Decisive: "tcp.refused",
		world: Working + ` ns1.svc:ok(answers=100.64.3.4) pub.svc:ok(answers=100.64.3.4) dns:ok(answers=100.64.3.4)
			head:tcp.refused(answers=100.64.3.4,peer=100.64.3.4:443,route=eth0|link) stream:tcp.refused`},
	{Name: "the hosts file turns the name to this host, no public resolver reached", Cause: causes.Resolver,
		Decisive: "tcp.refused",
		world: Working + ` pub.*:dns.timeout head:tcp.refused(answers=127.0.0.1,peer=127.0.0.1:443,warn=dns_hosts_file)
			stream:tcp.refused dns:ok(answers=127.0.0.1)`},
	{Name: "a search domain turns the name to a stranger", Cause: causes.Resolver, Decisive: "tls.cert.name_invalid",
		world: Working + ` head:tls.cert.name_invalid(answers=10.9.9.9,peer=10.9.9.9:443,fullname=chatgpt.com.corp.example)
			stream:tls.cert.name_invalid`},
	{Name: "a nameserver turns the name to this host", Cause: causes.Resolver, Decisive: "http.unexpected_status",
		world: Working + ` pub.*:dns.timeout ns1.svc:ok(answers=192.168.1.5) dns:ok(answers=192.168.1.5)
			head:http.unexpected_status(status=404,answers=192.168.1.5,peer=192.168.1.5:443,route=|own)`},
	{Name: "a server on this host is down, the internet is too", Cause: causes.Inconclusive, Decisive: "tcp.refused",
		Also:  []causes.Cause{causes.HostOffline, causes.ResolverDegraded},
		world: Working + Offline + ` -dns -stream -exec head:tcp.refused(target=http://127.0.0.1:8080/,peer=127.0.0.1:8080)`},
	{Name: "a server on the link is down, the internet is too", Cause: causes.Inconclusive, Decisive: "tcp.timed_out",
		Also: []causes.Cause{causes.HostOffline, causes.ResolverDegraded},
		world: Working + Offline + ` -dns -stream -exec
			head:tcp.timed_out(target=http://192.168.1.7/,peer=192.168.1.7:80,route=eth0|link)`},

	{Name: "one of two addresses answers 503", Cause: causes.Degraded, Decisive: "http.server_error",
		world: Working + ` head:http.server_error(status=503,answers=203.0.113.1|203.0.113.2,peer=203.0.113.1:443)
			at.head#1:http.server_error(status=503,peer=203.0.113.1:443) at.head#2:ok(status=405,peer=203.0.113.2:443)`},
	{Name: "two of three addresses refuse, hidden from the request", Cause: causes.Degraded, Decisive: "tcp.refused",
		world: Working + ` head:ok(status=405,warn=address_failed)
			at.head#1:tcp.refused(peer=203.0.113.1:443) at.head#2:tcp.refused(peer=203.0.113.2:443)
			at.head#3:ok(peer=203.0.113.3:443)`},
	{Name: "both addresses answer 503", Cause: causes.Upstream, Decisive: "http.server_error",
		world: Working + ` head:http.server_error(status=503,answers=203.0.113.1|203.0.113.2,peer=203.0.113.1:443)
			at.head#1:http.server_error(status=503,peer=203.0.113.1:443)
			at.head#2:http.server_error(status=503,peer=203.0.113.2:443)`},
	{Name: "one of two addresses is stale: the name has others now", Cause: causes.Upstream, Decisive: "http.server_error",
		world: Working + ` head:http.server_error(status=503,answers=203.0.113.1,peer=203.0.113.1:443)
			at.head#1:http.server_error(status=503,peer=203.0.113.1:443) at.head#2:ok(peer=203.0.113.2:443)`},
	{Name: "SYNs to the service vanish over IPv6, hidden from the request", Cause: causes.IPv6, Decisive: "tcp.timed_out",
		world: Working + ` a1:ok(peer=[2001:db8::1]:80) head:ok(status=405,warn=ipv6_slow)
			at.head#1:tcp.timed_out(peer=[2606:4700::1]:443) at.head#2:ok(peer=104.18.32.47:443)`},
	{Name: "IPv6 connects and carries nothing", Cause: causes.IPv6, Decisive: "tls.timed_out",
		world: Working + ` head:tls.timed_out(answers=2606:4700::1|104.18.32.47,peer=[2606:4700::1]:443)
			at.head#1:tls.timed_out(peer=[2606:4700::1]:443) at.head#2:ok(peer=104.18.32.47:443)`},
	{Name: "IPv6 slow once, every address well", Cause: causes.Healthy, Decisive: "ok",
		world: Working + ` head:ok(status=405,warn=ipv6_slow) at.head#1:ok(peer=[2606:4700::1]:443)
			at.head#2:ok(peer=104.18.32.47:443)`},
	{Name: "an address without a route", Cause: causes.Healthy, Decisive: "ok",
		world: Working + ` at.head#1:local.no_route(peer=[2606:4700::1]:443) at.head#2:ok(peer=104.18.32.47:443)`},
	{Name: "a stream refused at an address where HTTP fails too", Cause: causes.Degraded, Decisive: "http.server_error",
		world: Working + ` stream:stream.upgrade_refused@response(answers=203.0.113.1|203.0.113.2,peer=203.0.113.1:443)
			at.head#1:http.server_error(status=503,peer=203.0.113.1:443) at.head#2:ok(peer=203.0.113.2:443)
			at.stream#1:stream.upgrade_refused@response(peer=203.0.113.1:443) at.stream#2:ok(peer=203.0.113.2:443)`},
	{Name: "a stream refused at one of two addresses", Cause: causes.Degraded, Decisive: "stream.upgrade_refused",
		world: Working + ` stream:stream.upgrade_refused@response(answers=203.0.113.1|203.0.113.2,peer=203.0.113.1:443)
			at.head#1:ok(peer=203.0.113.1:443) at.head#2:ok(peer=203.0.113.2:443)
			at.stream#1:stream.upgrade_refused@response(peer=203.0.113.1:443) at.stream#2:ok(peer=203.0.113.2:443)`},
	{Name: "a stream refused at both addresses", Cause: causes.Stream, Decisive: "stream.upgrade_refused",
		world: Working + ` stream:stream.upgrade_refused@response(answers=203.0.113.1|203.0.113.2,peer=203.0.113.1:443)
			at.head#1:ok(peer=203.0.113.1:443) at.head#2:ok(peer=203.0.113.2:443)
			at.stream#1:stream.upgrade_refused@response(peer=203.0.113.1:443)
			at.stream#2:stream.upgrade_refused@response(peer=203.0.113.2:443)`},
	{Name: "no IPv6 here", Cause: causes.Healthy, Decisive: "ok",
		world: Working + ` a1:ok(peer=1.1.1.1:80) a2:ok(peer=8.8.8.8:80)
			a1#6:local.no_route(peer=[2606:4700:4700::1111]:80)
			a2#6:local.no_route(peer=[2001:4860:4860::8888]:80)`},
	{Name: "IPv6 broken and late", Cause: causes.IPv6, Decisive: "ok", Also: []causes.Cause{causes.Degraded},
		world: Working + ` head:ok(warn=ipv6_failed,took=1s)`},

	// Nothing known.
	{Name: "an unknown failure", Cause: causes.Inconclusive, Decisive: "unknown",
		world: Working + ` head:unknown`},
	{Name: "netwatchd's own fault", Cause: causes.Inconclusive, Decisive: "internal",
		world: Working + ` head:internal`},
	{Name: "nothing ran", Cause: causes.Inconclusive,
		world: ``},
	{Name: "nothing of the service ran", Cause: causes.Inconclusive,
		world: Working + ` -dns -head -stream -exec`},
}
