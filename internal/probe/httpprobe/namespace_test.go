package httpprobe

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"netwatchd/internal/probe"
	"netwatchd/internal/probe/probetest"
)

func TestUnreachable(t *testing.T) {
	if !probetest.InOwnNetwork(t) {
		return
	}
	probetest.InShell(t, `ip link set lo up
		ip link add va type veth peer name vb; ip link set va up; ip link set vb up
		ip address add 192.0.2.1/24 dev va; ip -6 address add 2001:db8::1/64 dev va nodad
		ip route add 192.0.3.0/24 via 192.0.2.254
		ip route add unreachable 198.51.100.0/25; ip route add prohibit 198.51.100.128/25
		ip route add blackhole 203.0.113.9`)
	for _, tt := range []struct {
		name       string
		hook, rule string
		to         string // the service's address; nothing serves there
		family     string
		class      probe.Class
		why        string
	}{
		{name: "no route", to: "203.0.113.1", class: probe.LocalNoRoute, why: "network is unreachable (this host has no route to it)"},
		{name: "a route that says no", to: "198.51.100.1", class: probe.LocalNoRoute, why: "no route to host (this host has no route to it)"},
		{name: "a route that forbids", to: "198.51.100.129", class: probe.LocalDenied, why: "permission denied"},
		{name: "a route into nothing", to: "203.0.113.9", class: probe.LocalNoRoute, why: "invalid argument (this host has no route to it)"},
		{name: "no neighbour", to: "192.0.2.2", class: probe.LocalNoRoute, why: "does not answer"},
		{name: "no neighbour, IPv6", to: "2001:db8::2", class: probe.LocalNoRoute, why: "does not answer"},
		{name: "the router is gone", to: "192.0.3.1", class: probe.LocalNoRoute, why: "the next hop, probably the router, does not answer"},
		{name: "the network says no host", hook: "input", rule: "tcp dport 443 reject with icmp host-unreachable", to: "127.0.0.1",
			class: probe.TCPAddressUnreachable, why: "no route to host (reported by the network)"},
		{name: "the network says no network", hook: "input", rule: "tcp dport 443 reject with icmp net-unreachable", to: "127.0.0.1",
			class: probe.TCPAddressUnreachable, why: "network is unreachable (reported by the network)"},
		{name: "the network says no route, IPv6", hook: "input", rule: "tcp dport 443 reject with icmpv6 addr-unreachable", to: "::1",
			class: probe.TCPAddressUnreachable, why: "no route to host (reported by the network)"},
		{name: "the network resets", hook: "input", rule: "tcp dport 443 reject with tcp reset", to: "127.0.0.1", class: probe.TCPRefused, why: "connection refused"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.hook != "" {
				probetest.Filter(t, tt.hook, tt.rule)
			}
			p := &Request{URL: probetest.MustURL(t, "https://service.test/")}
			p.Address = netip.MustParseAddr(tt.to)
			r := probetest.Attempt(t, p, 5*time.Second)
			probetest.WantEnd(t, r, tt.class, probe.Connect, tt.why)
		})
	}
}

// TestFamilyWithoutARoute has a name with two addresses on a host that has IPv4 alone, which is no fault of IPv6.
func TestFamilyWithoutARoute(t *testing.T) {
	if !probetest.InOwnNetwork(t) {
		return
	}
	probetest.InShell(t, "ip link set lo up")
	port := probetest.PortText(probetest.Listening(t, probetest.Says("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")))
	p := &Request{URL: probetest.MustURL(t, "http://service.test:"+port)}
	p.Nameservers = probetest.Naming(t, "2001:db8::1", "127.0.0.1")
	r := probetest.Attempt(t, p, 5*time.Second)
	probetest.WantEnd(t, r, probe.OK, probe.Response)
	probetest.WantWarnings(t, r)
	p.Family = "ipv6"
	probetest.WantEnd(t, probetest.Attempt(t, p, 5*time.Second), probe.LocalNoRoute, probe.Connect, "this host has no route to it")
}

// TestFewLocalPorts has four local ports for connections to twelve addresses. They may share ports, as those of other
// programs do.
func TestFewLocalPorts(t *testing.T) {
	if !probetest.InOwnNetwork(t) {
		return
	}
	probetest.InShell(t, "ip link set lo up; echo 50000 50003 > /proc/sys/net/ipv4/ip_local_port_range")
	listener, err := net.Listen("tcp4", "0.0.0.0:8080")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})}
	t.Cleanup(func() { server.Close() })
	go server.Serve(listener)
	for i := range 12 {
		p := &Request{URL: probetest.MustURL(t, fmt.Sprintf("http://127.0.0.%d:8080/", i+1))}
		probetest.WantEnd(t, probetest.Attempt(t, p, 5*time.Second), probe.OK, probe.Response)
	}
}

// TestRouterGone connects while the router is being asked for already, which fails sooner than it would alone.
func TestRouterGone(t *testing.T) {
	if !probetest.InOwnNetwork(t) {
		return
	}
	probetest.InShell(t, `ip link set lo up
		ip link add va type veth peer name vb; ip link set va up; ip link set vb up
		ip address add 192.0.2.1/24 dev va; ip route add default via 192.0.2.254`)
	p := &Request{URL: probetest.MustURL(t, "https://service.test/")}
	p.Nameservers = probetest.Naming(t, "198.51.100.1", "203.0.113.1", "203.0.113.2") // each a head start after the other
	r := probetest.Attempt(t, p, 10*time.Second)
	probetest.WantEnd(t, r, probe.LocalNoRoute, probe.Connect, "connect to 198.51.100.1:443: no route to host (the next hop", "203.0.113.2")
	if strings.Contains(r.Why, "reported by the network") {
		t.Errorf("why = %q, but the network has answered nothing", r.Why)
	}
}

// TestRouterForbids has a router on the way answer in the place of who is asked. A reset is forged in their name, and an ICMP
// message is not.
func TestRouterForbids(t *testing.T) {
	if !probetest.InOwnNetwork(t) {
		return
	}
	there := probetest.Router(t)
	for _, tt := range []struct {
		rule     string
		class    probe.Class
		warnings []string
		why      string
	}{
		{"reject", probe.TCPAddressUnreachable, []string{"forbidden_on_the_way"}, ", rejects the connection)"},
		{"reject with icmpx admin-prohibited", probe.TCPAddressUnreachable, []string{"forbidden_on_the_way"}, ", rejects the connection)"},
		{"reject with icmpx host-unreachable", probe.TCPAddressUnreachable, nil, " on the network path)"},
		{"reject with tcp reset", probe.TCPRefused, nil, "connection refused"},
	} {
		for to, by := range map[string]string{"198.51.100.10": "192.0.2.1", "2001:db8:b::10": "2001:db8::1"} {
			t.Run(tt.rule+", "+to, func(t *testing.T) {
				probetest.InShell(t, there+"nft 'table inet t { chain c { type filter hook forward priority 0; tcp dport 443 "+tt.rule+"; }; }'")
				defer probetest.InShell(t, there+"nft delete table inet t")
				p := &Request{URL: probetest.MustURL(t, "https://service.test/")}
				p.Address = netip.MustParseAddr(to)
				r := probetest.Attempt(t, p, 5*time.Second)
				probetest.WantEnd(t, r, tt.class, probe.Connect, tt.why)
				probetest.WantWarnings(t, r, tt.warnings...)
				if tt.class == probe.TCPAddressUnreachable && !strings.Contains(r.Why, "path, "+by+", rejects") && !strings.Contains(r.Why, "by "+by+" on the network path)") {
					t.Errorf("why = %q, want it said by %s", r.Why, by)
				}
			})
		}
	}
}

// TestLocalFirewall has this host's own firewall stop what asks to connect. Linux tells a datagram socket's write (EPERM),
// but not connect(2): there, a rule of this host looks like silence or a refusal from afar.
func TestLocalFirewall(t *testing.T) {
	if !probetest.InOwnNetwork(t) {
		return
	}
	probetest.InShell(t, `ip link set lo up
		ip link add va type veth peer name vb; ip link set va up; ip link set vb up
		ip address add 192.0.2.1/24 dev va; ip -6 address add 2001:db8::1/64 dev va nodad
		ip neighbour add 192.0.2.9 lladdr 02:00:00:00:00:09 dev va; ip neighbour add 2001:db8::9 lladdr 02:00:00:00:00:09 dev va`)
	for _, tt := range []struct {
		name, rule string
		class      probe.Class
		why        string
	}{
		{"nobody stops it, and nobody answers", "tcp dport 1 accept", probe.TCPTimedOut, "no answer in time"},
		{"drops", "tcp dport 443 drop", probe.LocalDenied, "a rule of this host's own firewall drops the packets"},
		{"resets", "tcp dport 443 reject with tcp reset", probe.LocalDenied, "connection refused (a rule of this host's own firewall rejects"},
		{"rejects", "tcp dport 443 reject", probe.LocalDenied, "connection refused (a rule of this host's own firewall "},
		{"rejects as prohibited", "tcp dport 443 reject with icmpx admin-prohibited", probe.LocalDenied, "(a rule of this host's own firewall rejects"},
	} {
		for _, to := range []string{"192.0.2.9", "2001:db8::9"} {
			t.Run(tt.name+", "+to, func(t *testing.T) {
				probetest.Filter(t, "output", tt.rule)
				p := &Request{URL: probetest.MustURL(t, "https://service.test/")}
				p.Address = netip.MustParseAddr(to)
				probetest.WantEnd(t, probetest.Attempt(t, p, 1500*time.Millisecond), tt.class, probe.Connect, tt.why) // the SYN is sent again after a second
			})
		}
	}
}

// TestFirewallBeforeOurselves has a port of this very host reset: there, whoever refuses is the server.
func TestFirewallBeforeOurselves(t *testing.T) {
	if !probetest.InOwnNetwork(t) {
		return
	}
	probetest.InShell(t, "ip link set lo up; ip address add 192.0.2.1/32 dev lo")
	p := &Request{URL: probetest.MustURL(t, "https://service.test/")}
	for _, to := range []string{"127.0.0.1", "192.0.2.1"} {
		p.Address = netip.MustParseAddr(to)
		probetest.WantEnd(t, probetest.Attempt(t, p, quick), probe.TCPRefused, probe.Connect, "connection refused")
	}
}

// TestNoSockets runs where a seccomp filter makes socket fail with EPERM but for unix sockets, as Codex's sandbox does.
func TestNoSockets(t *testing.T) {
	if !probetest.InOwnNetwork(t) {
		return
	}
	denySockets(t)
	if l, err := net.Listen("unix", t.TempDir()+"/s"); err != nil {
		t.Errorf("unix sockets: %v", err)
	} else {
		l.Close()
	}
	p := &Request{URL: probetest.MustURL(t, "https://service.test/")}
	p.Address = netip.MustParseAddr("127.0.0.1")
	probetest.WantEnd(t, probetest.Attempt(t, p, quick), probe.LocalDenied, probe.Connect, "connect to 127.0.0.1:443: socket: operation not permitted")
	p.Address, p.Proxy = netip.Addr{}, "http://127.0.0.1:3128"
	probetest.WantEnd(t, probetest.Attempt(t, p, quick), probe.LocalDenied, probe.Connect, "proxy http://127.0.0.1:3128: connect to 127.0.0.1:3128: socket: operation not permitted")
}

// denySockets cannot be undone; it is for a process of its own.
func denySockets(t *testing.T) {
	t.Helper()
	statement := func(code uint16, k uint32) unix.SockFilter { return unix.SockFilter{Code: code, K: k} }
	jumpIfEqual := func(k uint32, yes, no uint8) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: k, Jt: yes, Jf: no}
	}
	const load = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
	program := []unix.SockFilter{
		statement(load, 0), // the call's number
		jumpIfEqual(unix.SYS_SOCKET, 0, 3),
		statement(load, 16), // its first argument, on a little-endian machine
		jumpIfEqual(unix.AF_UNIX, 1, 0),
		statement(unix.BPF_RET|unix.BPF_K, unix.SECCOMP_RET_ERRNO|uint32(unix.EPERM)),
		statement(unix.BPF_RET|unix.BPF_K, unix.SECCOMP_RET_ALLOW),
	}
	filter := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&filter)))
	if errno != 0 {
		t.Skipf("needs seccomp: %v", errno)
	}
}
