// Package stubtest runs agents against a stub in tests, and shows what they sent.
package stubtest

import (
	"bytes"
	"context"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"netwatchd/internal/agent/stub"
	"netwatchd/internal/probe"
)

// Tap returns a function that returns the requests that s got: method, URL, headers and body of each.
func Tap(s *stub.Server) func() []string {
	var mu sync.Mutex
	var seen []string
	s.Tap = func(r *http.Request) {
		var all strings.Builder
		_ = r.Header.Write(&all)
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, r.Method+" "+r.URL.String()+"\n"+all.String()+"\n"+string(body))
	}
	return func() []string {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(seen)
	}
}

// A ProberFunc is a prober that calls itself.
type ProberFunc func(context.Context) (probe.Facts, error)

// Probe calls f.
func (f ProberFunc) Probe(ctx context.Context) (probe.Facts, error) { return f(ctx) }

// WithEtc returns a command that runs program with another /etc, which has these files of an administrator, by their
// path below it.
func WithEtc(t *testing.T, program string, files map[string]string) string {
	t.Helper()
	unshare, err := exec.LookPath("unshare")
	if err == nil {
		err = exec.CommandContext(t.Context(), unshare, "-rm", "true").Run()
	}
	if err != nil {
		t.Skipf("needs unshare and user namespaces: %v", err)
	}
	dir := t.TempDir()
	etc, command := filepath.Join(dir, "etc"), filepath.Join(dir, "command")
	all := maps.Clone(files)
	for _, name := range []string{"passwd", "hosts", "nsswitch.conf"} { // a program may look its user up
		if text, err := os.ReadFile(filepath.Join("/etc", name)); err == nil {
			all[name] = string(text)
		}
	}
	for name, text := range all {
		path := filepath.Join(etc, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	script := "#!/bin/sh\nexec " + unshare + ` -rm /bin/sh -c 'mount --bind "$0" /etc && exec "$@"' ` +
		etc + " " + program + ` "$@"` + "\n"
	if err := os.WriteFile(command, []byte(script), 0o700); err != nil { //nolint:gosec // it is to be run
		t.Fatal(err)
	}
	return command
}
