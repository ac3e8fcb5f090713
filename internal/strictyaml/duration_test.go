package strictyaml

import (
	"math/rand/v2"
	"testing"
	"time"
)

func TestDurations(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"500ms": 500 * time.Millisecond, "90d": 90 * Day, "1d12h": 36 * time.Hour, "1h30m": 90 * time.Minute, "0s": 0, "0d": 0,
	} {
		if got, err := parseDuration(text); err != nil || got != want {
			t.Errorf("%s: got %v, %v; want %v", text, got, err, want)
		}
	}
	for range 1000 {
		want := time.Duration(rand.Int64N(int64(400 * Day)))
		if rand.IntN(2) == 0 {
			want = want.Truncate(time.Minute)
		}
		if got, err := parseDuration(FormatDuration(want)); err != nil || got != want {
			t.Errorf("%v written as %s: got %v, %v", want, FormatDuration(want), got, err)
		}
	}
}
