package host

import (
	"net/netip"
	"testing"
	"testing/fstest"
)

// Whatever /proc holds, it is read without a panic, and only valid addresses come out.
func FuzzProc(f *testing.F) {
	f.Add("Inter-|   Receive\n face |bytes\n    lo: 1\n  eth0: 2\n", "fe800000000000000000000000000001 02 40 20 80 eth0\n",
		"Iface\tDestination\tGateway\neth0\t00000000\t0101A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n",
		"00000000000000000000000000000000 00 00000000000000000000000000000000 00 fe80 400 1 0 00000003 eth0\n", "0x1003\n", "1\n")
	f.Add("", "zz 1 2 3 4 5", "a b c d e f g h", "0 ff 0 0 0 0 0 0 zz d", "", "-1")
	f.Fuzz(func(t *testing.T, dev, inet6, route, route6, flags, carrier string) {
		root := fstest.MapFS{}
		for name, text := range map[string]string{
			"proc/self/net/dev": dev, "proc/self/net/if_inet6": inet6, "proc/self/net/route": route,
			"proc/self/net/ipv6_route": route6, "sys/class/net/eth0/flags": flags, "sys/class/net/eth0/carrier": carrier,
		} {
			root[name] = &fstest.MapFile{Data: []byte(text)}
		}
		_, _ = procLinks(root)
		for _, gateway := range gateways(root) {
			if !gateway.Is4() {
				t.Errorf("gateway %v", gateway)
			}
		}
		proc, err := root.Sub("proc")
		if err != nil {
			t.Fatal(err)
		}
		lookup := procRouter(proc)
		for _, to := range []string{"192.0.2.1", "2001:db8::1"} {
			_ = lookup(netip.MustParseAddr(to))
		}
	})
}
