package dnsprobe

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"netwatchd/internal/probe"
	"netwatchd/internal/probe/probetest"
)

// TestPoolAsOneSocketEach: who refuses a query, and how, is the same through the shared socket, which is not connected,
// and through a connected socket for the lookup alone.
func TestPoolAsOneSocketEach(t *testing.T) {
	if !probetest.InOwnNetwork(t) {
		return
	}
	there := probetest.Router(t)
	probetest.InShell(t, `ip route add unreachable 203.0.113.0/26; ip route add prohibit 203.0.113.64/26; ip route add blackhole 203.0.113.128/26
		ip -6 route add unreachable 2001:db8:c::/64; ip -6 route add prohibit 2001:db8:d::/64`)
	for _, test := range []struct {
		name, filter string
		to           []string
		class        probe.Class
	}{
		{"no neighbor", "", []string{"192.0.2.9", "2001:db8::9"}, probe.DNSTimeout},
		{"port closed", "", []string{"192.0.2.1", "2001:db8::1"}, probe.DNSUnreachable},
		{"an unreachable route", "", []string{"203.0.113.1", "2001:db8:c::1"}, probe.LocalNoRoute},
		{"a prohibited route", "", []string{"203.0.113.65", "2001:db8:d::1"}, probe.LocalDenied},
		{"a blackhole", "", []string{"203.0.113.129"}, probe.LocalNoRoute},
		{"broadcast", "", []string{"255.255.255.255"}, probe.DNSTimeout},
		{"own firewall drops", "output udp dport 53 drop", []string{"192.0.2.1", "2001:db8::1"}, probe.LocalDenied},
		{"router: port", "reject", []string{"198.51.100.9", "2001:db8:b::9"}, probe.DNSUnreachable},
		{"router: admin", "reject with icmpx admin-prohibited", []string{"198.51.100.9", "2001:db8:b::9"}, probe.DNSUnreachable},
		{"router: host", "reject with icmp host-unreachable", []string{"198.51.100.9"}, probe.DNSTimeout},
		{"router: no route", "reject with icmpv6 no-route", []string{"2001:db8:b::9"}, probe.DNSTimeout},
		{"router: drop", "drop", []string{"198.51.100.9", "2001:db8:b::9"}, probe.DNSTimeout},
	} {
		for _, to := range test.to {
			t.Run(test.name+", "+to, func(t *testing.T) {
				server := netip.AddrPortFrom(netip.MustParseAddr(to), 53)
				switch rule, own := strings.CutPrefix(test.filter, "output "); {
				case own:
					probetest.Filter(t, "output", rule)
				case rule != "":
					probetest.InShell(t, there+"nft 'table inet t { chain c { type filter hook forward priority 0; udp dport 53 "+rule+"; }; }'")
					defer probetest.InShell(t, there+"nft delete table inet t")
				}
				timeout := patienceInTests
				if test.class == probe.DNSTimeout {
					timeout = time.Second // it passes
				}
				d := &Lookup{Name: "ok.com", Nameservers: []netip.AddrPort{server}}
				spec := probe.Spec{Kind: probe.KindDNS, Target: d.Name, Timeout: timeout}
				ended := make(chan probe.Result, 1)
				NewPool(t.Context()).Start(&probe.Probe{Spec: spec, Prober: d}, func(r probe.Result) { ended <- r })
				alone, _ := probe.Do(t.Context(), &probe.Probe{Spec: spec, Prober: d})
				pooled := <-ended
				if alone.Class != test.class || pooled.Class != test.class {
					t.Errorf("by itself %v: %s\nin the pool %v: %s\nwant %v", alone.Class, alone.Why, pooled.Class, pooled.Why, test.class)
				}
			})
		}
	}
}
