package probe

import (
	"context"
	"net"
	"net/netip"
)

// lookupTrace and lookup stand in until the real ones are merged.
type lookupTrace struct {
	Server, RCode string
	Warnings      []string
}

func lookup(ctx context.Context, nameservers []netip.AddrPort, host string, family string) ([]netip.Addr, lookupTrace, error) {
	r := &net.Resolver{PreferGo: true}
	var trace lookupTrace
	if len(nameservers) > 0 {
		trace.Server = nameservers[0].String()
		r.Dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, trace.Server)
		}
	}
	network := map[string]string{"ipv4": "ip4", "ipv6": "ip6"}[family]
	if network == "" {
		network = "ip"
	}
	addrs, err := r.LookupNetIP(ctx, network, host)
	return addrs, trace, err
}
