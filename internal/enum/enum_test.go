package enum

import "testing"

type color uint8

var names = []string{"", "red", "green"}

func TestNames(t *testing.T) {
	if got := String(names, color(2), "color"); got != "green" {
		t.Errorf("String(2) = %q", got)
	}
	if got := String(names, color(9), "color"); got != "color(9)" {
		t.Errorf("String(9) = %q", got)
	}
	var c color
	if err := Parse(names, &c, []byte("red"), "color"); err != nil || c != 1 {
		t.Errorf("Parse(red) = %d, %v", c, err)
	}
	const want = `unknown color "blue": use one of red, green`
	if err := Parse(names, &c, []byte("blue"), "color"); err == nil || err.Error() != want {
		t.Errorf("Parse(blue): %v, want %s", err, want)
	}
}
