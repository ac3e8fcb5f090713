package resolvconf

import (
	"os"
	"path/filepath"
	"testing"
)

// Any file either lists nameservers or has an error that says what is wrong with it.
func FuzzNameservers(f *testing.F) {
	for _, text := range []string{"", "nameserver 127.0.0.53\n", "nameserver fe80::1%eth0\r\nsearch a b\noptions ndots:5",
		" nameserver 1.1.1.1", "nameserver\t::1 # local", "nameserver 1.1.1.1\x00\xff", "; nameserver 1.1.1.1"} {
		f.Add([]byte(text))
	}
	file := filepath.Join(f.TempDir(), "resolv.conf")
	f.Fuzz(func(t *testing.T, text []byte) {
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
		servers, err := Nameservers(file)
		if (len(servers) == 0) != (err != nil) {
			t.Errorf("%d nameservers, error %v", len(servers), err)
		}
		for _, s := range servers {
			if !s.IsValid() || s.Port() == 0 {
				t.Errorf("%v is no nameserver", s)
			}
		}
	})
}
