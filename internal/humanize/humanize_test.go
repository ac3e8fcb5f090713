package humanize

import (
	"testing"
	"time"
)

func TestDurations(t *testing.T) {
	for _, c := range []struct {
		d             time.Duration
		latency, span string
	}{
		{-time.Second, "", "0 s"},
		{0, "", "0 s"},
		{400 * time.Microsecond, "<1 ms", "0 s"},
		{84 * time.Millisecond, "84 ms", "0 s"},
		{999900 * time.Microsecond, "1.0 s", "0 s"},
		{4200 * time.Millisecond, "4.2 s", "4 s"},
		{42 * time.Second, "42 s", "42 s"},
		{5 * time.Minute, "5 min", "5 min"},
		{252 * time.Second, "4 min 12 s", "4 min 12 s"},
		{192 * time.Minute, "3 h 12 min", "3 h 12 min"},
		{50 * time.Hour, "2 d 2 h", "2 d 2 h"},
	} {
		if got := Latency(c.d); got != c.latency {
			t.Errorf("Latency(%v) = %q, want %q", c.d, got, c.latency)
		}
		if got := Span(c.d); got != c.span {
			t.Errorf("Span(%v) = %q, want %q", c.d, got, c.span)
		}
	}
}

func TestCount(t *testing.T) {
	for n, want := range map[int]string{0: "0 runs", 1: "1 run", 2: "2 runs"} {
		if got := Count(n, "run"); got != want {
			t.Errorf("Count(%d) = %q, want %q", n, got, want)
		}
	}
}
