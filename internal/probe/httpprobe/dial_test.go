package httpprobe

import (
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"netwatchd/internal/probe"
	"netwatchd/internal/probe/connect"
	"netwatchd/internal/probe/probetest"
)

// TestFamilies asks a name with an address of each family.
func TestFamilies(t *testing.T) {
	ok := probetest.Says("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	both := func(t *testing.T, port string) { probetest.ListeningAt(t, "[::1]:"+port, ok) }
	deaf := func(*testing.T, string) {}
	for _, tt := range []struct {
		name, family string
		six          func(t *testing.T, port string) // what ::1 does; 127.0.0.1 answers
		peer         string
		warnings     []string
		class        probe.Class
	}{
		{name: "both well", six: both, peer: "[::1]", class: probe.OK},
		{name: "both well, ipv4 asked for", family: "ipv4", six: both, peer: "127.0.0.1", class: probe.OK},
		{name: "both well, ipv6 asked for", family: "ipv6", six: both, peer: "[::1]", class: probe.OK},
		{name: "ipv6 refused", six: deaf, peer: "127.0.0.1", warnings: []string{"ipv6_failed"}, class: probe.OK},
		{name: "ipv6 refused, asked for", family: "ipv6", six: deaf, peer: "[::1]", class: probe.TCPRefused},
	} {
		t.Run(tt.name, func(t *testing.T) {
			port := probetest.PortText(probetest.Listening(t, ok))
			tt.six(t, port)
			r := probetest.Attempt(t, &Request{URL: probetest.MustURL(t, "http://service.test:"+port),
				Options: connect.Options{Family: tt.family, Nameservers: probetest.Naming(t, "127.0.0.1", "::1")}}, 3*time.Second)
			if r.Class != tt.class {
				t.Errorf("class = %s, want %s: %s", r.Class, tt.class, r.Why)
			}
			if !strings.HasPrefix(r.Peer, tt.peer+":") {
				t.Errorf("peer = %s, want %s", r.Peer, tt.peer)
			}
			if r.Phases[probe.Resolve] <= 0 || r.Phases[probe.Connect] <= 0 {
				t.Errorf("phases = %v, want resolve and connect timed", r.Phases)
			}
			if diff := cmp.Diff(tt.warnings, r.Warnings); diff != "" {
				t.Errorf("warnings (-want +got):\n%s", diff)
			}
		})
	}
}

func TestFamilyInABlackHole(t *testing.T) {
	hole := probetest.BlackHole(t, "::1")
	probetest.ListeningAt(t, net.JoinHostPort("127.0.0.1", probetest.PortText(hole)), probetest.Says("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"))
	r := probetest.Attempt(t, &Request{URL: probetest.MustURL(t, "http://service.test:"+probetest.PortText(hole)),
		Options: connect.Options{Nameservers: probetest.Naming(t, "127.0.0.1", "::1")}}, 3*time.Second)
	probetest.WantEnd(t, r, probe.OK, probe.Response)
	probetest.WantWarnings(t, r, "ipv6_slow")
	const delay = 250 * time.Millisecond // before the second address is tried
	if took := r.Phases[probe.Connect].Duration(); took < delay || took > delay+time.Second {
		t.Errorf("connect took %s, want just over the head start of %s", took, delay)
	}
}

func TestNoAddressAnswers(t *testing.T) {
	if !probetest.InOwnProcess(t) {
		return
	}
	hole := probetest.BlackHole(t, "::1") // and nobody at 127.0.0.1
	r := probetest.Attempt(t, &Request{URL: probetest.MustURL(t, "http://service.test:"+probetest.PortText(hole)),
		Options: connect.Options{Nameservers: probetest.Naming(t, "127.0.0.1", "::1")}}, time.Second)
	probetest.WantEnd(t, r, probe.TCPRefused, probe.Connect, "connect to 127.0.0.1:"+probetest.PortText(hole)+": connection refused",
		"connect to [::1]:"+probetest.PortText(hole)+": no answer in time")
	if r.Peer != "127.0.0.1:"+probetest.PortText(hole) {
		t.Errorf("peer = %s, want the one that said most", r.Peer)
	}
}

func TestBlockListAnswer(t *testing.T) {
	port := probetest.PortText(probetest.Listening(t, probetest.Says("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"))) // 0.0.0.0 would lead here
	r := probetest.Attempt(t, &Request{URL: probetest.MustURL(t, "http://service.test:"+port),
		Options: connect.Options{Nameservers: probetest.Naming(t, "0.0.0.0", "::")}}, time.Second)
	if r.Class != probe.DNSWrongAnswer || r.Phase != probe.Resolve {
		t.Errorf("ended as %s in %s, want %s: %s", r.Class, r.Phase, probe.DNSWrongAnswer, r.Why)
	}
}

func TestNobodyListens(t *testing.T) {
	gone := probetest.Listening(t, probetest.Silent)
	hole := probetest.BlackHole(t, "127.0.0.1")
	u, reach := at(t, "http", hole, "/")
	probetest.WantEnd(t, probetest.Attempt(t, &Request{URL: u, Options: reach}, 300*time.Millisecond), probe.TCPTimedOut, probe.Connect,
		"connect to "+hole.String()+": no answer in time")
	u, reach = at(t, "http", gone, "/")
	u.Host = "service.test:1" // tcpmux: nobody has served that for decades
	probetest.WantEnd(t, probetest.Attempt(t, &Request{URL: u, Options: reach}, time.Second), probe.TCPRefused, probe.Connect,
		"connect to 127.0.0.1:1: connection refused")
}

// TestOneAddressOfAFamily has a name with two addresses of one family. The second answers: that the first does not is a
// warning.
func TestOneAddressOfAFamily(t *testing.T) {
	ok := probetest.Says("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	silent := probetest.PortText(probetest.BlackHole(t, "127.0.0.2"))
	probetest.ListeningAt(t, net.JoinHostPort("127.0.0.1", silent), ok)
	refused := probetest.PortText(probetest.Listening(t, ok)) // at 127.0.0.1 alone
	for port, warning := range map[string]string{silent: "address_slow", refused: "address_failed"} {
		t.Run(warning, func(t *testing.T) {
			r := probetest.Attempt(t, &Request{URL: probetest.MustURL(t, "http://service.test:"+port),
				Options: connect.Options{Nameservers: probetest.Naming(t, "127.0.0.2", "127.0.0.1")}}, 3*time.Second)
			probetest.WantEnd(t, r, probe.OK, probe.Response)
			probetest.WantWarnings(t, r, warning)
			if want := "127.0.0.1:" + port; r.Peer != want {
				t.Errorf("peer %s, want %s", r.Peer, want)
			}
		})
	}
}
