package connect

import (
	"net"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"netwatchd/internal/probe"
)

// tunnels are the types of interfaces that carry packets inside others, as `ip -details link` names them.
var tunnels = []string{"tun", "tuntap", "wireguard", "ppp", "ipip", "sit", "gre", "gretap", "ip6gre", "ip6tnl", "vti", "vti6",
	"xfrm"}

// describeRoute returns how packets to addr leave this host, or nil if there is no route.
func describeRoute(addr netip.Addr) *probe.Route {
	way, is := routeTo(addr)
	if !is {
		return nil
	}
	if way.Type == unix.RTN_LOCAL {
		return &probe.Route{Own: true}
	}
	link, err := netlink.LinkByIndex(way.LinkIndex)
	if err != nil {
		return nil
	}
	r := &probe.Route{Interface: link.Attrs().Name}
	r.Tunnel = link.Attrs().Flags&net.FlagPointToPoint != 0 || slices.Contains(tunnels, link.Type())
	r.OnLink = way.Gw == nil && !r.Tunnel && hasPrefixOf(link, addr)
	return r
}

// hasPrefixOf reports whether addr is in a prefix that is assigned to link.
func hasPrefixOf(link netlink.Link, addr netip.Addr) bool {
	assigned, err := netlink.AddrList(link, netlink.FAMILY_ALL)
	return err == nil && slices.ContainsFunc(assigned, func(a netlink.Addr) bool {
		return a.IPNet != nil && a.Contains(addr.AsSlice())
	})
}
