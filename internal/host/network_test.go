package host

import (
	"os"
	"slices"
	"strings"
	"testing"

	"netwatchd/internal/probe"
)

const pair = "ip link add left type veth peer name right\n"

func TestLinkAndRoute(t *testing.T) {
	const wired = pair + "ip link set left up; ip link set right up\nip address add 192.0.2.7/24 dev left\n"
	const wired6 = pair + "ip link set left up; ip link set right up\nip address add 2001:db8::7/64 dev left nodad\n"
	for _, tt := range []struct {
		name        string
		script      string
		link, route probe.Class
		linkWhy     string
		families    string
	}{
		{"nothing", "", probe.LocalNoInterface, probe.LocalNoRoute, "no interface but loopback", ""},
		{"link down", pair, probe.LocalNoInterface, probe.LocalNoRoute, "ip link set right|left up", ""},
		{"no carrier", pair + "ip link set left up; ip address add 192.0.2.7/24 dev left", probe.LocalNoInterface, probe.LocalNoRoute,
			"no carrier on left", ""},
		{"no address", pair + "ip link set left up; ip link set right up", probe.LocalNoInterface, probe.LocalNoRoute, "no address on", ""},
		{"no route", wired, probe.OK, probe.LocalNoRoute, "", ""},
		{"ipv4", wired + "ip route add default via 192.0.2.1", probe.OK, probe.OK, "", "ipv4"},
		{"ipv6", wired6 + "ip route add default via 2001:db8::1", probe.OK, probe.OK, "", "ipv6"},
		{"a route but no address", wired + "ip address add fe80::7/64 dev left nodad; ip -6 route add default via fe80::1 dev left", probe.OK, probe.LocalNoRoute, "", ""},
		{"default route in halves", wired + "ip route add 0.0.0.0/1 via 192.0.2.1; ip route add 128.0.0.0/1 via 192.0.2.1",
			probe.OK, probe.OK, "", "ipv4"},
		{"policy routing", wired + "ip route add default via 192.0.2.1 table 51820; ip rule add not fwmark 51820 table 51820",
			probe.OK, probe.OK, "", "ipv4"},
		{"prohibited", wired + "ip route add prohibit default", probe.OK, probe.LocalDenied, "", ""},
		{"unreachable", wired + "ip route add unreachable default", probe.OK, probe.LocalNoRoute, "", ""},
		{"WSL mirrored with Windows offline", "ip link set lo up; ip address add 10.255.255.254/32 dev lo\n" +
			"ip link add loopback0 type veth peer name windows; ip link set loopback0 up; ip link set windows down",
			probe.LocalNoInterface, probe.LocalNoRoute, "", ""},
		{"WSL without an address", "ip link set lo up; ip address add 10.255.255.254/32 dev lo\n" + pair +
			"ip link set left up; ip link set right up", probe.LocalNoInterface, probe.LocalNoRoute, "no address on", ""},
		{"unnumbered", "ip link set lo up; ip address add 198.51.100.9/32 dev lo\n" + pair +
			"ip link set left up; ip link set right up; ip route add default dev left", probe.OK, probe.OK, "", "ipv4"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			found := inNamespace(t, tt.script)
			if r := found["link"]; r.Class != tt.link || !strings.Contains(r.Why, tt.linkWhy) {
				t.Errorf("link: got %s %q, want %s %q", r.Class, r.Why, tt.link, tt.linkWhy)
			}
			r := found["route"]
			if r.Class != tt.route || strings.Join(r.Signals, " ") != tt.families {
				t.Errorf("route: got %s %q %v, want %s %s", r.Class, r.Why, r.Signals, tt.route, tt.families)
			}
			if found["sandbox"].Class != probe.OK {
				t.Errorf("an empty namespace is not a sandbox: %q", found["sandbox"].Why)
			}
		})
	}
}

// Without netlink, /proc must give the same results.
func TestWithoutNetlink(t *testing.T) {
	const wired = pair + "ip link set left up; ip link set right up\n"
	const sysfs = "mount -t sysfs none /sys" // shows the interfaces of the namespace in which it is mounted
	for _, tt := range []struct {
		name        string
		script      string
		link, route probe.Class
		linkWhy     string
		families    string
	}{
		{"nothing", "", probe.LocalNoInterface, probe.LocalNoRoute, "no interface but loopback", ""},
		{"link down", pair + sysfs, probe.LocalNoInterface, probe.LocalNoRoute, "no interface is up", ""},
		{"no carrier", pair + "ip link set left up; ip address add 192.0.2.7/24 dev left\n" + sysfs, probe.LocalNoInterface, probe.LocalNoRoute,
			"no carrier on left", ""},
		{"no address", wired, probe.LocalNoInterface, probe.LocalNoRoute, "no address on", ""},
		{"no route", wired + "ip address add 192.0.2.7/24 dev left", probe.OK, probe.LocalNoRoute, "", ""},
		{"both", wired + "ip address add 192.0.2.7/24 dev left; ip route add default via 192.0.2.1\n" +
			"ip address add 2001:db8::7/64 dev left nodad; ip route add default via 2001:db8::1", probe.OK, probe.OK, "", "ipv4 ipv6"},
		{"halves", wired + "ip address add 192.0.2.7/24 dev left; ip route add 0.0.0.0/1 via 192.0.2.1", probe.OK, probe.OK, "", "ipv4"},
		{"unreachable", wired + "ip address add 192.0.2.7/24 dev left; ip route add unreachable default", probe.OK, probe.LocalNoRoute, "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			found := inNamespace(t, tt.script+"\nexport "+filterEnv+"=eperm")
			link, route := found["link"], found["route"]
			if link.Class != tt.link || !strings.Contains(link.Why, tt.linkWhy) || !slices.Contains(link.Warnings, netlinkDenied) {
				t.Errorf("link: got %s %q %v, want %s", link.Class, link.Why, link.Warnings, tt.link)
			}
			if route.Class != tt.route || strings.Join(route.Signals, " ") != tt.families || !slices.Contains(route.Warnings, netlinkDenied) {
				t.Errorf("route: got %s %q %v %v, want %s", route.Class, route.Why, route.Signals, route.Warnings, tt.route)
			}
		})
	}
}

func TestThisHostAgreesWithItself(t *testing.T) {
	links, err := netlinkLinks()
	if err != nil {
		t.Skipf("needs netlink: %v", err)
	}
	byProc, err := procLinks(os.DirFS("/"))
	if err != nil {
		t.Fatal(err)
	}
	if (judgeLinks(links) == nil) != (judgeLinks(byProc) == nil) {
		t.Errorf("netlink reports %+v, /proc %+v", links, byProc)
	}
}
