package scenes

import (
	"strings"

	"netwatchd/internal/lab/world"
)

const (
	translated   = "64:ff9b::" // RFC 6052: the translator's prefix, before an IPv4 address
	basic        = `Basic realm="office"`
	largePackets = " meta length > 700"
	serviceBoth  = "203.0.113.0/24"
	serviceBoth6 = "2001:db8:cd::/64"
)

func behindProxy(w *world.World) { w.UseProxy() }

// behindProxyExcept configures a proxy, and exceptions in both spellings of NO_PROXY.
func behindProxyExcept(upper, lower string) func(*world.World) {
	return func(w *world.World) {
		w.UseProxy()
		w.Env = append(w.Env, "NO_PROXY="+upper, "no_proxy="+lower)
	}
}

func tunnels(how world.Tunneling) func(*world.World) {
	return func(w *world.World) { w.Proxy.TunnelAs(how) }
}

// behindTranslator has the resolver add addresses of the network's NAT64 translator (DNS64, RFC 6147) to the service's
// IPv4 address. The gateway has no route to the translator.
func behindTranslator(w *world.World) {
	w.ScriptResolver(world.Together(world.ServiceAt(world.ServiceIPv4, translated+world.ServiceIPv4),
		world.NameAt("ipv4only.arpa", "192.0.0.170", "192.0.0.171", translated+"192.0.0.170", translated+"192.0.0.171")))
}

// What a proxy, or the network path, does to the service's connections alone.
var ways = []Scene{
	{Name: "the proxy swallows what follows CONNECT", Before: behindProxy, Inject: tunnels(world.Swallows),
		Cause: "proxy", Class: "tls.timed_out", Says: []string{world.ProxyAddress}},
	{Name: "the proxy resets after CONNECT", Before: behindProxy, Inject: tunnels(world.Resets),
		Cause: "proxy", Class: "tls.closed", Says: []string{world.ProxyAddress}},
	{Name: "the proxy forbids the service", Before: behindProxy, Inject: tunnels(world.Forbids),
		Cause: "proxy", Says: []string{world.ProxyAddress, "403"}},
	{Name: "the proxy offers Negotiate and NTLM only", Before: behindProxy,
		Inject: func(w *world.World) { w.Proxy.RequireLogin("Negotiate", "NTLM") },
		Cause:  "proxy", Class: "proxy.auth_required", Says: []string{"Negotiate", "NTLM", "px"}},
	{Name: "the proxy refuses the credentials in its URL", Before: func(w *world.World) {
		w.UseProxy()
		for i, variable := range w.Env {
			w.Env[i] = strings.Replace(variable, "://", "://me:wrong@", 1)
		}
	}, Inject: func(w *world.World) { w.Proxy.RequireLogin(basic) },
		Cause: "proxy", Class: "proxy.auth_required", Says: []string{"refuse"}},
	// codex reads NO_PROXY first, and no_proxy only if that is not set.
	{Name: "NO_PROXY exempts the service and no_proxy does not",
		Before: behindProxyExcept(world.ServiceName, "another.example"),
		Inject: tunnels(world.Resets), Cause: "healthy"},
	{Name: "no_proxy exempts the service and NO_PROXY does not",
		Before: behindProxyExcept("another.example", world.ServiceName),
		Inject: tunnels(world.Resets), Cause: "proxy", Class: "tls.closed"},
	{Name: "HTTPS_PROXY lists a port that is closed and https_proxy a proxy", Before: func(w *world.World) {
		w.UseProxy()
		w.Env = append(w.Env, "https_proxy=http://"+world.ProxyAddress)
	}, Inject: func(w *world.World) { w.Proxy.Stop() }, Cause: "proxy", Class: "proxy.refused"},
	{Name: "the gateway drops everything, behind a proxy", Before: behindProxy,
		Inject: func(w *world.World) { w.Drop(allTraffic) }, Cause: "host_offline"},
	{Name: "the link is down, behind a proxy", Before: behindProxy, Inject: (*world.World).Unplug,
		Cause: "host_offline", Class: "local.no_interface"},
	{Name: "a firewall on this host resets connections to the proxy", Before: behindProxy, Inject: func(w *world.World) {
		w.Firewall("tcp dport 3128" + reset)
	}, Cause: "local_policy", Class: "local.denied"},

	{Name: "a tunnel takes the service's packets and carries nothing",
		Inject: func(w *world.World) { w.Tunnel(serviceBoth, serviceBoth6) },
		Cause:  "path", Class: "tcp.timed_out", Says: []string{"tun0", "VPN"}},
	{Name: "a tunnel takes the service's packets and carries nothing, without IPv6",
		Before: func(w *world.World) { w.Unroute("-6") }, Inject: func(w *world.World) { w.Tunnel(serviceBoth) },
		Cause: "path", Class: "tcp.timed_out", Says: []string{"tun0", "VPN"}},
	{Name: "the NAT64 translator forwards nothing and there is no IPv4", Inject: func(w *world.World) {
		w.Blackhole(translated + "/96")
		behindTranslator(w)
		w.Unroute("-4")
	}, Cause: "path", Class: "tcp.timed_out", Says: []string{"NAT64", translated + "/96"}},
	{Name: "there is no route to the NAT64 translator and no IPv4", Inject: func(w *world.World) {
		behindTranslator(w)
		w.Unroute("-4")
	}, Cause: "path", Class: "tcp.address_unreachable", Says: []string{"NAT64", translated + "/96"}},
	{Name: "the NAT64 translator forwards nothing and IPv4 works", Inject: func(w *world.World) {
		w.Blackhole(translated + "/96")
		behindTranslator(w)
	}, Cause: "ipv6", Class: "tcp.timed_out"},
	{Name: "the network prohibits the service's network by ICMP", Inject: func(w *world.World) {
		w.Reject(dropsService+" reject with icmp net-prohibited", dropsService6+" reject with icmpv6 admin-prohibited")
	}, Cause: "path", Class: "tcp.address_unreachable", Says: []string{"firewall"}},
	{Name: "the network prohibits the service's host by ICMP, without IPv6",
		Before: func(w *world.World) { w.Unroute("-6") },
		Inject: func(w *world.World) { w.Reject(dropsService + " reject with icmp host-prohibited") },
		Cause:  "path", Class: "tcp.address_unreachable", Says: []string{"firewall"}},
	{Name: "large packets from the service are dropped", Config: slowConfig, Inject: func(w *world.World) {
		w.DropReplies("ip saddr "+world.ServiceIPv4+" tcp sport 443"+largePackets,
			"ip6 saddr "+world.ServiceIPv6+" tcp sport 443"+largePackets)
	}, Cause: "path", Class: "tls.timed_out", Says: []string{"MTU"}},
	{Name: "packets of more than 1280 bytes to the service are dropped", Config: slowConfig, Inject: func(w *world.World) {
		w.Drop(dropsService+" meta length > 1280", dropsService6+" meta length > 1280")
	}, Cause: "path", Class: "tls.timed_out"},
	{Name: "large packets over IPv6 are dropped", Config: slowConfig,
		Inject: func(w *world.World) { w.Drop(toInternet6 + largePackets) }, Cause: "ipv6", Class: "tls.timed_out"},
}
