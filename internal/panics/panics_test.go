package panics

import (
	"errors"
	"io"
	"strings"
	"testing"
)

func TestRun(t *testing.T) {
	before := Count(Push)
	err := Run(Push, func() error { panic("index out of range") })
	p, ok := errors.AsType[*Error](err)
	if !ok || err.Error() != "panic: index out of range" || !strings.Contains(string(p.Stack), "TestRun") {
		t.Errorf("got %v", err)
	}
	if n := Count(Push) - before; n != 1 {
		t.Errorf("%d panics counted, want 1", n)
	}
	if err := Run(Push, func() error { return io.EOF }); err != io.EOF || Count(Push) != before+1 {
		t.Errorf("got %v, %d panics; an error is not a panic", err, Count(Push)-before)
	}
	seen := make(map[string]bool)
	for _, p := range All() {
		if p.String() == "" || seen[p.String()] {
			t.Errorf("place %d has no name of its own", p)
		}
		seen[p.String()] = true
	}
}
