package probetest

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"netwatchd/internal/probe"
)

// DoRun makes one attempt the way the daemon does.
func DoRun(t *testing.T, p probe.Prober, timeout time.Duration) probe.Result {
	t.Helper()
	r, ok := probe.Do(
		t.Context(),
		&probe.Probe{Spec: probe.Spec{Service: "test", Name: "exec", Kind: probe.KindExec, Timeout: timeout}, Prober: p},
	)
	if !ok {
		t.Fatal("the attempt was cut short")
	}
	return r
}

func Script(t *testing.T, mode os.FileMode, text string) []string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	return []string{path}
}

// carrying lists the processes that still run with the variable in their environment; a dead process has none.
func carrying(variable string) []string {
	var found []string
	environs, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, path := range environs {
		environ, _ := os.ReadFile(path)
		if slices.Contains(strings.Split(string(environ), "\x00"), variable) {
			found = append(found, filepath.Base(filepath.Dir(path)))
		}
	}
	return found
}

// Gone waits until no process carries the variable: a killed process is gone soon, not at once.
func Gone(t *testing.T, marker string) {
	t.Helper()
	for until := time.Now().Add(2 * time.Second); time.Now().Before(until); time.Sleep(5 * time.Millisecond) {
		if len(carrying(marker)) == 0 {
			return
		}
	}
	t.Errorf("still running: %v", carrying(marker))
}

func Sh(script string) []string { return []string{"/bin/sh", "-c", script} }
