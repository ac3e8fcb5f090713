package probe

import (
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestFamilies asks a name with an address of each family.
func TestFamilies(t *testing.T) {
	ok := says("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	both := func(t *testing.T, port string) { listeningAt(t, "[::1]:"+port, ok) }
	deaf := func(*testing.T, string) {}
	for _, tt := range []struct {
		name, family string
		six          func(t *testing.T, port string) // what ::1 does; 127.0.0.1 answers
		peer         string
		warnings     []string
		class        Class
	}{
		{name: "both well", six: both, peer: "[::1]", class: OK},
		{name: "both well, ipv4 asked for", family: "ipv4", six: both, peer: "127.0.0.1", class: OK},
		{name: "both well, ipv6 asked for", family: "ipv6", six: both, peer: "[::1]", class: OK},
		{name: "ipv6 refused", six: deaf, peer: "127.0.0.1", warnings: []string{"ipv6_failed"}, class: OK},
		{name: "ipv6 refused, asked for", family: "ipv6", six: deaf, peer: "[::1]", class: TCPRefused},
	} {
		t.Run(tt.name, func(t *testing.T) {
			port := portText(listening(t, ok))
			tt.six(t, port)
			r := attempt(t, &HTTP{URL: mustURL(t, "http://service.test:"+port),
				Reach: Reach{Family: tt.family, Nameservers: naming(t, "127.0.0.1", "::1")}}, 3*time.Second)
			if r.Class != tt.class {
				t.Errorf("class = %s, want %s: %s", r.Class, tt.class, r.Why)
			}
			if !strings.HasPrefix(r.Peer, tt.peer+":") {
				t.Errorf("peer = %s, want %s", r.Peer, tt.peer)
			}
			if r.Phases[Resolve] <= 0 || r.Phases[Connect] <= 0 {
				t.Errorf("phases = %v, want resolve and connect timed", r.Phases)
			}
			if diff := cmp.Diff(tt.warnings, r.Warnings); diff != "" {
				t.Errorf("warnings (-want +got):\n%s", diff)
			}
		})
	}
}

func TestFamilyInABlackHole(t *testing.T) {
	hole := blackHole(t, "::1")
	listeningAt(t, net.JoinHostPort("127.0.0.1", portText(hole)), says("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"))
	r := attempt(t, &HTTP{URL: mustURL(t, "http://service.test:"+portText(hole)),
		Reach: Reach{Nameservers: naming(t, "127.0.0.1", "::1")}}, 3*time.Second)
	wantEnd(t, r, OK, Response)
	wantWarnings(t, r, "ipv6_slow")
	const delay = 250 * time.Millisecond // before the second address is tried
	if took := r.Phases[Connect].Duration(); took < delay || took > delay+time.Second {
		t.Errorf("connect took %s, want just over the head start of %s", took, delay)
	}
}

func TestNoAddressAnswers(t *testing.T) {
	hole := blackHole(t, "::1") // and nobody at 127.0.0.1
	r := attempt(t, &HTTP{URL: mustURL(t, "http://service.test:"+portText(hole)),
		Reach: Reach{Nameservers: naming(t, "127.0.0.1", "::1")}}, time.Second)
	wantEnd(t, r, TCPRefused, Connect, "connect to 127.0.0.1:"+portText(hole)+": connection refused",
		"connect to [::1]:"+portText(hole)+": no answer in time")
	if r.Peer != "127.0.0.1:"+portText(hole) {
		t.Errorf("peer = %s, want the one that said most", r.Peer)
	}
}

func TestBlockListAnswer(t *testing.T) {
	port := portText(listening(t, says("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"))) // 0.0.0.0 would lead here
	r := attempt(t, &HTTP{URL: mustURL(t, "http://service.test:"+port),
		Reach: Reach{Nameservers: naming(t, "0.0.0.0", "::")}}, time.Second)
	if r.Class != DNSWrongAnswer || r.Phase != Resolve {
		t.Errorf("ended as %s in %s, want %s: %s", r.Class, r.Phase, DNSWrongAnswer, r.Why)
	}
}

func TestNobodyListens(t *testing.T) {
	gone := listening(t, silent)
	hole := blackHole(t, "127.0.0.1")
	u, reach := at(t, "http", hole, "/")
	wantEnd(t, attempt(t, &HTTP{URL: u, Reach: reach}, 300*time.Millisecond), TCPTimedOut, Connect,
		"connect to "+hole.String()+": no answer in time")
	u, reach = at(t, "http", gone, "/")
	u.Host = "service.test:1" // tcpmux: nobody has served that for decades
	wantEnd(t, attempt(t, &HTTP{URL: u, Reach: reach}, time.Second), TCPRefused, Connect,
		"connect to 127.0.0.1:1: connection refused")
}
