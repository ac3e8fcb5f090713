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

// ResolvConf writes the host's resolv.conf as it is to be.
func (w *World) ResolvConf(text string) {
	w.t.Helper()
	w.restoreResolvConf()
	w.write("resolv.conf", text)
}

// LoseResolvConf takes it away.
func (w *World) LoseResolvConf() {
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

// Unroute takes the host's default routes away: of both families, or of one.
func (w *World) Unroute(families ...string) {
	w.t.Helper()
	w.t.Cleanup(w.plug)
	for _, family := range families {
		w.must(w.Host.Batch([]string{family + " route del default"}, "ip"))
	}
}

// AskNobody has the host's nsswitch.conf name no nameserver.
func (w *World) AskNobody() {
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

// Firewall adds rules to the host, on what leaves it: "udp dport 53 drop".
func (w *World) Firewall(rules ...string) {
	w.t.Helper()
	w.filter(w.Host, "type filter hook output priority 0", "", rules, "")
}

// Lose has the gateway lose what matches, without a word: "ip daddr 203.0.113.10 tcp dport 443".
func (w *World) Lose(matches ...string) {
	w.t.Helper()
	w.filter(w.Beyond, "type filter hook input priority 0", "iif "+gatewayEnd+" ", matches, " drop")
}

// Reject has the gateway refuse by its rules: "tcp dport 443 reject with tcp reset".
func (w *World) Reject(rules ...string) {
	w.t.Helper()
	w.filter(w.Beyond, "type filter hook input priority 0", "iif "+gatewayEnd+" ", rules, "")
}

// nat adds rules to the gateway on where things that come from the host go.
func (w *World) nat(rules ...string) {
	w.t.Helper()
	w.filter(w.Beyond, "type nat hook prerouting priority dstnat", "iif "+gatewayEnd+" ", rules, "")
}

// filter adds a table with one chain of rules, each between before and after, until the test ends.
func (w *World) filter(in *parts.Namespace, hook, before string, rules []string, after string) {
	w.t.Helper()
	w.tables++
	table := fmt.Sprintf("inet bent%d", w.tables)
	var script strings.Builder
	script.WriteString(fmt.Sprintf("add table %s\nadd chain %[1]s bent { %s; }\n", table, hook))
	for _, rule := range rules {
		script.WriteString(fmt.Sprintf("add rule %s bent %s%s%s\n", table, before, rule, after))
	}
	w.must(in.NFT(script.String()))
	w.t.Cleanup(func() { w.must(in.NFT("delete table " + table + "\n")) })
}

// Bend bends the wire between host and gateway.
func (w *World) Bend(b wire.Bend) {
	w.t.Cleanup(func() { w.Wire.Set(wire.Bend{}) })
	w.Wire.Set(b)
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
