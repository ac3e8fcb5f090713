package dnsprobe

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

	"netwatchd/internal/probe"
	"netwatchd/internal/probe/probetest"
)

var dnsTests = []struct {
	queryEach  string
	types      string
	expect     Expect
	class      probe.Class
	rcode      string
	isResponse string
	warnings   string
	why        string // part of it
}{
	{queryEach: "ok.com", class: probe.OK, rcode: "NOERROR", isResponse: "192.0.2.80"},
	{queryEach: "OK.com.", class: probe.OK, rcode: "NOERROR", isResponse: "192.0.2.80"},
	{queryEach: "ok.com", types: "A AAAA", class: probe.OK, rcode: "NOERROR", isResponse: "192.0.2.80 2001:db8::80"},
	{queryEach: "ok.com", types: "aaaa", class: probe.OK, rcode: "NOERROR", isResponse: "2001:db8::80"},
	{queryEach: "two.com", class: probe.OK, rcode: "NOERROR", isResponse: "192.0.2.9 192.0.2.81"},
	{queryEach: "alias.com", class: probe.OK, rcode: "NOERROR", isResponse: "192.0.2.80"},
	{queryEach: "backwards.com", class: probe.OK, rcode: "NOERROR", isResponse: "192.0.2.80"},
	{queryEach: "circle.com", class: probe.DNSNoData, rcode: "NOERROR"},
	{queryEach: "circle.com", types: "MX", class: probe.DNSNoData, rcode: "NOERROR"},
	{queryEach: "foreign.com", class: probe.OK, rcode: "NOERROR", isResponse: "192.0.2.80"},
	{queryEach: "foreign.com", types: "AAAA", class: probe.DNSNoData, rcode: "NOERROR"},
	{queryEach: "foreign.com", types: "MX", class: probe.DNSNoData, rcode: "NOERROR"},
	{queryEach: "suffixed.com", class: probe.DNSFailed, why: "a response with its id is about suffixed.com.corp.test A"},
	{queryEach: "shouted.com", class: probe.OK, rcode: "NOERROR", isResponse: "192.0.2.80"},
	{queryEach: "forged.com", class: probe.OK, rcode: "NOERROR", isResponse: "192.0.2.80"},
	{queryEach: "large.com", class: probe.OK, rcode: "NOERROR", isResponse: "192.0.2.80"}, // the datagram holds none of its addresses
	{queryEach: "plain.com", class: probe.OK, rcode: "NOERROR", isResponse: "192.0.2.80"},
	{queryEach: "plainer.com", types: "A AAAA", class: probe.OK, rcode: "NOERROR", isResponse: "192.0.2.80 2001:db8::80"},
	{queryEach: "deaf.com", types: "A AAAA", class: probe.OK, rcode: "NOERROR", isResponse: "192.0.2.80 2001:db8::80"},
	{queryEach: "text.com", types: "TXT", class: probe.OK, rcode: "NOERROR", isResponse: `"a" "v=1" "b"`},

	{queryEach: "gone.com", class: probe.DNSNameNotResolved, rcode: "NXDOMAIN", why: "gone.com does not exist"},
	{queryEach: "dangling.com", class: probe.DNSNameNotResolved, rcode: "NXDOMAIN"},
	{queryEach: "empty.com", class: probe.DNSNoData, rcode: "NOERROR", why: "empty.com has no A record"},
	{queryEach: "aliasonly.com", class: probe.DNSNoData, rcode: "NOERROR"},
	{queryEach: "text.com", types: "MX", class: probe.DNSNoData, rcode: "NOERROR"},
	{queryEach: "servfail.com", class: probe.DNSServfail, rcode: "SERVFAIL"},
	{queryEach: "bogus.com", class: probe.DNSServfail, rcode: "SERVFAIL", why: "(DNSSEC Bogus: no [2J key)"},
	{queryEach: "refused.com", class: probe.DNSRefused, rcode: "REFUSED"},
	{queryEach: "formerr.com", class: probe.DNSFailed, rcode: "FORMERR"},
	{queryEach: "badvers.com", class: probe.DNSFailed, rcode: "BADVERS"},
	{queryEach: "malformed.com", class: probe.DNSFailed, why: "malformed"},
	{queryEach: "flood.com", class: probe.DNSFailed, why: "the answer has 4000 records, more than 512"},
	{queryEach: "flood.com", types: "TXT", class: probe.DNSFailed, why: "the answer has 4000 records, more than 512"},
	{queryEach: "garbage.com", class: probe.DNSFailed, why: "none of the 2 datagrams"},
	{queryEach: "silent.com", class: probe.DNSTimeout, why: "no answer"},
	{queryEach: "a..b", class: probe.DNSFailed, why: "not a domain name"},
	{queryEach: "", class: probe.DNSFailed, why: "not a domain name"},
	{queryEach: "ok.com", types: "A,AAAA", class: probe.Internal, why: `unknown record type "A,AAAA"`},

	{queryEach: "four.com", types: "A AAAA", class: probe.OK, rcode: "NOERROR", isResponse: "192.0.2.80", warnings: "dns_no_aaaa"},
	{queryEach: "four.com", types: "AAAA", class: probe.DNSNoData, rcode: "NOERROR"},
	{queryEach: "six.com", types: "A AAAA", class: probe.DNSNoData, rcode: "NOERROR", isResponse: "2001:db8::80", why: "has AAAA but no A record"},
	{queryEach: "empty.com", types: "A AAAA", class: probe.DNSNoData, rcode: "NOERROR"},
	{queryEach: "halfservfail.com", types: "A AAAA", class: probe.DNSServfail, rcode: "SERVFAIL", isResponse: "192.0.2.80"},

	{queryEach: "zero.com", class: probe.DNSWrongAnswer, rcode: "NOERROR", isResponse: "0.0.0.0", why: "block list"},
	{queryEach: "zero.com", types: "AAAA", class: probe.DNSWrongAnswer, rcode: "NOERROR", isResponse: "::"},
	{queryEach: "loop.com", class: probe.DNSWrongAnswer, rcode: "NOERROR", isResponse: "127.0.0.1"},
	{queryEach: "loop.test", class: probe.OK, rcode: "NOERROR", isResponse: "127.0.0.1"},
	{queryEach: "loop.com", expect: Expect{Answers: []string{"127.0.0.1"}}, class: probe.OK, rcode: "NOERROR", isResponse: "127.0.0.1"},

	{queryEach: "ok.com", types: "A AAAA", expect: Expect{Answers: []string{"2001:0db8:0::80", "192.0.2.80"}},
		class: probe.OK, rcode: "NOERROR", isResponse: "192.0.2.80 2001:db8::80"},
	{queryEach: "ok.com", expect: Expect{Answers: []string{"192.0.2.80", "192.0.2.81"}},
		class: probe.DNSWrongAnswer, rcode: "NOERROR", isResponse: "192.0.2.80", why: "got 192.0.2.80, want 192.0.2.80, 192.0.2.81"},
	{queryEach: "gone.com", expect: Expect{Answers: []string{"192.0.2.80"}}, class: probe.DNSNameNotResolved, rcode: "NXDOMAIN"},
	{queryEach: "empty.com", expect: Expect{Answers: []string{"192.0.2.80"}}, class: probe.DNSNoData, rcode: "NOERROR"},

	{queryEach: "gone.com", types: "A AAAA", expect: Expect{NXDomain: true}, class: probe.OK, rcode: "NXDOMAIN"},
	{queryEach: "four.com", types: "A AAAA", expect: Expect{NXDomain: true}, class: probe.DNSWrongAnswer, rcode: "NOERROR",
		isResponse: "192.0.2.80", why: "rewrites NXDOMAIN"},
	{queryEach: "empty.com", expect: Expect{NXDomain: true}, class: probe.DNSNoData, rcode: "NOERROR"},
	{queryEach: "silent.com", expect: Expect{NXDomain: true}, class: probe.DNSTimeout},
}

// patienceInTests is how long an attempt that must fail by silence waits; any answer over loopback comes long before.
const patienceInTests = time.Second

func TestDNS(t *testing.T) {
	server := nameserver(t, behave)
	for _, test := range dnsTests {
		t.Run(test.queryEach+" "+test.types, func(t *testing.T) {
			t.Parallel()
			d := &Lookup{Name: test.queryEach, Types: strings.Fields(test.types), Nameservers: []netip.AddrPort{server}, Expect: test.expect}
			for how, r := range map[string]probe.Result{"by itself": tryDNS(t, d), "on a line": tryOnLine(t, d)} {
				got := []string{r.Class.String(), r.RCode, strings.Join(r.Answers, " "), strings.Join(r.Warnings, " ")}
				want := []string{test.class.String(), test.rcode, test.isResponse, test.warnings}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("%s: class, rcode, answers, warnings (-want +got):\n%s\nwhy: %s", how, diff, r.Why)
				}
				if !strings.Contains(r.Why, test.why) {
					t.Errorf("%s: why = %q, want %q in it", how, r.Why, test.why)
				}
				if r.RCode != "" && r.Server != server.String() {
					t.Errorf("%s: server = %q, want %v", how, r.Server, server)
				}
				if r.Phase != probe.Resolve || r.Class != probe.Internal && r.Phases[probe.Resolve] <= 0 {
					t.Errorf("%s: phase %v took %v, want some time in resolve", how, r.Phase, r.Phases[probe.Resolve])
				}
			}
		})
	}
}

func tryDNS(t *testing.T, d *Lookup) probe.Result {
	t.Helper()
	r, ok := probe.Do(t.Context(), &probe.Probe{Spec: probe.Spec{Kind: probe.KindDNS, Target: d.Name, Timeout: patienceInTests}, Prober: d})
	if !ok {
		t.Fatal("the attempt was cut short")
	}
	return r
}

func TestDNSNameserversInTurn(t *testing.T) {
	good, silent, refused := nameserver(t, behave), nameserver(t, stayingSilent), nameserver(t, refusing)
	closed := probetest.Nobody(t)
	for _, test := range []struct {
		name      string
		servers   []netip.AddrPort
		queryEach string
		class     probe.Class
		server    netip.AddrPort
		warned    bool
	}{
		{"the first answers", []netip.AddrPort{good, silent}, "ok.com", probe.OK, good, false},
		{"the first says NXDOMAIN", []netip.AddrPort{good, silent}, "gone.com", probe.DNSNameNotResolved, good, false},
		{"the first is silent", []netip.AddrPort{silent, good}, "ok.com", probe.OK, good, true},
		{"the first is closed", []netip.AddrPort{closed, good}, "ok.com", probe.OK, good, true},
		{"the first two refuse", []netip.AddrPort{refused, closed, good}, "ok.com", probe.OK, good, true},
		{"the second says NXDOMAIN", []netip.AddrPort{refused, good}, "gone.com", probe.DNSNameNotResolved, good, true},
		{"all fail", []netip.AddrPort{silent, closed, refused}, "ok.com", probe.DNSRefused, refused, false},
		{"one is closed", []netip.AddrPort{closed}, "ok.com", probe.DNSUnreachable, closed, false},
		{"no zone", []netip.AddrPort{netip.MustParseAddrPort("[fe80::1]:53")}, "ok.com", probe.LocalNoRoute, netip.MustParseAddrPort("[fe80::1]:53"), false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := tryDNS(t, &Lookup{Name: test.queryEach, Nameservers: test.servers})
			if r.Class != test.class || r.Server != test.server.String() {
				t.Errorf("got %v from %s, want %v from %v (%s)", r.Class, r.Server, test.class, test.server, r.Why)
			}
			if warned := len(r.Warnings) == 1 && r.Warnings[0] == probe.WarnFirstFailed; warned != test.warned {
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
	r := tryDNS(t, &Lookup{Name: "large.com", Nameservers: []netip.AddrPort{netip.MustParseAddrPort(conn.LocalAddr().String())}})
	if r.Class != probe.DNSUnreachable || !strings.Contains(r.Why, "the answer is truncated and needs TCP") {
		t.Errorf("got %v: %s", r.Class, r.Why)
	}
}

func TestDNSCancelled(t *testing.T) {
	asked := make(chan struct{}, 1)
	server := nameserver(t, func(dns.ResponseWriter, *dns.Msg) { asked <- struct{}{} })
	before := goleak.IgnoreCurrent()
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-asked; cancel() }()
	_, err := Lookup{Name: "ok.com", Nameservers: []netip.AddrPort{server}}.Probe(ctx)
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
		want probe.Class
	}{
		{"socket denied", op("dial", "socket", syscall.EPERM), probe.LocalDenied},
		{"connect denied", op("dial", "connect", syscall.EACCES), probe.LocalDenied},
		{"write denied", op("write", "write", syscall.EPERM), probe.LocalDenied},
		{"no route", op("dial", "connect", syscall.ENETUNREACH), probe.LocalNoRoute},
		{"an unreachable route", dialError(op("dial", "connect", syscall.EHOSTUNREACH)), probe.LocalNoRoute},
		{"no sockets", op("dial", "socket", syscall.EMFILE), probe.LocalResources},
		{"network down", op("write", "write", syscall.ENETDOWN), probe.LocalNoInterface},
		{"port refused", readError(t.Context(), op("read", "read", syscall.ECONNREFUSED), mismatches{}), probe.DNSUnreachable},
		{"router refuses", readError(t.Context(), op("read", "read", syscall.ENETUNREACH), mismatches{}), probe.DNSUnreachable},
		{"ICMPv6 prohibited", readError(t.Context(), op("read", "read", syscall.EACCES), mismatches{}), probe.DNSUnreachable},
		{"silence", readError(t.Context(), os.ErrDeadlineExceeded, mismatches{}), probe.DNSTimeout},
		{"strangers only", readError(t.Context(), os.ErrDeadlineExceeded, mismatches{count: 2}), probe.DNSFailed},
		{"Go: not found", &net.DNSError{Err: "no such host", IsNotFound: true}, probe.DNSNameNotResolved},
		{"Go: timeout", &net.DNSError{Err: "i/o timeout", IsTimeout: true}, probe.DNSTimeout},
		{"Go: else", &net.DNSError{Err: "server misbehaving"}, probe.DNSFailed},
		{"several nameservers", joinFailures([]error{probe.Failf(probe.DNSTimeout, "one"), probe.Failf(probe.DNSRefused, "two")}), probe.DNSRefused},
	} {
		if got := probe.Classify(probe.Resolve, test.err); got != test.want {
			t.Errorf("%s: got %v, want %v", test.name, got, test.want)
		}
	}
}
