package agent

import (
	"cmp"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A program that hangs is stopped, and not started again for every question.
func TestVersionThatHangs(t *testing.T) {
	path := filepath.Join(t.TempDir(), "codex")
	if err := os.WriteFile(path, []byte("#!/bin/sh\nexec sleep 60\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	_, err := codexProgram.Version(t.Context(), path)
	if err == nil || !strings.Contains(err.Error(), path+" --version") || time.Since(start) > 2*versionTimeout {
		t.Errorf("got %v after %v", err, time.Since(start))
	}
	start = time.Now()
	if _, again := codexProgram.Version(t.Context(), path); again == nil || again.Error() != err.Error() || time.Since(start) > versionTimeout/2 {
		t.Errorf("asked again: got %v after %v", again, time.Since(start))
	}
}

// TestVersionOfOddPrograms: what prints no version, forks, or never stops printing has no version, and is stopped.
func TestVersionOfOddPrograms(t *testing.T) {
	t.Parallel()
	for name, script := range map[string]string{
		"garbage":        "head -c 100000 /dev/urandom | tr -d '0-9'",
		"nothing":        "exit 0",
		"a wrong option": "echo 'unknown option --version, see 1.2.3'; exit 2",
		"endless":        "exec yes",
		"a child":        "sleep 600 & echo none",
		"a signal":       "kill -9 $$",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "codex")
			if err := os.WriteFile(path, []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
				t.Fatal(err)
			}
			v, err := codexProgram.Version(t.Context(), path)
			if err == nil || v != (Version{}) || len(err.Error()) > 2000 {
				t.Errorf("got %v, %v", v, err)
			}
		})
	}
}

// TestVersionOfAReplacedProgram: another program in the place of a known one is asked again.
func TestVersionOfAReplacedProgram(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "codex")
	for _, want := range []string{"0.171.0", "12.0.0-alpha.1"} { // another size: a file's time may be the same
		next := path + ".next"
		if err := os.WriteFile(next, []byte("#!/bin/sh\necho codex-cli "+want+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(next, path); err != nil {
			t.Fatal(err)
		}
		if v, err := codexProgram.Version(t.Context(), path); err != nil || v.String() != want {
			t.Errorf("got %v, %v, want %s", v, err, want)
		}
	}
}

func TestVersions(t *testing.T) {
	ordered := []string{"0.99.9", "0.171.0", "0.172.0-alpha", "0.172.0-alpha.3", "0.172.0-alpha.10", "0.172.0-alpha.x", "0.172.0-beta", "0.172.0", "1.0.0"}
	for i, a := range ordered {
		v := parseVersion(t, "codex-cli "+a+"\n")
		if v.String() != a {
			t.Errorf("%s became %v", a, v)
		}
		for j, b := range ordered {
			if got, want := v.Compare(parseVersion(t, b)), cmp.Compare(i, j); got != want {
				t.Errorf("%s compared with %s: got %d, want %d", a, b, got, want)
			}
		}
	}
}

func parseVersion(t *testing.T, text string) Version {
	t.Helper()
	v, ok := FindVersion(text)
	if !ok {
		t.Fatalf("%q is not a version", text)
	}
	return v
}

var codexProgram = Program{Name: "codex"}
