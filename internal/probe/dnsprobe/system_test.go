package dnsprobe

import (
	"context"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"netwatchd/internal/probe"
)

func TestLookup(t *testing.T) {
	good, silent := nameserver(t, behave), nameserver(t, stayingSilent)
	for _, test := range []struct {
		host    string
		family  string
		servers []netip.AddrPort
		class   probe.Class
		addrs   string
		trace   Trace
	}{
		{"192.0.2.1", "any", nil, probe.OK, "192.0.2.1", Trace{}},
		{"fe80::1%lo", "any", nil, probe.OK, "fe80::1%lo", Trace{}},
		{"ok.com", "any", []netip.AddrPort{good}, probe.OK, "192.0.2.80 2001:db8::80", Trace{good.String(), "NOERROR", nil, ""}},
		{"ok.com", "ipv4", []netip.AddrPort{good}, probe.OK, "192.0.2.80", Trace{good.String(), "NOERROR", nil, ""}},
		{"ok.com", "ipv6", []netip.AddrPort{good}, probe.OK, "2001:db8::80", Trace{good.String(), "NOERROR", nil, ""}},
		{"four.com", "any", []netip.AddrPort{good}, probe.OK, "192.0.2.80", Trace{good.String(), "NOERROR", nil, ""}},
		{"six.com", "any", []netip.AddrPort{good}, probe.OK, "2001:db8::80", Trace{good.String(), "NOERROR", nil, ""}},
		{"loop.com", "any", []netip.AddrPort{good}, probe.OK, "127.0.0.1", Trace{good.String(), "NOERROR", nil, ""}},
		{"halfservfail.com", "any", []netip.AddrPort{good}, probe.OK, "192.0.2.80",
			Trace{good.String(), "NOERROR", []string{probe.WarnAAAAFailed}, ""}},
		{"ok.com", "ipv4", []netip.AddrPort{silent, good}, probe.OK, "192.0.2.80",
			Trace{good.String(), "NOERROR", []string{probe.WarnFirstFailed}, ""}},

		{"halfsilent.com", "any", []netip.AddrPort{good}, probe.DNSTimeout, "", Trace{good.String(), "", nil, ""}},
		{"four.com", "ipv6", []netip.AddrPort{good}, probe.DNSNoData, "", Trace{good.String(), "NOERROR", nil, ""}},
		{"empty.com", "any", []netip.AddrPort{good}, probe.DNSNoData, "", Trace{good.String(), "NOERROR", nil, ""}},
		{"gone.com", "any", []netip.AddrPort{good}, probe.DNSNameNotResolved, "", Trace{good.String(), "NXDOMAIN", nil, ""}},
		{"servfail.com", "any", []netip.AddrPort{good}, probe.DNSServfail, "", Trace{good.String(), "SERVFAIL", nil, ""}},
		{"zero.com", "any", []netip.AddrPort{good}, probe.DNSWrongAnswer, "", Trace{good.String(), "NOERROR", nil, ""}},
		{"ok.com", "any", []netip.AddrPort{silent}, probe.DNSTimeout, "", Trace{silent.String(), "", nil, ""}},
	} {
		t.Run(test.host+" "+test.family, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), patienceInTests)
			defer cancel()
			addrs, trace, err := LookupHost(ctx, test.servers, nil, test.host, test.family)
			if got := probe.Classify(probe.Resolve, err); got != test.class {
				t.Errorf("class = %v, want %v (%v)", got, test.class, err)
			}
			var texts []string
			for _, addr := range addrs {
				texts = append(texts, addr.String())
			}
			if got := strings.Join(texts, " "); got != test.addrs {
				t.Errorf("addresses = %q, want %q", got, test.addrs)
			}
			if diff := cmp.Diff(test.trace, trace); diff != "" {
				t.Errorf("trace (-want +got):\n%s", diff)
			}
		})
	}
}

// TestNameserverInstead has Go's resolver remember a file that is not there any more.
func TestNameserverInstead(t *testing.T) {
	now := func(servers ...string) *resolverTap {
		l := new(resolverTap)
		for _, s := range servers {
			l.servers = append(l.servers, netip.MustParseAddrPort(s))
		}
		return l
	}
	for _, tt := range []struct {
		name                string
		l                   *resolverTap
		parseQuestion, want string
	}{
		{"still there", now("192.0.2.1:53", "192.0.2.2:53"), "192.0.2.2:53", "192.0.2.2:53"},
		{"with a zone", now("[fe80::1%eth0]:53"), "[fe80::1%eth0]:53", "[fe80::1%eth0]:53"},
		{"rewrites NXDOMAIN", now("198.51.100.1:53"), "192.0.2.1:53", "198.51.100.1:53"},
		{"rewritten, was empty", now("198.51.100.1:53"), "[::1]:53", "198.51.100.1:53"},
		{"lost", now(), "192.0.2.1:53", "127.0.0.1:53"},
		{"lost for long", now(), "[::1]:53", "[::1]:53"},
	} {
		if got := tt.l.redirect(tt.parseQuestion); got != tt.want {
			t.Errorf("%s: %s is asked, want %s", tt.name, got, tt.want)
		}
	}
}
