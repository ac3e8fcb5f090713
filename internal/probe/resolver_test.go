package probe

import (
	"context"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestLookup(t *testing.T) {
	good, silent := nameserver(t, behave), nameserver(t, stayingSilent)
	for _, test := range []struct {
		host    string
		family  string
		servers []netip.AddrPort
		class   Class
		addrs   string
		trace   lookupTrace
	}{
		{"192.0.2.1", "any", nil, OK, "192.0.2.1", lookupTrace{}},
		{"fe80::1%lo", "any", nil, OK, "fe80::1%lo", lookupTrace{}},
		{"ok.com", "any", []netip.AddrPort{good}, OK, "192.0.2.80 2001:db8::80", lookupTrace{good.String(), "NOERROR", nil}},
		{"ok.com", "ipv4", []netip.AddrPort{good}, OK, "192.0.2.80", lookupTrace{good.String(), "NOERROR", nil}},
		{"ok.com", "ipv6", []netip.AddrPort{good}, OK, "2001:db8::80", lookupTrace{good.String(), "NOERROR", nil}},
		{"four.com", "any", []netip.AddrPort{good}, OK, "192.0.2.80", lookupTrace{good.String(), "NOERROR", nil}},
		{"six.com", "any", []netip.AddrPort{good}, OK, "2001:db8::80", lookupTrace{good.String(), "NOERROR", nil}},
		{"loop.com", "any", []netip.AddrPort{good}, OK, "127.0.0.1", lookupTrace{good.String(), "NOERROR", nil}},
		{"halfservfail.com", "any", []netip.AddrPort{good}, OK, "192.0.2.80",
			lookupTrace{good.String(), "NOERROR", []string{warnAAAAFailed}}},
		{"ok.com", "ipv4", []netip.AddrPort{silent, good}, OK, "192.0.2.80",
			lookupTrace{good.String(), "NOERROR", []string{warnFirstFailed}}},

		{"halfsilent.com", "any", []netip.AddrPort{good}, DNSTimeout, "", lookupTrace{good.String(), "", nil}},
		{"four.com", "ipv6", []netip.AddrPort{good}, DNSNoData, "", lookupTrace{good.String(), "NOERROR", nil}},
		{"empty.com", "any", []netip.AddrPort{good}, DNSNoData, "", lookupTrace{good.String(), "NOERROR", nil}},
		{"gone.com", "any", []netip.AddrPort{good}, DNSNameNotResolved, "", lookupTrace{good.String(), "NXDOMAIN", nil}},
		{"servfail.com", "any", []netip.AddrPort{good}, DNSServfail, "", lookupTrace{good.String(), "SERVFAIL", nil}},
		{"zero.com", "any", []netip.AddrPort{good}, DNSWrongAnswer, "", lookupTrace{good.String(), "NOERROR", nil}},
		{"ok.com", "any", []netip.AddrPort{silent}, DNSTimeout, "", lookupTrace{silent.String(), "", nil}},
	} {
		t.Run(test.host+" "+test.family, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), patienceInTests)
			defer cancel()
			addrs, trace, err := lookup(ctx, test.servers, test.host, test.family)
			if got := Classify(Resolve, err); got != test.class {
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
	now := func(servers ...string) *listener {
		l := new(listener)
		for _, s := range servers {
			l.servers = append(l.servers, netip.MustParseAddrPort(s))
		}
		return l
	}
	for _, tt := range []struct {
		name       string
		l          *listener
		asks, want string
	}{
		{"still there", now("192.0.2.1:53", "192.0.2.2:53"), "192.0.2.2:53", "192.0.2.2:53"},
		{"with a zone", now("[fe80::1%eth0]:53"), "[fe80::1%eth0]:53", "[fe80::1%eth0]:53"},
		{"rewritten", now("198.51.100.1:53"), "192.0.2.1:53", "198.51.100.1:53"},
		{"rewritten, was empty", now("198.51.100.1:53"), "[::1]:53", "198.51.100.1:53"},
		{"lost", now(), "192.0.2.1:53", "127.0.0.1:53"},
		{"lost for long", now(), "[::1]:53", "[::1]:53"},
	} {
		if got := tt.l.instead(tt.asks); got != tt.want {
			t.Errorf("%s: %s is asked, want %s", tt.name, got, tt.want)
		}
	}
}
