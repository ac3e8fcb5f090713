package strictyaml

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

const Day = 24 * time.Hour

// parseDuration reads what Go reads, and days in front: "30s", "1h30m", "90d", "1d12h".
func parseDuration(text string) (time.Duration, error) {
	days, rest, found := strings.Cut(text, "d")
	if !found {
		return plainDuration(text, text)
	}
	n, err := strconv.ParseUint(days, 10, 31)
	if err != nil {
		return plainDuration(text, text)
	}
	whole := float64(n) * float64(Day)
	if rest == "" {
		rest = "0s"
	}
	part, err := plainDuration(rest, text)
	switch {
	case err != nil:
		return 0, err
	case part < 0 || whole+float64(part) >= math.MaxInt64:
		return 0, fmt.Errorf("%q is too long a time: write less than 100000d", text)
	}
	return time.Duration(n)*Day + part, nil
}

func plainDuration(rest, text string) (time.Duration, error) {
	d, err := time.ParseDuration(rest)
	if err != nil {
		return 0, fmt.Errorf("%q is not a length of time: write it like 500ms, 30s, 5m, 1h30m or 90d", text)
	}
	return d, nil
}

// FormatDuration writes what parseDuration reads, without the zeros Go appends: "1h", not "1h0m0s".
func FormatDuration(d time.Duration) string {
	if d >= 2*Day && d%Day == 0 {
		return strconv.FormatInt(int64(d/Day), 10) + "d"
	}
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
