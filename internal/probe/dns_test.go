package probe

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"
	"go.uber.org/goleak"
)

var dnsTests = []struct {
	ask      string
	types    string
	expect   DNSExpect
	class    Class
	rcode    string
	answers  string
	warnings string
	why      string // part of it
}{
	{ask: "ok.com", class: OK, rcode: "NOERROR", answers: "192.0.2.80"},
	{ask: "OK.com.", class: OK, rcode: "NOERROR", answers: "192.0.2.80"},
	{ask: "ok.com", types: "A AAAA", class: OK, rcode: "NOERROR", answers: "192.0.2.80 2001:db8::80"},
	{ask: "ok.com", types: "aaaa", class: OK, rcode: "NOERROR", answers: "2001:db8::80"},
	{ask: "two.com", class: OK, rcode: "NOERROR", answers: "192.0.2.9 192.0.2.81"},
	{ask: "alias.com", class: OK, rcode: "NOERROR", answers: "192.0.2.80"},
	{ask: "shouted.com", class: OK, rcode: "NOERROR", answers: "192.0.2.80"},
	{ask: "forged.com", class: OK, rcode: "NOERROR", answers: "192.0.2.80"},
	{ask: "large.com", class: OK, rcode: "NOERROR", answers: "192.0.2.80"}, // the datagram holds none of its addresses
	{ask: "plain.com", class: OK, rcode: "NOERROR", answers: "192.0.2.80"},
	{ask: "plainer.com", types: "A AAAA", class: OK, rcode: "NOERROR", answers: "192.0.2.80 2001:db8::80"},
	{ask: "deaf.com", types: "A AAAA", class: OK, rcode: "NOERROR", answers: "192.0.2.80 2001:db8::80"},
	{ask: "text.com", types: "TXT", class: OK, rcode: "NOERROR", answers: `"a" "v=1" "b"`},

	{ask: "gone.com", class: DNSNameNotResolved, rcode: "NXDOMAIN", why: "gone.com does not exist"},
	{ask: "dangling.com", class: DNSNameNotResolved, rcode: "NXDOMAIN"},
	{ask: "empty.com", class: DNSNoData, rcode: "NOERROR", why: "empty.com has no A record"},
	{ask: "aliasonly.com", class: DNSNoData, rcode: "NOERROR"},
	{ask: "text.com", types: "MX", class: DNSNoData, rcode: "NOERROR"},
	{ask: "servfail.com", class: DNSServfail, rcode: "SERVFAIL"},
	{ask: "bogus.com", class: DNSServfail, rcode: "SERVFAIL", why: "(DNSSEC Bogus: no [2J key)"},
	{ask: "refused.com", class: DNSRefused, rcode: "REFUSED"},
	{ask: "formerr.com", class: DNSFailed, rcode: "FORMERR"},
	{ask: "badvers.com", class: DNSFailed, rcode: "BADVERS"},
	{ask: "malformed.com", class: DNSFailed, why: "malformed"},
	{ask: "garbage.com", class: DNSFailed, why: "none of the 2 datagrams"},
	{ask: "silent.com", class: DNSTimeout, why: "no answer"},
	{ask: "a..b", class: DNSFailed, why: "not a domain name"},
	{ask: "", class: DNSFailed, why: "not a domain name"},
	{ask: "ok.com", types: "A,AAAA", class: Internal, why: `unknown record type "A,AAAA"`},

	{ask: "four.com", types: "A AAAA", class: OK, rcode: "NOERROR", answers: "192.0.2.80", warnings: "dns_no_aaaa"},
	{ask: "four.com", types: "AAAA", class: DNSNoData, rcode: "NOERROR"},
	{ask: "six.com", types: "A AAAA", class: DNSNoData, rcode: "NOERROR", answers: "2001:db8::80", why: "has AAAA but no A record"},
	{ask: "empty.com", types: "A AAAA", class: DNSNoData, rcode: "NOERROR"},
	{ask: "halfservfail.com", types: "A AAAA", class: DNSServfail, rcode: "SERVFAIL", answers: "192.0.2.80"},

	{ask: "zero.com", class: DNSWrongAnswer, rcode: "NOERROR", answers: "0.0.0.0", why: "block-list"},
	{ask: "zero.com", types: "AAAA", class: DNSWrongAnswer, rcode: "NOERROR", answers: "::"},
	{ask: "loop.com", class: DNSWrongAnswer, rcode: "NOERROR", answers: "127.0.0.1"},
	{ask: "loop.test", class: OK, rcode: "NOERROR", answers: "127.0.0.1"},
	{ask: "loop.com", expect: DNSExpect{Answers: []string{"127.0.0.1"}}, class: OK, rcode: "NOERROR", answers: "127.0.0.1"},

	{ask: "ok.com", types: "A AAAA", expect: DNSExpect{Answers: []string{"2001:0db8:0::80", "192.0.2.80"}},
		class: OK, rcode: "NOERROR", answers: "192.0.2.80 2001:db8::80"},
	{ask: "ok.com", expect: DNSExpect{Answers: []string{"192.0.2.80", "192.0.2.81"}},
		class: DNSWrongAnswer, rcode: "NOERROR", answers: "192.0.2.80", why: "got 192.0.2.80, want 192.0.2.80, 192.0.2.81"},
	{ask: "gone.com", expect: DNSExpect{Answers: []string{"192.0.2.80"}}, class: DNSNameNotResolved, rcode: "NXDOMAIN"},
	{ask: "empty.com", expect: DNSExpect{Answers: []string{"192.0.2.80"}}, class: DNSNoData, rcode: "NOERROR"},

	{ask: "gone.com", types: "A AAAA", expect: DNSExpect{NXDomain: true}, class: OK, rcode: "NXDOMAIN"},
	{ask: "four.com", types: "A AAAA", expect: DNSExpect{NXDomain: true}, class: DNSWrongAnswer, rcode: "NOERROR",
		answers: "192.0.2.80", why: "rewritten"},
	{ask: "empty.com", expect: DNSExpect{NXDomain: true}, class: DNSNoData, rcode: "NOERROR"},
	{ask: "silent.com", expect: DNSExpect{NXDomain: true}, class: DNSTimeout},
}

// patienceInTests is how long an attempt that must fail by silence waits; any answer over loopback comes long before.
const patienceInTests = time.Second

func TestDNS(t *testing.T) {
	server := nameserver(t, behave)
	for _, test := range dnsTests {
		t.Run(test.ask+" "+test.types, func(t *testing.T) {
			t.Parallel()
			d := &DNS{Name: test.ask, Types: strings.Fields(test.types), Nameservers: []netip.AddrPort{server}, Expect: test.expect}
			for how, r := range map[string]Result{"by itself": tryDNS(t, d), "on a line": tryOnLine(t, d)} {
				got := []string{r.Class.String(), r.RCode, strings.Join(r.Answers, " "), strings.Join(r.Warnings, " ")}
				want := []string{test.class.String(), test.rcode, test.answers, test.warnings}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("%s: class, rcode, answers, warnings (-want +got):\n%s\nwhy: %s", how, diff, r.Why)
				}
				if !strings.Contains(r.Why, test.why) {
					t.Errorf("%s: why = %q, want %q in it", how, r.Why, test.why)
				}
				if r.RCode != "" && r.Server != server.String() {
					t.Errorf("%s: server = %q, want %v", how, r.Server, server)
				}
				if r.Phase != Resolve || r.Class != Internal && r.Phases[Resolve] <= 0 {
					t.Errorf("%s: phase %v took %v, want some time in resolve", how, r.Phase, r.Phases[Resolve])
				}
			}
		})
	}
}

func tryDNS(t *testing.T, d *DNS) Result {
	t.Helper()
	r, ok := Do(t.Context(), &Probe{Spec: Spec{Kind: KindDNS, Target: d.Name, Timeout: patienceInTests}, Prober: d})
	if !ok {
		t.Fatal("the attempt was cut short")
	}
	return r
}

func TestDNSNameserversInTurn(t *testing.T) {
	good, silent, refused := nameserver(t, behave), nameserver(t, stayingSilent), nameserver(t, refusing)
	closed := nobody(t)
	for _, test := range []struct {
		name    string
		servers []netip.AddrPort
		ask     string
		class   Class
		server  netip.AddrPort
		warned  bool
	}{
		{"the first answers", []netip.AddrPort{good, silent}, "ok.com", OK, good, false},
		{"the first says NXDOMAIN", []netip.AddrPort{good, silent}, "gone.com", DNSNameNotResolved, good, false},
		{"the first is silent", []netip.AddrPort{silent, good}, "ok.com", OK, good, true},
		{"the first is closed", []netip.AddrPort{closed, good}, "ok.com", OK, good, true},
		{"the first two refuse", []netip.AddrPort{refused, closed, good}, "ok.com", OK, good, true},
		{"the second says NXDOMAIN", []netip.AddrPort{refused, good}, "gone.com", DNSNameNotResolved, good, true},
		{"all fail", []netip.AddrPort{silent, closed, refused}, "ok.com", DNSRefused, refused, false},
		{"one is closed", []netip.AddrPort{closed}, "ok.com", DNSUnreachable, closed, false},
		{"no zone", []netip.AddrPort{netip.MustParseAddrPort("[fe80::1]:53")}, "ok.com", LocalNoRoute, netip.MustParseAddrPort("[fe80::1]:53"), false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := tryDNS(t, &DNS{Name: test.ask, Nameservers: test.servers})
			if r.Class != test.class || r.Server != test.server.String() {
				t.Errorf("got %v from %s, want %v from %v (%s)", r.Class, r.Server, test.class, test.server, r.Why)
			}
			if warned := len(r.Warnings) == 1 && r.Warnings[0] == warnFirstFailed; warned != test.warned {
				t.Errorf("warnings = %q, want one: %v", r.Warnings, test.warned)
			}
		})
	}
}

func stayingSilent(dns.ResponseWriter, *dns.Msg) {}

func refusing(w dns.ResponseWriter, q *dns.Msg) {
	w.WriteMsg(new(dns.Msg).SetRcode(q, dns.RcodeRefused))
}

// A nameserver whose TCP port is closed cannot give what does not fit a datagram.
func TestDNSWithoutTCP(t *testing.T) {
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &dns.Server{PacketConn: conn, Handler: dns.HandlerFunc(behave)}
	go server.ActivateAndServe()
	t.Cleanup(func() { conn.Close() })
	r := tryDNS(t, &DNS{Name: "large.com", Nameservers: []netip.AddrPort{netip.MustParseAddrPort(conn.LocalAddr().String())}})
	if r.Class != DNSUnreachable || !strings.Contains(r.Why, "its answer needs TCP") {
		t.Errorf("got %v: %s", r.Class, r.Why)
	}
}

func TestDNSCancelled(t *testing.T) {
	asked := make(chan struct{}, 1)
	server := nameserver(t, func(dns.ResponseWriter, *dns.Msg) { asked <- struct{}{} })
	before := goleak.IgnoreCurrent()
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-asked; cancel() }()
	_, err := DNS{Name: "ok.com", Nameservers: []netip.AddrPort{server}}.Probe(ctx)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("err = %v, want context.Canceled", err)
	}
	if err := goleak.Find(before); err != nil {
		t.Error(err)
	}
}

// What the kernel says decides before anything else, and at connect it speaks for itself.
func TestClassifyResolve(t *testing.T) {
	op := func(op string, call string, errno syscall.Errno) error {
		return &net.OpError{Op: op, Net: "udp", Err: os.NewSyscallError(call, errno)}
	}
	for _, test := range []struct {
		name string
		err  error
		want Class
	}{
		{"socket denied", op("dial", "socket", syscall.EPERM), LocalDenied},
		{"connect denied", op("dial", "connect", syscall.EACCES), LocalDenied},
		{"write denied", op("write", "write", syscall.EPERM), LocalDenied},
		{"no route", op("dial", "connect", syscall.ENETUNREACH), LocalNoRoute},
		{"an unreachable route", atDial(op("dial", "connect", syscall.EHOSTUNREACH)), LocalNoRoute},
		{"no sockets", op("dial", "socket", syscall.EMFILE), LocalResources},
		{"network down", op("write", "write", syscall.ENETDOWN), LocalNoInterface},
		{"port refused", atRead(t.Context(), op("read", "read", syscall.ECONNREFUSED), 0), DNSUnreachable},
		{"router refuses", atRead(t.Context(), op("read", "read", syscall.ENETUNREACH), 0), DNSUnreachable},
		{"ICMPv6 prohibited", atRead(t.Context(), op("read", "read", syscall.EACCES), 0), DNSUnreachable},
		{"silence", atRead(t.Context(), os.ErrDeadlineExceeded, 0), DNSTimeout},
		{"strangers only", atRead(t.Context(), os.ErrDeadlineExceeded, 2), DNSFailed},
		{"Go: not found", &net.DNSError{Err: "no such host", IsNotFound: true}, DNSNameNotResolved},
		{"Go: timeout", &net.DNSError{Err: "i/o timeout", IsTimeout: true}, DNSTimeout},
		{"Go: else", &net.DNSError{Err: "server misbehaving"}, DNSFailed},
		{"several nameservers", allFailed([]error{Failf(DNSTimeout, "one"), Failf(DNSRefused, "two")}), DNSRefused},
	} {
		if got := Classify(Resolve, test.err); got != test.want {
			t.Errorf("%s: got %v, want %v", test.name, got, test.want)
		}
	}
}
