package execprobe

import "testing"

// A process can call itself anything: its name never becomes a number of its stat line.
func FuzzStat(f *testing.F) {
	for _, name := range []string{"sleep", "", ") S 1 1 1 1 (", "a b", "((", "\n", "x) Z 2"} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		p := parseStat(7, "7 ("+name+") S 3 4 5 0 -1")
		if p.name != name || p.dead || p.parent != 3 || p.group != 4 || p.session != 5 {
			t.Errorf("%q: %+v", name, p)
		}
		parseStat(7, name) // and a line that is no stat line
	})
}
