package httpprobe

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"netwatchd/internal/probe"
	"netwatchd/internal/probe/probetest"
)

// TestSizeOfPackets loses every packet over 700 octets to the server, as a tunnel does whose MTU is too large.
func TestSizeOfPackets(t *testing.T) {
	if !probetest.InOwnNetwork(t) {
		return
	}
	probetest.InShell(t, "ip link set lo up")
	ca := probetest.NewAuthority(t, "Test Root")
	cert := ca.Issue(t, nil)
	server := probetest.Serving(t, &cert, probetest.Answering(200, "OK"))
	request := &Request{}
	request.URL, request.Options = at(t, "https", server, "/")
	request.CAFile = ca.File
	p := SizeCheck{request}
	r := probetest.Attempt(t, p, 3*time.Second)
	probetest.WantEnd(t, r, probe.OK, probe.Response)
	probetest.WantWarnings(t, r)
	for rule, want := range map[string]bool{"meta length > 700 drop": true, "drop": false} {
		t.Run(rule, func(t *testing.T) {
			probetest.Filter(t, "input", fmt.Sprintf("tcp dport %s ct state established %s", probetest.PortText(server), rule))
			r := probetest.Attempt(t, p, 3*time.Second)
			if r.OK() {
				t.Fatalf("answered, although packets are dropped")
			}
			if got := slices.Contains(r.Warnings, probe.WarnSmallPackets); got != want {
				t.Errorf("warnings %v, want %s among them: %v", r.Warnings, probe.WarnSmallPackets, want)
			}
		})
	}
}

// TestNoFreePort has no port left for datagrams: connect(2) reports EAGAIN, which Go takes for a timeout.
func TestNoFreePort(t *testing.T) {
	if !probetest.InOwnNetwork(t) {
		return
	}
	probetest.InShell(t, "ip link set lo up; echo 61000 61000 >/proc/sys/net/ipv4/ip_local_port_range")
	held, err := net.ListenPacket("udp4", "0.0.0.0:61000")
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	p := &Request{URL: probetest.MustURL(t, "http://service.test/")}
	p.Nameservers = []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:53")}
	probetest.WantEnd(t, probetest.Attempt(t, p, 2*time.Second), probe.LocalResources, probe.Resolve)
}
