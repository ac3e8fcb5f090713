package demo

import (
	"os"
	"strings"
	"testing"

	"netwatchd/internal/screen"
)

// A daemon that does not start is an error, and nothing is left.
func TestDaemonThatDoesNotStart(t *testing.T) {
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	for program, want := range map[string]string{
		"/bin/false": "ended (exit status 1): it logged nothing", "/nonexistent": "starting the daemon",
	} {
		d, err := Start(t.Context(), program)
		if d != nil || err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, %v, want %q", program, d, err, want)
		}
		if left, err := os.ReadDir(temp); err != nil || len(left) > 0 {
			t.Errorf("%s: left %v, %v", program, left, err)
		}
	}
}

// The menu leaves half of the smallest usual terminal, 80 × 24, to the status, and has every fault whatever the width.
func TestPanel(t *testing.T) {
	m := &menu{demo: &Demo{Page: "http://127.0.0.1:65535/", now: 2}}
	for width, most := range map[int]int{80: 8, 60: 12, 40: 12} {
		lines := m.panel(screen.Options{Width: width})
		if len(lines) > most {
			t.Errorf("%d lines at width %d, want at most %d", len(lines), width, most)
		}
		text := strings.Join(lines, "\n")
		if width >= 80 && !strings.Contains(text, m.demo.Page) {
			t.Errorf("width %d: no address of the page in\n%s", width, text)
		}
		for _, f := range faults {
			if !strings.Contains(text, f.Key+"  "+f.Title[:10]) {
				t.Errorf("width %d: no %q in\n%s", width, f.Title, text)
			}
		}
		if strings.Count(text, "> ") != 1 || !strings.Contains(text, "> 2  ") {
			t.Errorf("width %d: the present fault is not marked:\n%s", width, text)
		}
		for _, line := range lines {
			if len(line) > width {
				t.Errorf("%d columns at width %d: %q", len(line), width, line)
			}
		}
	}
}

func TestKeysAreDistinct(t *testing.T) {
	seen := make(map[string]bool)
	for _, f := range faults {
		if seen[f.Key] || f.Key == "q" || f.Key == "k" || f.Key == "j" {
			t.Errorf("key %q is taken", f.Key)
		}
		seen[f.Key] = true
	}
}
