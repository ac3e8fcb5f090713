package diagnose

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"netwatchd/internal/probe"
)

// scenes are the situations people meet, each with the one cause it must lead to. Read one as: in this world, what would
// the person who is woken want to be told?
var scenes = []struct {
	name     string
	world    string
	cause    Cause
	also     []Cause
	decisive string // the class of the first piece of evidence
	want     Want
}{
	// Nothing wrong.
	{"nothing wrong", well, Healthy, nil, "ok", WantAny},
	{"nothing wrong, nothing but the probes", bare, Healthy, nil, "ok", WantAny},
	{"all controls down, the service fine", well + ` c*:tcp.timed_out a*:tcp.timed_out`, Healthy, nil, "ok", WantAny},
	{"one control of three down", well + ` c1:tcp.timed_out a1:tcp.timed_out`, Healthy, nil, "ok", WantAny},
	{"one control of three changed its answer", well + ` c1:http.unexpected_status`, Healthy, nil, "ok", WantAny},
	{"public resolvers blocked, as in many offices", well + ` pub.*:dns.timeout`, Healthy, nil, "ok", WantAny},
	{"portal for plain http, the service untouched", well + ` c*:http.redirected a*:http.redirected`, Healthy, []Cause{Interception}, "ok", WantAny},
	{"clock a year ahead, nothing minds", well + ` c*:ok(date=-8760h)`, Healthy, nil, "ok", WantAny},
	{"only names are watched, all well", `dns:ok(answers=1.2.3.4)`, Healthy, nil, "ok", WantAny},

	// This host.
	{"link down", well + offline + ` link:local.no_interface route:local.no_route a*:local.no_route`, HostOffline, nil, "local.no_interface", WantAny},
	{"no default route", well + offline + ` route:local.no_route a*:local.no_route`, HostOffline, nil, "local.no_route", WantAny},
	{"gateway drops everything", well + offline, HostOffline, nil, "tcp.timed_out", WantAny},
	{"gateway drops everything, controls by name only", well + offline + ` -a*`, HostOffline, nil, "dns.timeout", WantAny},
	{"gateway drops everything, the stub says SERVFAIL", well + offline + ` ns1.*:dns.servfail c*:dns.servfail dns:dns.servfail head:dns.servfail`, HostOffline, nil, "tcp.timed_out", WantAny},
	{"gateway drops everything, cached name", well + offline + ` dns:ok ns1.svc:ok head:tcp.timed_out stream:tcp.timed_out`, HostOffline, nil, "tcp.timed_out", WantAny},
	{"offline, without any host check", offline + ` c1:dns.timeout a1:tcp.timed_out`, HostOffline, nil, "tcp.timed_out", WantAny},
	{"no route to the service alone", well + ` head:local.no_route stream:local.no_route exec:exec.network`, HostOffline, nil, "local.no_route", WantAny},
	{"no route, but the service answers", well + ` route:local.no_route`, Healthy, nil, "ok", WantAny},
	{"the router is gone", well + offline + ` -link route:ok(signals=ipv4) *.ctl:dns.timeout dns:ok head:local.no_route stream:local.no_route c*:local.no_route a*:local.no_route`, HostOffline, nil, "local.no_route", WantAny},
	{"DHCP has not answered", well + offline + ` link:local.no_interface(why=no.address.on.eth0:.has.DHCP.answered?) route:local.no_route a*:local.no_route`, HostOffline, nil, "local.no_interface", WantAny},
	{"the network lets lookups pass and no connection", well + ` c1:tcp.refused(target=http://alpha.example/) c2:tcp.refused(target=http://beta.example/) c3:tcp.refused a*:tcp.refused a1:local.no_route head:tcp.refused stream:tcp.refused exec:exec.network`, HostOffline, nil, "tcp.refused", WantAny},
	{"controls fail otherwise than the service", well + ` c1:tcp.timed_out(target=http://alpha.example/) c2:tcp.timed_out(target=http://beta.example/) c3:tcp.timed_out a*:tcp.timed_out head:tcp.refused stream:tcp.refused`, Inconclusive, nil, "tcp.refused", WantAny},
	{"the one control there is is down as well", `c1:tcp.refused(target=http://alpha.example/) a1:tcp.refused(target=http://alpha.example/) pub.ctl:ok pub.svc:ok dns:ok head:tcp.refused`, Inconclusive, nil, "tcp.refused", WantAny},
	{"firewall refuses the service", well + ` head:local.denied stream:local.denied exec:exec.network`, LocalPolicy, nil, "local.denied", WantAny},
	{"firewall refuses everything", well + ` ns1.*:local.denied pub.*:local.denied c*:local.denied a*:local.denied dns:local.denied head:local.denied@resolve`, LocalPolicy, nil, "local.denied", WantAny},
	{"firewall refuses port 53", well + ` ns1.*:local.denied pub.*:local.denied c*:local.denied@resolve dns:local.denied head:local.denied@resolve`, LocalPolicy, nil, "local.denied", WantAny},
	{"firewall refuses the controls and drops the service", well + ` c*:local.denied a*:local.denied head:tcp.timed_out stream:tcp.timed_out`, LocalPolicy, nil, "local.denied", WantAny},
	{"firewall refuses the controls alone", well + ` c*:local.denied a*:local.denied`, Healthy, nil, "ok", WantAny},
	{"policy refuses the agent's process alone", well + ` exec:local.denied`, LocalPolicy, nil, "local.denied", WantAny},
	{"self sandboxed", well + offline + ` sandbox:local.denied ns1.*:local.denied c*:local.denied a*:local.denied dns:local.denied head:local.denied@resolve`, SelfSandboxed, nil, "local.denied", WantAny},
	{"self sandboxed, managed proxy refuses", well + ` sandbox:local.denied c*:http.edge_blocked a*:tcp.refused dns:dns.unreachable head:proxy.failed`, SelfSandboxed, nil, "local.denied", WantOpen},
	{"out of sockets", well + ` c*:local.resources a*:local.resources dns:local.resources head:local.resources`, Inconclusive, nil, "local.resources", WantAny},

	// The proxy.
	{"proxy dead", well + ` c*:proxy.refused a*:proxy.refused head:proxy.refused stream:proxy.refused exec:exec.network`, Proxy, nil, "proxy.refused", WantAny},
	{"proxy dead, the service reached past it", well + ` head:proxy.refused(proxy=http://10.0.0.1:3128) stream:proxy.refused d.head:ok(status=405)`, Proxy, nil, "proxy.refused", WantAny},
	{"proxy wants credentials", well + ` head:proxy.auth_required stream:proxy.auth_required`, Proxy, nil, "proxy.auth_required", WantAny},
	{"proxy is the only way out, and dead", well + ` ns1.ctl:dns.name_not_resolved ns1.svc:dns.name_not_resolved pub.*:dns.timeout c*:proxy.unreachable a*:tcp.timed_out dns:dns.name_not_resolved head:proxy.unreachable`, Proxy, nil, "proxy.unreachable", WantAny},
	{"proxy resolves, the office's resolver does not", well + ` ns1.ctl:dns.name_not_resolved ns1.svc:dns.name_not_resolved dns:dns.name_not_resolved`, ResolverDegraded, nil, "dns.name_not_resolved", WantAny},
	{"proxy answers in the place of all", well + ` c1:http.unexpected_status(proxy=http://10.0.0.1:3128) c3:tls.closed(target=https://gamma.example/,proxy=http://10.0.0.1:3128) head:tls.closed(proxy=http://10.0.0.1:3128) stream:tls.closed(proxy=http://10.0.0.1:3128)`, Proxy, nil, "tls.closed", WantAny},
	{"proxy answers in its place, the service reached past it", well + ` head:tls.closed(proxy=http://10.0.0.1:3128) stream:tls.closed(proxy=http://10.0.0.1:3128) d.head:ok(status=405)`, Proxy, nil, "tls.closed", WantAny},
	{"proxy passes others on, the service ends the handshake", well + ` c3:ok(target=https://gamma.example/,proxy=http://10.0.0.1:3128) head:tls.closed(proxy=http://10.0.0.1:3128) stream:tls.closed(proxy=http://10.0.0.1:3128)`, Upstream, nil, "tls.closed", WantAny},
	{"behind a proxy nobody vouches for", well + ` head:tls.closed(proxy=http://10.0.0.1:3128) stream:tls.closed(proxy=http://10.0.0.1:3128)`, Inconclusive, nil, "tls.closed", WantAny},
	{"503 through a proxy nobody vouches for, by its own certificate", well + ` head:http.server_error(status=503,proxy=http://10.0.0.1:3128)`, Upstream, nil, "http.server_error", WantAny},
	{"the service is down, and the proxy says so", well + ` c3:ok(target=https://gamma.example/,proxy=http://10.0.0.1:3128) a3:ok(target=https://gamma.example/) head:proxy.failed(proxy=http://10.0.0.1:3128,warn=proxy_got_nowhere) stream:proxy.failed(proxy=http://10.0.0.1:3128,warn=proxy_got_nowhere) d.head:tcp.refused`, Upstream, nil, "tcp.refused", WantAny},
	{"the proxy forbids it, and the service is down as well", well + ` c3:ok(target=https://gamma.example/,proxy=http://10.0.0.1:3128) a3:ok(target=https://gamma.example/) head:proxy.failed(proxy=http://10.0.0.1:3128) stream:proxy.failed(proxy=http://10.0.0.1:3128) d.head:tcp.refused`, Proxy, nil, "proxy.failed", WantAny},
	{"the proxy does not reach the service, and nothing gets past it by TLS", well + ` c3:ok(target=https://gamma.example/,proxy=http://10.0.0.1:3128) a3:tcp.timed_out(target=https://gamma.example/) head:proxy.failed(proxy=http://10.0.0.1:3128,warn=proxy_got_nowhere) stream:proxy.failed(proxy=http://10.0.0.1:3128,warn=proxy_got_nowhere) d.head:tcp.timed_out`, Proxy, nil, "proxy.failed", WantAny},
	{"proxy does not reach the service, though it does others", well + ` c3:ok(target=https://gamma.example/,proxy=http://10.0.0.1:3128) head:proxy.failed(proxy=http://10.0.0.1:3128) stream:proxy.failed(proxy=http://10.0.0.1:3128)`, Proxy, nil, "proxy.failed", WantAny},

	// The resolver.
	{"resolver stopped", well + ` ns1.*:dns.unreachable c*:dns.unreachable dns:dns.unreachable head:dns.unreachable stream:dns.unreachable exec:exec.network`, Resolver, nil, "dns.unreachable", WantAny},
	{"resolver drops", well + ` ns1.*:dns.timeout c*:dns.timeout dns:dns.timeout head:dns.timeout stream:dns.timeout`, Resolver, nil, "dns.timeout", WantAny},
	{"resolver drops, no public one is reached", well + ` ns1.*:dns.timeout pub.*:dns.timeout c*:dns.timeout dns:dns.timeout head:dns.timeout`, Resolver, nil, "dns.timeout", WantAny},
	{"UDP 53 blocked, TCP fine", well + ` ns1.*:dns.timeout pub.*:dns.timeout c*:dns.timeout dns:dns.timeout head:dns.timeout`, Resolver, nil, "dns.timeout", WantAny},
	{"TCP 53 blocked, truncated answers cannot be had", well + ` ns1.svc:tcp.timed_out@resolve dns:tcp.timed_out@resolve head:tcp.timed_out@resolve`, Resolver, nil, "tcp.timed_out", WantAny},
	{"resolver says NXDOMAIN, a public one knows the name", well + ` ns1.svc:dns.name_not_resolved dns:dns.name_not_resolved head:dns.name_not_resolved`, Resolver, nil, "dns.name_not_resolved", WantAny},
	{"resolver says NXDOMAIN, no public one is reached", well + ` pub.*:dns.timeout ns1.svc:dns.name_not_resolved dns:dns.name_not_resolved head:dns.name_not_resolved`, Inconclusive, nil, "dns.name_not_resolved", WantAny},
	{"resolver says NXDOMAIN, none other was asked", well + ` -pub.* -head -stream -exec ns1.svc:dns.name_not_resolved dns:dns.name_not_resolved`, Inconclusive, nil, "dns.name_not_resolved", WantAny},
	{"SERVFAIL for everything", well + ` ns1.*:dns.servfail c*:dns.servfail dns:dns.servfail head:dns.servfail`, Resolver, nil, "dns.servfail", WantAny},
	{"REFUSED for everything", well + ` ns1.*:dns.refused c*:dns.refused dns:dns.refused head:dns.refused`, Resolver, nil, "dns.refused", WantAny},
	{"resolv.conf empty", well + ` -ns1.* conf:dns.no_nameserver c*:dns.unreachable dns:dns.no_nameserver head:dns.unreachable`, Resolver, nil, "dns.no_nameserver", WantAny},
	{"resolv.conf missing, nothing else known", `conf:dns.no_nameserver dns:dns.no_nameserver head:dns.unreachable`, Resolver, nil, "dns.no_nameserver", WantAny},
	{"resolv.conf unreadable", well + ` -ns1.* conf:dns.no_nameserver(why=permission.denied) c*:dns.failed dns:dns.failed head:dns.failed`, Resolver, nil, "dns.no_nameserver", WantAny},
	{"resolv.conf empty, but everything works", well + ` conf:dns.no_nameserver`, Healthy, nil, "ok", WantAny},
	{"block list: 0.0.0.0", well + ` ns1.svc:dns.wrong_answer(answers=0.0.0.0) dns:dns.wrong_answer(answers=0.0.0.0) head:tcp.refused`, Resolver, nil, "dns.wrong_answer", WantAny},
	{"block list, no public resolver is reached", well + ` pub.*:dns.timeout dns:dns.wrong_answer(answers=0.0.0.0) head:tcp.refused`, Resolver, nil, "dns.wrong_answer", WantAny},
	{"AAAA only, no IPv6 here", well + ` dns:ok(answers=2606:4700::1) ns1.svc:ok(answers=2606:4700::1) head:local.no_route stream:local.no_route`, Resolver, nil, "local.no_route", WantAny},
	{"AAAA only, IPv6 drops", well + ` dns:ok(answers=2606:4700::1) ns1.svc:ok(answers=2606:4700::1) head:tcp.timed_out stream:tcp.timed_out`, Resolver, nil, "tcp.timed_out", WantAny},
	{"A only, no IPv4 here", well + ` dns:ok(answers=104.18.32.47) ns1.svc:ok(answers=104.18.32.47) head:local.no_route stream:local.no_route`, Resolver, nil, "local.no_route", WantAny},
	{"AAAA filtered, the service is down", well + ` dns:ok(answers=104.18.32.47) ns1.svc:ok(answers=104.18.32.47) head:tcp.refused stream:tcp.refused`, Upstream, nil, "tcp.refused", WantAny},
	{"block page's address, another name's certificate", well + ` dns:ok(answers=10.9.9.9) ns1.svc:ok(answers=10.9.9.9) head:tls.cert.name_invalid`, Resolver, nil, "tls.cert.name_invalid", WantAny},
	{"first nameserver dead, second fine", well + ` ns1.*:dns.timeout ns2.ctl:ok ns2.svc:ok dns:ok(warn=dns_first_nameserver_failed)`, ResolverDegraded, nil, "dns.timeout", WantAny},
	{"first nameserver dead, seen by a warning only", bare + ` dns:ok(warn=dns_first_nameserver_failed)`, ResolverDegraded, nil, "ok", WantAny},
	{"first nameserver says NXDOMAIN, nobody asks the second", well + ` pub.*:dns.timeout ns1.svc:dns.name_not_resolved ns2.ctl:ok ns2.svc:ok dns:dns.name_not_resolved(server=192.168.1.1:53) head:dns.name_not_resolved`, Resolver, nil, "dns.name_not_resolved", WantAny},
	{"names fail, nothing to hold them against", `dns:dns.timeout`, Inconclusive, nil, "dns.timeout", WantAny},
	{"no route to the resolver alone", well + ` ns1.*:local.no_route c*:local.no_route@resolve dns:local.no_route(server=192.168.1.1:53) head:local.no_route@resolve stream:local.no_route@resolve`, Resolver, nil, "local.no_route", WantAny},
	{"nsswitch.conf asks no nameserver", well + ` dns:dns.name_not_resolved(warn=dns_not_asked) head:dns.name_not_resolved`, Resolver, nil, "dns.name_not_resolved", WantAny},
	{"systemd's stub is down", well + ` -ns1.* c*:dns.unreachable dns:dns.unreachable(server=127.0.0.53:53) head:dns.unreachable(server=127.0.0.53:53)`, Resolver, nil, "dns.unreachable", WantAny},
	{"WSL's tunnel is down", well + ` -ns1.* c*:dns.timeout dns:dns.timeout(server=10.255.255.254:53) head:dns.timeout(server=10.255.255.254:53)`, Resolver, nil, "dns.timeout", WantAny},
	{"the resolver does not implement the question", well + ` ns1.svc:dns.failed(rcode=NOTIMP) dns:dns.failed(server=192.168.1.1:53,rcode=NOTIMP) head:dns.failed`, Resolver, nil, "dns.failed", WantAny},
	{"/etc/hosts blocks it", well + ` dns:dns.wrong_answer(answers=0.0.0.0,warn=dns_hosts_file) head:dns.wrong_answer@resolve`, Resolver, nil, "dns.wrong_answer", WantAny},
	{"/etc/hosts sends it to a dead address", well + ` dns:ok(answers=203.0.113.7,warn=dns_hosts_file) head:tcp.timed_out(answers=203.0.113.7,warn=dns_hosts_file)`, Resolver, nil, "tcp.timed_out", WantAny},
	{"/etc/hosts has its right address, the service is down", well + ` dns:ok(answers=104.18.32.47,warn=dns_hosts_file) head:tcp.timed_out(answers=104.18.32.47,warn=dns_hosts_file)`, Upstream, nil, "tcp.timed_out", WantAny},
	{"a VPN left a private address behind", well + ` ns1.svc:ok(answers=10.1.2.3) dns:ok(answers=10.1.2.3) head:tcp.timed_out(answers=10.1.2.3)`, Resolver, nil, "tcp.timed_out", WantAny},
	{"the service is private by everyone's word, and down", well + ` *.svc:ok(answers=10.1.2.3) dns:ok(answers=10.1.2.3) head:tcp.timed_out(answers=10.1.2.3)`, Upstream, nil, "tcp.timed_out", WantAny},
	{"the resolver gives a dead address, the public one's works", well + ` ns1.svc:ok(answers=198.51.100.9) dns:ok(answers=198.51.100.9) head:tcp.timed_out(answers=198.51.100.9) d.head:ok(status=405,answers=104.18.32.47)`, Resolver, nil, "tcp.timed_out", WantAny},
	{"another address than the public one's, both dead", well + ` ns1.svc:ok(answers=198.51.100.9) dns:ok(answers=198.51.100.9) head:tcp.timed_out(answers=198.51.100.9) d.head:tcp.timed_out(answers=104.18.32.47)`, Upstream, nil, "tcp.timed_out", WantAny},

	// Someone in between.
	{"NXDOMAIN rewritten, the service reached", well + ` ns1.rnd:dns.wrong_answer(answers=10.9.9.9)`, ResolverDegraded, nil, "dns.wrong_answer", WantAny},
	{"NXDOMAIN rewritten, the service's name with it", well + ` -pub.* ns1.rnd:dns.wrong_answer(answers=10.9.9.9) ns1.svc:ok(answers=10.9.9.9) dns:ok(answers=10.9.9.9) head:tcp.refused stream:tcp.refused`, Interception, nil, "dns.wrong_answer", WantAny},
	{"NXDOMAIN rewritten, a stranger answers, no address known", well + ` -pub.* ns1.rnd:dns.wrong_answer ns1.svc:ok dns:ok head:tls.cert.name_invalid stream:tls.cert.name_invalid`, Interception, nil, "dns.wrong_answer", WantAny},
	{"NXDOMAIN rewritten, the service is down by itself", well + ` ns1.rnd:dns.wrong_answer(answers=10.9.9.9) head:http.server_error(status=503)`, Upstream, []Cause{ResolverDegraded}, "http.server_error", WantAny},
	{"a search domain answers for every name", well + ` head:tls.cert.name_invalid(peer=10.9.9.9:443) stream:tls.cert.name_invalid(peer=10.9.9.9:443)`, Resolver, nil, "tls.cert.name_invalid", WantAny},
	{"certificate for another name, at the service's address", well + ` head:tls.cert.name_invalid(peer=104.18.32.47:443)`, Upstream, nil, "tls.cert.name_invalid", WantAny},
	{"/etc/hosts sends the name home", well + ` head:tcp.refused(peer=127.0.0.1:443) stream:tcp.refused(peer=127.0.0.1:443)`, Resolver, nil, "tcp.refused", WantAny},
	{"an address that was not among the answers refuses", well + ` head:tcp.refused(peer=104.18.32.99:443)`, Upstream, nil, "tcp.refused", WantAny},
	{"captive portal answers 200", well + ` pub.*:dns.timeout c*:http.unexpected_status(status=200) a*:http.unexpected_status(status=200) head:tls.cert.name_invalid stream:tls.cert.name_invalid`, Interception, nil, "http.unexpected_status", WantAny},
	{"captive portal redirects with 302", well + ` pub.*:dns.timeout c*:http.redirected a*:http.redirected head:tls.closed stream:tls.closed`, Interception, nil, "http.redirected", WantAny},
	{"captive portal that lets one control through", well + ` c1:http.redirected c2:http.redirected a1:http.redirected a2:http.redirected head:tls.closed`, Interception, nil, "http.redirected", WantAny},
	{"interception by another CA, all sites", well + ` c*:tls.cert.authority_invalid(issuer=Zscaler,subject=x) -a* head:tls.cert.authority_invalid(issuer=Zscaler,subject=chatgpt.com)`, Interception, nil, "tls.cert.authority_invalid", WantAny},
	{"interception by another CA, the service alone", well + ` head:tls.cert.authority_invalid(issuer=Zscaler,subject=chatgpt.com) stream:tls.cert.authority_invalid`, Interception, nil, "tls.cert.authority_invalid", WantAny},
	{"interception by a CA this host trusts", well + ` head:tls.cert.unexpected_issuer(issuer=Zscaler,subject=chatgpt.com)`, Interception, nil, "tls.cert.unexpected_issuer", WantAny},
	{"TLS alone leads to a portal", well + ` c3:tls.cert.name_invalid(target=https://gamma.example/) a3:tls.cert.name_invalid(target=https://gamma.example/) head:tls.cert.name_invalid stream:tls.cert.name_invalid`, Interception, nil, "tls.cert.name_invalid", WantAny},
	{"TLS alone leads to a portal that signed itself", well + ` c3:tls.cert.authority_invalid(target=https://gamma.example/,issuer=portal,subject=portal) a3:tls.cert.authority_invalid(target=https://gamma.example/,issuer=portal,subject=portal) head:tls.cert.authority_invalid(issuer=portal,subject=portal)`, Interception, nil, "tls.cert.authority_invalid", WantAny},
	{"certificate for another name, a control shows its own", well + ` c3:ok(target=https://gamma.example/) a3:tls.cert.name_invalid(target=https://gamma.example/) head:tls.cert.name_invalid`, Upstream, nil, "tls.cert.name_invalid", WantAny},
	{"511 asks for a sign-in", well + ` head:http.unexpected_status(status=511)`, Interception, nil, "http.unexpected_status", WantAny},
	{"407 of a proxy nobody configured", well + ` head:http.unexpected_status(status=407)`, Interception, nil, "http.unexpected_status", WantAny},
	{"clock a year ahead", well + ` c*:ok(date=-8760h) head:tls.cert.date_invalid(expires=-2000h) stream:tls.cert.date_invalid(expires=-2000h)`, Clock, nil, "tls.cert.date_invalid", WantAny},
	{"clock a year behind", well + ` c*:ok(date=8760h) head:tls.cert.date_invalid(expires=10000h)`, Clock, nil, "tls.cert.date_invalid", WantAny},
	{"clock an hour and a half ahead, certificate expired last month", well + ` c*:ok(date=-90m) head:tls.cert.date_invalid(expires=-720h)`, Upstream, nil, "tls.cert.date_invalid", WantAny},
	{"certificate out of date, nobody's clock known", well + ` c*:ok head:tls.cert.date_invalid(expires=-1h)`, Inconclusive, nil, "tls.cert.date_invalid", WantAny},
	{"certificate not valid yet, clock right", well + ` head:tls.cert.date_invalid(expires=2000h)`, Upstream, nil, "tls.cert.date_invalid", WantAny},

	// The service.
	{"expired certificate, clock right", well + ` head:tls.cert.date_invalid(expires=-1h) stream:tls.cert.date_invalid exec:exec.network`, Upstream, nil, "tls.cert.date_invalid", WantAny},
	{"self-signed certificate", well + ` head:tls.cert.authority_invalid(issuer=chatgpt.com,subject=chatgpt.com)`, Upstream, nil, "tls.cert.authority_invalid", WantAny},
	{"large packets vanish", well + ` c3:tls.timed_out(target=https://gamma.example/) a3:tls.timed_out(target=https://gamma.example/) head:tls.timed_out stream:tls.timed_out`, Inconclusive, nil, "tls.timed_out", WantAny},
	{"packets get lost", well + ` c1:ok(connect=1020ms) a2:tcp.timed_out head:tcp.timed_out`, Inconclusive, nil, "tcp.timed_out", WantAny},
	{"packets get lost, in too short a time for a second try", well + ` c1:ok(peer=192.0.2.81:80) a1:tcp.timed_out(peer=192.0.2.81:80) a2:tcp.timed_out head:tcp.timed_out`, Inconclusive, nil, "tcp.timed_out", WantAny},
	{"a control is silent to one attempt of two", well + ` c1:ok(peer=192.0.2.81:80) a1:tcp.timed_out(peer=192.0.2.81:80) head:tcp.timed_out`, Upstream, nil, "tcp.timed_out", WantAny},
	{"packets get lost, and a stream stalls", well + ` c1:ok(connect=1020ms) a2:tcp.timed_out stream:stream.stalled`, Inconclusive, nil, "stream.stalled", WantAny},
	{"packets get lost, and an upgrade is not answered", well + ` c1:ok(connect=1020ms) a2:tcp.timed_out stream:http.timed_out`, Inconclusive, nil, "http.timed_out", WantAny},
	{"packets get lost, and a stream is cut when idle", well + ` c1:ok(connect=1020ms) a2:tcp.timed_out stream:stream.idle_cut`, Stream, nil, "stream.idle_cut", WantAny},
	{"packets get lost, and the service refuses", well + ` c1:ok(connect=1020ms) a2:tcp.timed_out head:tcp.refused`, Upstream, nil, "tcp.refused", WantAny},
	{"a way so slow that the attempt's time is over", well + ` c*:ok(connect=1200ms) head:http.timed_out(connect=1200ms,waited=1400ms)`, Inconclusive, nil, "http.timed_out", WantAny},
	{"a slow way, and the service does not answer", well + ` c*:ok(connect=900ms) head:http.timed_out(connect=900ms,waited=3s)`, Upstream, nil, "http.timed_out", WantAny},
	{"one slow control, and the service is silent", well + ` c1:ok(connect=1020ms) head:tcp.timed_out`, Upstream, nil, "tcp.timed_out", WantAny},
	{"port 443 is blocked on the way", well + ` c3:tcp.timed_out(target=https://gamma.example/) a3:tcp.timed_out(target=https://gamma.example/) head:tcp.timed_out stream:tcp.timed_out`, Inconclusive, nil, "tcp.timed_out", WantAny},
	{"the service is silent, a control by TLS is fine", well + ` c3:ok(target=https://gamma.example/) a3:tls.timed_out(target=https://gamma.example/) head:tls.timed_out`, Upstream, nil, "tls.timed_out", WantAny},
	{"the service is silent, a control by TLS is blocked otherwise", well + ` c3:tcp.refused(target=https://gamma.example/) a3:tcp.refused(target=https://gamma.example/) head:tls.timed_out`, Upstream, nil, "tls.timed_out", WantAny},
	{"certificate for another name", well + ` head:tls.cert.name_invalid`, Upstream, nil, "tls.cert.name_invalid", WantAny},
	{"service refuses its port", well + ` head:tcp.refused stream:tcp.refused exec:exec.network`, Upstream, nil, "tcp.refused", WantAny},
	{"a firewall on the way rejects the service", well + ` head:tcp.address_unreachable(warn=forbidden_on_the_way) stream:tcp.address_unreachable(warn=forbidden_on_the_way)`, Inconclusive, nil, "tcp.address_unreachable", WantAny},
	{"a router on the way knows no route to the service", well + ` head:tcp.address_unreachable stream:tcp.address_unreachable`, Upstream, nil, "tcp.address_unreachable", WantAny},
	{"service drops SYN", well + ` head:tcp.timed_out stream:tcp.timed_out exec:exec.network`, Upstream, nil, "tcp.timed_out", WantAny},
	{"service accepts and says nothing", well + ` head:tls.timed_out stream:tls.timed_out exec:exec.timed_out`, Upstream, nil, "tls.timed_out", WantAny},
	{"service resets after ClientHello", well + ` head:tls.closed stream:tls.closed exec:exec.network`, Upstream, nil, "tls.closed", WantAny},
	{"MTU hole: small packets pass, the certificate does not", well + ` head:tls.timed_out stream:tls.timed_out`, Upstream, nil, "tls.timed_out", WantAny},
	{"slow beyond the timeout", well + ` head:http.timed_out stream:http.timed_out`, Upstream, nil, "http.timed_out", WantAny},
	{"500", well + ` head:http.server_error(status=500)`, Upstream, nil, "http.server_error", WantAny},
	{"502", well + ` head:http.server_error(status=502)`, Upstream, nil, "http.server_error", WantAny},
	{"503", well + ` head:http.server_error(status=503) stream:http.server_error(status=503) exec:exec.overloaded`, Upstream, nil, "http.server_error", WantAny},
	{"504", well + ` head:http.server_error(status=504)`, Upstream, nil, "http.server_error", WantAny},
	{"503 and no control reached", well + ` c*:tcp.timed_out a*:tcp.timed_out head:http.server_error(status=503)`, Inconclusive, nil, "http.server_error", WantAny},
	{"refused and no control tried", `dns:ok head:tcp.refused`, Inconclusive, nil, "tcp.refused", WantAny},
	{"the service's DNS is gone", well + ` *.svc:dns.name_not_resolved dns:dns.name_not_resolved head:dns.name_not_resolved stream:dns.name_not_resolved`, Upstream, nil, "dns.name_not_resolved", WantAny},
	{"the service's DNS servers are dead", well + ` *.svc:dns.servfail dns:dns.servfail head:dns.servfail`, Upstream, nil, "dns.servfail", WantAny},
	{"queries for the service vanish everywhere", well + ` *.svc:dns.timeout dns:dns.timeout head:dns.timeout`, Inconclusive, nil, "dns.timeout", WantAny},
	{"model overloaded, the edge fine", well + ` exec:exec.overloaded`, Upstream, nil, "exec.overloaded", WantAny},
	{"one endpoint of two fails", well + ` models:http.server_error(status=500)`, Upstream, nil, "http.server_error", WantAny},
	{"service down, second nameserver dead too", well + ` ns2.ctl:dns.timeout ns2.svc:dns.timeout head:tcp.refused`, Upstream, []Cause{ResolverDegraded}, "tcp.refused", WantAny},
	{"200 instead of 405", well + ` head:http.unexpected_status(status=200)`, UnexpectedAnswer, nil, "http.unexpected_status", WantAny},
	{"405 without Allow", well + ` head:http.unexpected_header(status=405)`, UnexpectedAnswer, nil, "http.unexpected_header", WantAny},
	{"405 Allow: GET", well + ` head:http.unexpected_header(status=405)`, UnexpectedAnswer, nil, "http.unexpected_header", WantAny},
	{"401", well + ` head:http.unauthorized(status=401)`, UnexpectedAnswer, nil, "http.unauthorized", WantAny},
	{"403 of the application", well + ` head:http.unexpected_status(status=403)`, UnexpectedAnswer, nil, "http.unexpected_status", WantAny},
	{"200 over plain http, nothing to hold it against", `plain:http.unexpected_status(status=200)`, Inconclusive, nil, "http.unexpected_status", WantAny},
	{"200 over https, nothing to hold it against", `head:http.unexpected_status(status=200)`, UnexpectedAnswer, nil, "http.unexpected_status", WantAny},
	{"everyone gives another address than configured", well + ` *.svc:ok(answers=5.6.7.8) dns:dns.wrong_answer(answers=5.6.7.8)`, UnexpectedAnswer, nil, "dns.wrong_answer", WantAny},
	{"the agent answers in other words", well + ` exec:exec.unexpected_output`, UnexpectedAnswer, nil, "exec.unexpected_output", WantAny},
	{"403 challenge of a CDN", well + ` head:http.edge_blocked(status=403) stream:http.edge_blocked exec:exec.unexpected_exit`, EdgeBlocked, nil, "http.edge_blocked", WantAny},
	{"429", well + ` head:http.rate_limited(status=429)`, EdgeBlocked, nil, "http.rate_limited", WantAny},
	{"upgrade refused", well + ` stream:stream.upgrade_refused`, Stream, nil, "stream.upgrade_refused", WantAny},
	{"stream cut when idle", well + ` stream:stream.idle_cut exec:exec.network`, Stream, nil, "stream.idle_cut", WantAny},
	{"upgrade refused, and HTTP not as configured", well + ` head:http.unauthorized(status=401) stream:http.server_error(status=501)`, UnexpectedAnswer, nil, "http.unauthorized", WantAny},
	{"stream's port filtered, HTTP fine", well + ` stream:tcp.timed_out(target=wss://svc.example:8443/stream)`, Stream, nil, "tcp.timed_out", WantAny},
	{"the connection for the stream is lost, the one for HTTP is not", well + ` stream:tcp.timed_out`, Degraded, nil, "tcp.timed_out", WantAny},
	{"the agent's answer is cut, HTTP fine", well + ` exec:exec.stream_cut`, Stream, nil, "exec.stream_cut", WantAny},
	{"stream cut, no control reached", well + ` c*:tcp.timed_out a*:tcp.timed_out stream:stream.cut`, Inconclusive, nil, "stream.cut", WantAny},
	{"stream alone watched, port refused", well + ` -head -exec stream:tcp.refused`, Upstream, nil, "tcp.refused", WantAny},

	// The agent.
	{"codex missing", well + ` exec:exec.not_found`, Agent, nil, "exec.not_found", WantAny},
	{"codex missing, the service down", well + ` head:tcp.refused exec:exec.not_found`, Upstream, []Cause{Agent}, "tcp.refused", WantAny},
	{"broken config", well + ` exec:exec.config_invalid`, Agent, nil, "exec.config_invalid", WantAny},
	{"home not writable", well + ` exec:exec.home_unwritable`, Agent, nil, "exec.home_unwritable", WantAny},
	{"model rejected", well + ` exec:exec.model_rejected`, Agent, nil, "exec.model_rejected", WantAny},
	{"agent alone cannot reach it", well + ` exec:exec.network`, Agent, nil, "exec.network", WantAny},
	{"agent alone has no name for it", well + ` exec:dns.name_not_resolved`, Agent, nil, "dns.name_not_resolved", WantAny},
	{"agent cannot reach it, nothing else tried", `exec:exec.network`, Inconclusive, nil, "exec.network", WantAny},
	{"signed out", well + ` exec:exec.not_logged_in`, Account, nil, "exec.not_logged_in", WantAny},
	{"token refused", well + ` exec:exec.unauthorized`, Account, nil, "exec.unauthorized", WantAny},
	{"usage limit", well + ` exec:exec.usage_limit`, Account, nil, "exec.usage_limit", WantAny},
	{"exec fails in an unknown way", well + ` exec:unknown`, Inconclusive, nil, "unknown", WantAny},

	// The sandbox.
	{"sandbox closed, wanted closed", well + closed, Healthy, nil, "ok", WantClosed},
	{"sandbox closed, nobody minds", well + closed, Healthy, nil, "ok", WantAny},
	{"sandbox closed, wanted open", well + closed, Sandbox, nil, "local.denied", WantOpen},
	{"sandbox closed, wanted closed, its signs seen", well + closed + ` s.sandbox:local.denied(signals=socket_inet_eperm)`, Healthy, nil, "ok", WantClosed},
	{"sandbox closed, wanted open, its signs seen", well + closed + ` s.sandbox:local.denied(signals=socket_inet_eperm)`, Sandbox, nil, "local.denied", WantOpen},
	{"sandbox open, wanted closed, no signs", well + ` s.sandbox:ok s.dns:ok s.head:ok`, SandboxOpen, nil, "ok", WantClosed},
	{"sandbox open, wanted closed", well + ` s.dns:ok s.head:ok`, SandboxOpen, nil, "ok", WantClosed},
	{"sandbox open, wanted closed, the service down", well + ` head:http.server_error s.head:http.server_error`, Upstream, []Cause{SandboxOpen}, "http.server_error", WantClosed},
	{"sandbox open, wanted open", well + ` s.dns:ok s.head:ok`, Healthy, nil, "ok", WantOpen},
	{"sandbox lets names through, wanted closed", well + ` s.dns:ok s.head:tcp.timed_out`, SandboxOpen, nil, "ok", WantClosed},
	{"bwrap without network", well + ` s.dns:dns.unreachable s.head:local.no_route`, Sandbox, nil, "dns.unreachable", WantOpen},
	{"bwrap without network, wanted so", well + ` s.dns:dns.unreachable s.head:local.no_route`, Healthy, nil, "ok", WantClosed},
	{"seccomp says EPERM", well + ` s.head:local.denied(why=operation.not.permitted)`, Sandbox, nil, "local.denied", WantOpen},
	{"seccomp says EACCES", well + ` s.head:local.denied(why=permission.denied)`, Sandbox, nil, "local.denied", WantOpen},
	{"managed proxy answers plain http itself, wanted closed", well + ` plain:ok s.plain:http.unexpected_status(proxy=127.0.0.1:3128,status=403)`, Healthy, nil, "ok", WantClosed},
	{"managed proxy passes https on, wanted closed", well + ` s.head:http.unexpected_status(proxy=127.0.0.1:3128,status=403)`, SandboxOpen, nil, "http.unexpected_status", WantClosed},
	{"managed proxy refuses by itself, wanted closed", well + ` s.head:proxy.failed(proxy=127.0.0.1:3128)`, Healthy, nil, "ok", WantClosed},
	{"managed proxy refuses, wanted open", well + ` s.head:proxy.failed(proxy=127.0.0.1:3128)`, Sandbox, nil, "proxy.failed", WantOpen},
	{"twin cannot be started", well + ` s.dns:exec.start_failed s.head:exec.start_failed`, Agent, nil, "exec.start_failed", WantClosed},
	{"twin ends in an unknown way, wanted closed", well + ` s.head:unknown`, Inconclusive, nil, "unknown", WantClosed},
	{"nested exec fails in the sandbox, the host fine", well + closed + ` s.exec:exec.network`, Sandbox, nil, "exec.network", WantClosed},
	{"nested exec fails, its home is read-only in there", well + ` s.exec:exec.home_unwritable`, Sandbox, nil, "exec.home_unwritable", WantAny},
	{"nested exec fails, the service down", well + ` head:tcp.refused stream:tcp.refused exec:exec.network s.exec:exec.network`, Upstream, nil, "tcp.refused", WantClosed},
	{"nested exec is denied, the service down", well + ` head:tcp.refused s.exec:local.denied`, Upstream, []Cause{Sandbox}, "tcp.refused", WantClosed},
	{"nested exec fails, and so does the host's", well + ` exec:exec.network s.exec:exec.network`, Agent, nil, "exec.network", WantAny},
	{"usage limit, met inside", well + ` s.exec:exec.usage_limit`, Account, nil, "exec.usage_limit", WantAny},
	{"service down and the sandbox denies, wanted open", well + closed + ` head:tcp.refused stream:tcp.refused`, Upstream, []Cause{Sandbox}, "tcp.refused", WantOpen},
	{"service down and the sandbox closed, wanted closed", well + closed + ` head:tcp.refused`, Upstream, nil, "tcp.refused", WantClosed},
	{"inconclusive and the sandbox denies", `dns:ok head:tcp.refused ` + closed, Inconclusive, []Cause{Sandbox}, "tcp.refused", WantOpen},
	{"nothing but the sandbox tried", closed, Inconclusive, nil, "local.denied", WantClosed},

	// Works, but.
	{"only IPv6 broken", well + ` head:ok(warn=ipv6_failed)`, IPv6, nil, "ok", WantAny},
	{"only IPv6 broken, a probe of its own for it", well + ` head4:ok(peer=104.18.32.47:443) head6:tcp.timed_out(peer=[2606:4700::1]:443)`, IPv6, nil, "tcp.timed_out", WantAny},
	{"only IPv4 broken", well + ` head:ok(warn=ipv4_failed)`, IPv4, nil, "ok", WantAny},
	{"30 % loss: one of two attempts", well + ` head#2:tcp.timed_out`, Degraded, nil, "tcp.timed_out", WantAny},
	{"30 % loss: the attempt past the resolver gets through", well + ` head:tcp.timed_out(answers=104.18.32.47) d.head:ok(status=405,answers=104.18.32.47)`, Degraded, nil, "tcp.timed_out", WantAny},
	{"300 ms delay, bound 250 ms", well + ` head:ok(took=300ms)`, Degraded, nil, "ok", WantAny},
	{"240 ms delay, bound 250 ms", well + ` head:ok(took=240ms)`, Healthy, nil, "ok", WantAny},
	{"a stream held for a minute is not late", well + ` stream:ok(took=1m)`, Healthy, nil, "ok", WantAny},
	{"only IPv6 broken, by the controls alone", well + ` a1:ok(peer=1.1.1.1:80) a2:ok(peer=8.8.8.8:80) a1#6:tcp.timed_out(peer=[2606:4700:4700::1111]:80) a2#6:tcp.timed_out(peer=[2001:4860:4860::8888]:80)`, IPv6, nil, "tcp.timed_out", WantAny},
	{"only IPv4 broken, by the controls alone", well + ` a1:tcp.timed_out(peer=1.1.1.1:80) a2:tcp.timed_out(peer=8.8.8.8:80) a1#6:ok(peer=[2606:4700:4700::1111]:80) a2#6:ok(peer=[2001:4860:4860::8888]:80)`, IPv4, nil, "tcp.timed_out", WantAny},
	{"one IPv6 address of two is filtered", well + ` a1:ok(peer=1.1.1.1:80) a2:ok(peer=8.8.8.8:80) a1#6:tcp.timed_out(peer=[2606:4700:4700::1111]:80) a2#6:ok(peer=[2001:4860:4860::8888]:80)`, Healthy, nil, "ok", WantAny},
	{"no IPv6 here", well + ` a1:ok(peer=1.1.1.1:80) a2:ok(peer=8.8.8.8:80) a1#6:local.no_route(peer=[2606:4700:4700::1111]:80) a2#6:local.no_route(peer=[2001:4860:4860::8888]:80)`, Healthy, nil, "ok", WantAny},
	{"IPv6 broken and late", well + ` head:ok(warn=ipv6_failed,took=1s)`, IPv6, []Cause{Degraded}, "ok", WantAny},

	// Nothing known.
	{"an unknown failure", well + ` head:unknown`, Inconclusive, nil, "unknown", WantAny},
	{"our own fault", well + ` head:internal`, Inconclusive, nil, "internal", WantAny},
	{"nothing ran", ``, Inconclusive, nil, "", WantAny},
	{"nothing of the service ran", well + ` -dns -head -stream -exec`, Inconclusive, nil, "", WantAny},
}

// late is the bound of every scene.
const late = 250 * time.Millisecond

func TestScenes(t *testing.T) {
	for _, s := range scenes {
		t.Run(s.name, func(t *testing.T) {
			v := Of(Round{Service: "codex", Results: parse(t, s.world), Expect: Expect{Sandbox: s.want, Late: late}})
			if v.Cause != s.cause {
				t.Errorf("cause %v, want %v: %s", v.Cause, s.cause, v.Title)
			}
			var also []Cause
			for _, f := range v.Also {
				also = append(also, f.Cause)
			}
			if diff := cmp.Diff(s.also, also); diff != "" {
				t.Errorf("also (-want +got):\n%s", diff)
			}
			decisive := ""
			if len(v.Evidence) > 0 {
				decisive = v.Evidence[0].Class.String()
			}
			if decisive != s.decisive {
				t.Errorf("decisive is %q, want %q", decisive, s.decisive)
			}
		})
	}
}

// The words of every scene are read as prose: testdata/scenes.golden.
func TestSceneWords(t *testing.T) {
	var b strings.Builder
	for _, s := range scenes {
		v := Of(Round{Service: "codex", Results: parse(t, s.world), Expect: Expect{Sandbox: s.want, Late: late}})
		b.WriteString("# " + s.name + "\n" + v.Headline() + "\n")
		for _, f := range v.Also {
			b.WriteString("  also: " + f.Title + "\n")
		}
		if len(v.Blocked) > 0 {
			b.WriteString("  blocked: " + strings.Join(v.Blocked, ", ") + "\n")
		}
		if len(v.Missing) > 0 {
			b.WriteString("  missing: " + strings.Join(v.Missing, ", ") + "\n")
		}
		b.WriteString("  do: " + v.Advice + "\n\n")
	}
	golden(t, "testdata/scenes.golden", b.String())
}

func TestOrderOfResultsDoesNotMatter(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, s := range scenes {
		round := Round{Service: "codex", Results: parse(t, s.world), Expect: Expect{Sandbox: s.want, Late: late}}
		want := Of(round)
		for range 20 {
			round.Results = slices.Clone(round.Results)
			rng.Shuffle(len(round.Results), func(i, j int) { round.Results[i], round.Results[j] = round.Results[j], round.Results[i] })
			if diff := cmp.Diff(want, Of(round)); diff != "" {
				t.Fatalf("%s: another order, another verdict (-want +got):\n%s", s.name, diff)
			}
		}
	}
}

func TestConfiguredSeverity(t *testing.T) {
	round := Round{Service: "codex", Results: parse(t, well+` exec:exec.not_found`), Expect: Expect{Severity: map[Cause]Severity{Agent: Page}}}
	if v := Of(round); v.Severity != Page {
		t.Errorf("severity %v, want the configured %v", v.Severity, Page)
	}
}

// The first screen of the manual shows this verdict; it must be said in these words.
func TestSandboxOnly(t *testing.T) {
	v := Of(Round{Service: "codex", Results: parse(t, well+closed+` -s.dns`), Expect: Expect{Sandbox: WantClosed}})
	if got, want := v.Headline(), "codex: unreachable from the sandbox only - as configured. Your network and the API are fine."; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	host, _ := v.Seen(probe.FromHost)
	sandbox, _ := v.Seen(probe.FromSandbox)
	got := []string{host, sandbox}
	want := []string{"405 in 84ms", "resolve: local.denied (operation not permitted)"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("one line per vantage (-want +got):\n%s", diff)
	}
	if direct, seen := v.Seen(probe.Direct); seen {
		t.Errorf("nothing was tried past the proxy, but %q was seen there", direct)
	}
}

// The signs seen inside are part of what shows it.
func TestSignsInsideAreEvidence(t *testing.T) {
	for _, want := range []Want{WantOpen, WantClosed} {
		world := well + closed + ` s.sandbox:local.denied(signals=socket_inet_eperm|env_network_disabled)`
		v := Of(Round{Service: "codex", Results: parse(t, world), Expect: Expect{Sandbox: want}})
		if !slices.ContainsFunc(v.Evidence, func(r probe.Result) bool { return slices.Contains(r.Signals, "env_network_disabled") }) {
			t.Errorf("wanted %v: no signs in the evidence of %q", want, v.Title)
		}
	}
}

func TestNotReady(t *testing.T) {
	v := NotReady("codex", Starting)
	if v.Cause != Starting || v.Severity != None || v.Title != "codex: not judged yet: the first round is not over" {
		t.Errorf("got %v %v %q", v.Cause, v.Severity, v.Title)
	}
}
