package dnswire

import (
	"testing"

	"github.com/miekg/dns"
)

// An id that repeats is an id that can be guessed.
func TestPackQueryIDs(t *testing.T) {
	var buf [QueryLimit]byte
	ids := make(map[[2]byte]bool)
	for range 100 {
		packed, err := PackQuery(buf[:], "ok.com", dns.TypeA)
		if err != nil {
			t.Fatal(err)
		}
		ids[[2]byte(packed[2:])] = true
	}
	if len(ids) < 90 { // of 65,536: ten chance repeats among a hundred are one in 10^20
		t.Errorf("%d different ids in 100 queries", len(ids))
	}
}
