package incident

import "testing"

// What is accepted as an ID is one: its parts make it again.
func FuzzParseID(f *testing.F) {
	for _, id := range []string{"20261123-codex-1", "20261123-my-shop-12", "latest", "", "--", "20261123--1", "20261123-x-01",
		"20261123-x-99999999999999999999", "20261123-x- 1"} {
		f.Add(id)
	}
	f.Fuzz(func(t *testing.T, id string) {
		day, service, n, ok := ParseID(id)
		if ok && len(service) <= idLimit && idOf(day, service, n) != id {
			t.Errorf("%q is taken for %q", id, idOf(day, service, n))
		}
	})
}
