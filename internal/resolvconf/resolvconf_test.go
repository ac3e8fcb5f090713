package resolvconf

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestNameservers(t *testing.T) {
	for _, test := range []struct {
		name string
		text string
		want []string
		err  string // part of it
	}{
		{"in order", "search example.com\nnameserver 192.0.2.2\nnameserver 192.0.2.1\n", []string{"192.0.2.2:53", "192.0.2.1:53"}, ""},
		{"IPv6 with zone", "nameserver fe80::1%eth0\nnameserver 2001:db8::1", []string{"[fe80::1%eth0]:53", "[2001:db8::1]:53"}, ""},
		{"odd spaces", "nameserver\t192.0.2.1  # the router\r\n", []string{"192.0.2.1:53"}, ""},
		{"comments", "# nameserver 192.0.2.1\n;nameserver 192.0.2.2\nnameserver 192.0.2.3\n", []string{"192.0.2.3:53"}, ""},
		{"not an address", "nameserver dns.example\nnameserver 192.0.2.1\n", []string{"192.0.2.1:53"}, ""},
		{"no nameserver", "search example.com\nnameserver\nnameserver dns.example\n", nil, "lists no nameserver"},
		{"empty", " \n", nil, "is empty"},
	} {
		t.Run(test.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "resolv.conf")
			if err := os.WriteFile(file, []byte(test.text), 0o600); err != nil {
				t.Fatal(err)
			}
			servers, err := Nameservers(file)
			var got []string
			for _, server := range servers {
				got = append(got, server.String())
			}
			if diff := cmp.Diff(test.want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			checkErr(t, err, test.err)
		})
	}
}

func TestNameserversOfNoFile(t *testing.T) {
	dir := t.TempDir()
	dangling := filepath.Join(dir, "dangling")
	if err := os.Symlink("run/resolv.conf", dangling); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{
		filepath.Join(dir, "missing"): "does not exist",
		dangling:                      "is a link to run/resolv.conf, which does not exist",
		dir:                           "cannot be read",
	} {
		_, err := Nameservers(file)
		checkErr(t, err, file+" "+want)
	}
}

func checkErr(t *testing.T, err error, part string) {
	t.Helper()
	switch {
	case part == "" && err != nil:
		t.Errorf("err = %v, want none", err)
	case part != "" && (err == nil || !strings.Contains(err.Error(), part)):
		t.Errorf("err = %v, want %q in it", err, part)
	}
}

// TestFortyNameservers: no resolver uses more than three, so none of the others is queried.
func TestFortyNameservers(t *testing.T) {
	file := filepath.Join(t.TempDir(), "resolv.conf")
	var text strings.Builder
	for i := range 40 {
		fmt.Fprintf(&text, "nameserver 192.0.2.%d\n", i+1)
	}
	if err := os.WriteFile(file, []byte(text.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	s := Read(file)
	if len(s.Nameservers) != MaxNameservers || s.Ignored != 37 || s.Nameservers[0].String() != "192.0.2.1:53" {
		t.Errorf("got %v and %d ignored, want the first 3 and 37", s.Nameservers, s.Ignored)
	}
}

func TestParse(t *testing.T) {
	const text = "search a.test\nsearch lan corp.test # mine\noptions ndots:99 timeout:1 attempts:0\noptions use-vc edns0 ndots:x\n" +
		" options timeout:9\nnameserver 192.0.2.1\n"
	c := Parse([]byte(text))
	want := Conf{Nameservers: []netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:53")},
		Search: []string{"lan", "corp.test", "#", "mine"}, Ndots: 15, Timeout: time.Second, Attempts: 1, UseTCP: true}
	if !reflect.DeepEqual(c, want) {
		t.Errorf("got %+v, want %+v", c, want)
	}
	if c := Parse(nil); c.Ndots != 1 || c.Timeout != 5*time.Second || c.Attempts != 2 {
		t.Errorf("the defaults are %+v", c)
	}
}
