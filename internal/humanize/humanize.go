// Package humanize formats durations and counts for people. The terminal, the page and the record use it, so that one
// thing reads the same everywhere.
package humanize

import (
	"fmt"
	"time"
)

// Latency formats how long an attempt took: "<1 ms", "84 ms", "4.2 s", "12 s", and from two minutes on as [Span]
// does. Zero is not measured, and empty.
func Latency(d time.Duration) string {
	switch {
	case d <= 0:
		return ""
	case d < time.Millisecond:
		return "<1 ms"
	case d.Round(time.Millisecond) < time.Second:
		return fmt.Sprintf("%d ms", d.Round(time.Millisecond).Milliseconds())
	case d < 10*time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < 2*time.Minute:
		return fmt.Sprintf("%.0f s", d.Seconds())
	}
	return Span(d)
}

// Span formats how long something lasted or how long ago it was, in two units at most: "42 s", "3 h 12 min". A
// negative span is "0 s": two clocks may disagree.
func Span(d time.Duration) string {
	d = max(d, 0)
	const day = 24 * time.Hour
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < time.Hour:
		return twoUnits(int(d.Minutes()), "min", int(d.Seconds())%60, "s")
	case d < day:
		return twoUnits(int(d.Hours()), "h", int(d.Minutes())%60, "min")
	}
	return twoUnits(int(d/day), "d", int(d.Hours())%24, "h")
}

func twoUnits(many int, large string, few int, small string) string {
	if few == 0 {
		return fmt.Sprintf("%d %s", many, large)
	}
	return fmt.Sprintf("%d %s %d %s", many, large, few, small)
}

// Count formats a number of things: "1 run", "3 runs". The noun is one whose plural ends in s.
func Count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
