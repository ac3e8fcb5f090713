package strictyaml

import "testing"

// A duration that is accepted means the same after it was written and read again.
func FuzzDuration(f *testing.F) {
	for _, text := range []string{"30s", "1h30m", "90d", "1d12h", "0", "-5s", "1.5d", "106751d", "99999999999d", "1d-1h", "d", "1dd", "µs", "5µs"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, err := parseDuration(text)
		if err != nil {
			return
		}
		again, err := parseDuration(FormatDuration(d))
		if err != nil || again != d {
			t.Errorf("%q is %v, written as %q, read as %v, %v", text, d, FormatDuration(d), again, err)
		}
	})
}

// A size that is accepted is not negative.
func FuzzSize(f *testing.F) {
	for _, text := range []string{"64MB", "1GB", "0", "-1MB", "1.5GB", "9223372036854775807", "9999999999GB", "MB", "1 MB", "0x10"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if n, err := parseSize(text); err == nil && n < 0 {
			t.Errorf("%q is %d bytes", text, n)
		}
	})
}
