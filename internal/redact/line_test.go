package redact

import "testing"

func TestLine(t *testing.T) {
	for in, want := range map[string]string{
		"plain":           "plain",
		"a\nb\r\n\tc":     "a b c",
		"\x1b[31mred":     "[31mred",
		"left\u202eright": "leftright",
		"bad \xff byte":   "bad byte",
		"über dem Limit":  "über dem …",
	} {
		if got := Line(in, 10); got != want {
			t.Errorf("Line(%q, 10) = %q, want %q", in, got, want)
		}
	}
	if got := Line("aä", 2); got != "a…" {
		t.Errorf("Line cut a rune in two: %q", got)
	}
}
