package netpath

import (
	"net/netip"
	"testing"

	"netwatchd/internal/probe"
)

// RFC 6052, 2.4 has an address of each length of prefix; those of ipv4only.arpa are in the same places.
func TestPrefixOfTranslator(t *testing.T) {
	for _, tt := range []struct{ addr, prefix string }{
		{"64:ff9b::c000:aa", "64:ff9b::/96"},
		{"2001:db8:122:344::c000:ab", "2001:db8:122:344::/96"},
		{"2001:db8:122:344:c0:0:aa00:0", "2001:db8:122:344::/64"},
		{"2001:db8:122:3c0:0:aa::", "2001:db8:122:300::/56"},
		{"2001:db8:122:c000:0:aa00::", "2001:db8:122::/48"},
		{"2001:db8:1c0:0:aa::", "2001:db8:100::/40"},
		{"2001:db8:c000:aa::", "2001:db8::/32"},
		{"2001:db8::1", ""},
		{"192.0.0.170", ""},
	} {
		prefix, is := prefixIn(netip.MustParseAddr(tt.addr))
		if got := prefix.String(); is != (tt.prefix != "") || is && got != tt.prefix {
			t.Errorf("%s: got %s, %v, want %q", tt.addr, got, is, tt.prefix)
		}
	}
}

func TestPublicNames(t *testing.T) {
	for target, want := range map[string]bool{
		"https://chatgpt.com/": true, "http://api.openai.com:8443/x": true, "http://localhost:8080/": false, "http://nas/": false,
		"http://printer.local/": false, "https://git.corp/": false, "http://192.0.2.1/": false, "http://[2001:db8::1]:80/": false,
	} {
		if got := HasPublicName(&probe.Result{Spec: probe.Spec{Target: target}}); got != want {
			t.Errorf("%s: got %v, want %v", target, got, want)
		}
	}
}
