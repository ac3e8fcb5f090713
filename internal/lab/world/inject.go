package world

import (
	"fmt"
	"net"
	"os"
	"strings"

	"netwatchd/internal/lab/parts"
	"netwatchd/internal/lab/wire"
)

// Nameservers writes the host's resolv.conf.
func (w *World) Nameservers(addresses ...string) {
	w.t.Helper()
	var text strings.Builder
	for _, address := range addresses {
		text.WriteString("nameserver " + address + "\n")
	}
	w.ResolvConf(text.String())
}

// ResolvConf replaces the host's resolv.conf.
func (w *World) ResolvConf(text string) {
	w.t.Helper()
	w.restoreResolvConf()
	w.write("resolv.conf", text)
}

// RemoveResolvConf removes it.
func (w *World) RemoveResolvConf() {
	w.t.Helper()
	w.restoreResolvConf()
	w.must(os.Remove(w.Host.Path("/etc/resolv.conf")))
}

// HideResolvConf makes it unreadable.
func (w *World) HideResolvConf() {
	w.t.Helper()
	w.restoreResolvConf()
	w.must(os.Chmod(w.Host.Path("/etc/resolv.conf"), 0))
}

// Hosts adds a line to the host's hosts file.
func (w *World) Hosts(line string) {
	w.t.Helper()
	w.t.Cleanup(func() { w.write("hosts", usualHosts) })
	w.write("hosts", usualHosts+line+"\n")
}

func (w *World) restoreResolvConf() {
	w.t.Cleanup(func() { w.write("resolv.conf", "nameserver "+Resolver+"\n") })
}

// Unplug takes the host's link down.
func (w *World) Unplug() {
	w.t.Helper()
	w.t.Cleanup(w.plug)
	w.must(w.Host.Batch([]string{"link set " + hostEnd + " down"}, "ip"))
}

// Unroute removes the default routes of these families, "-4" or "-6", from the host.
func (w *World) Unroute(families ...string) {
	w.t.Helper()
	w.t.Cleanup(w.plug)
	for _, family := range families {
		w.must(w.Host.Batch([]string{family + " route del default"}, "ip"))
	}
}

// WithoutDNS removes dns from the host's nsswitch.conf.
func (w *World) WithoutDNS() {
	w.t.Helper()
	w.t.Cleanup(func() { w.write("nsswitch.conf", "hosts: files dns\n") })
	w.write("nsswitch.conf", "hosts: files\n")
}

// Reroute changes the host's addresses and routes by lines for ip: "route add blackhole 203.0.113.10".
func (w *World) Reroute(lines ...string) {
	w.t.Helper()
	w.t.Cleanup(func() {
		w.must(w.Host.Batch([]string{"route flush type blackhole", "-6 route flush type blackhole", "addr flush dev " + hostEnd,
			"link set " + hostEnd + " down"}, "ip"))
		w.plug()
	})
	w.must(w.Host.Batch(lines, "ip"))
}

// Firewall adds rules for outgoing packets to the host: "udp dport 53 drop".
func (w *World) Firewall(rules ...string) {
	w.t.Helper()
	w.filter(w.Host, "type filter hook output priority 0", "", rules, "")
}

// Drop makes the gateway drop matching packets silently: "ip daddr 203.0.113.10 tcp dport 443".
func (w *World) Drop(matches ...string) {
	w.t.Helper()
	w.filter(w.Beyond, "type filter hook input priority 0", "iif "+gatewayEnd+" ", matches, " drop")
}

// DropReplies makes the gateway drop matching packets to the host silently: "ip saddr 203.0.113.10 tcp sport 443".
func (w *World) DropReplies(matches ...string) {
	w.t.Helper()
	w.filter(w.Beyond, "type filter hook output priority 0", "oif "+gatewayEnd+" ", matches, " drop")
}

// A tunnel's interface on the host, see Tunnel.
const tunnelEnd = "tun0"

// Tunnel adds a tunnel to the host that takes packets to these networks and carries nothing, as a VPN leaves one
// behind: "203.0.113.0/24". Nothing reads at its other end.
func (w *World) Tunnel(networks ...string) {
	w.t.Helper()
	w.t.Cleanup(func() { w.must(w.Host.Batch([]string{"link del " + tunnelEnd}, "ip")) })
	lines := []string{"link add " + tunnelEnd + " type veth peer name tun1", "link set " + tunnelEnd + " arp off up",
		"link set tun1 arp off up", "addr add 10.8.0.2/24 dev " + tunnelEnd,
		"addr add 2001:db8:8::2/64 dev " + tunnelEnd + " nodad"}
	for _, network := range networks {
		lines = append(lines, "route add "+network+" dev "+tunnelEnd)
	}
	w.must(w.Host.Batch(lines, "ip"))
}

// Blackhole makes the gateway discard the packets silently that it forwards to an IPv6 network: "64:ff9b::/96".
func (w *World) Blackhole(network string) {
	w.t.Helper()
	w.must(w.Beyond.Batch([]string{"-6 route add blackhole " + network}, "ip"))
	w.t.Cleanup(func() { w.must(w.Beyond.Batch([]string{"-6 route del blackhole " + network}, "ip")) })
}

// Reject makes the gateway reject by these rules: "tcp dport 443 reject with tcp reset".
func (w *World) Reject(rules ...string) {
	w.t.Helper()
	w.filter(w.Beyond, "type filter hook input priority 0", "iif "+gatewayEnd+" ", rules, "")
}

// nat adds destination NAT rules to the gateway, for packets from the host.
func (w *World) nat(rules ...string) {
	w.t.Helper()
	w.filter(w.Beyond, "type nat hook prerouting priority dstnat", "iif "+gatewayEnd+" ", rules, "")
}

// Divert passes new connections that match to handle: "ip daddr 203.0.113.10 tcp dport 443".
func (w *World) Divert(match string, handle func(net.Conn)) {
	w.t.Helper()
	_, port, _ := net.SplitHostPort(w.misbehaving("[::]:0", handle))
	w.nat(match + " redirect to :" + port)
}

// filter adds a table with one chain of rules, each between before and after, until the test ends.
func (w *World) filter(in *parts.Namespace, hook, before string, rules []string, after string) {
	w.t.Helper()
	w.tables++
	table := fmt.Sprintf("inet fault%d", w.tables)
	var script strings.Builder
	fmt.Fprintf(&script, "add table %s\nadd chain %[1]s fault { %s; }\n", table, hook)
	for _, rule := range rules {
		fmt.Fprintf(&script, "add rule %s fault %s%s%s\n", table, before, rule, after)
	}
	w.must(in.NFT(script.String()))
	w.t.Cleanup(func() { w.must(in.NFT("delete table " + table + "\n")) })
}

// Impair impairs the wire between host and gateway.
func (w *World) Impair(i wire.Impairment) {
	w.t.Cleanup(func() { w.Wire.Set(wire.Impairment{}) })
	w.Wire.Set(i)
}

// Listen opens a port beyond the gateway. It is closed when the test ends.
func (w *World) Listen(address string) net.Listener {
	w.t.Helper()
	listener := w.listen(address)
	w.t.Cleanup(func() { listener.Close() })
	return listener
}

func (w *World) listen(address string) (listener net.Listener) {
	w.t.Helper()
	w.must(w.Beyond.Do(func() (err error) {
		listener, err = net.Listen("tcp", address)
		return err
	}))
	return listener
}
