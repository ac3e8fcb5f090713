package strictyaml

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Day is 24 hours.
const Day = 24 * time.Hour

// parseDuration is time.ParseDuration with days in front: "30s", "1h30m", "90d", "1d12h".
func parseDuration(text string) (time.Duration, error) {
	days, rest, found := strings.Cut(text, "d")
	if !found {
		return parseRest(text, text)
	}
	n, err := strconv.ParseUint(days, 10, 31)
	if err != nil {
		return parseRest(text, text)
	}
	whole := float64(n) * float64(Day)
	if rest == "" {
		rest = "0s"
	}
	part, err := parseRest(rest, text)
	switch {
	case err != nil:
		return 0, err
	case part < 0 || whole+float64(part) >= math.MaxInt64:
		return 0, fmt.Errorf("%q is too long: write less than 100000d", text)
	}
	return time.Duration(n)*Day + part, nil
}

func parseRest(rest, text string) (time.Duration, error) {
	d, err := time.ParseDuration(rest)
	if err != nil {
		return 0, fmt.Errorf("%q is not a duration: write it like 500ms, 30s, 5m, 1h30m or 90d", text)
	}
	return d, nil
}

// FormatDuration returns d as a configuration file writes it, without the zeros that [time.Duration.String] appends:
// "1h", not "1h0m0s".
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
