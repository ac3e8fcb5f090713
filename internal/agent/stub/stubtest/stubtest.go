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
	"time"

	"netwatchd/internal/agent"
	"netwatchd/internal/agent/stub"
	"netwatchd/internal/probe"
	"netwatchd/internal/probe/execprobe"
	"netwatchd/internal/probe/probetest"
)

// secret is in every credential of the user and of the administrator: no request to a stub may have it.
const secret = "hunter2"

// Live makes a run of a real program against a stub, as [stub.Run] does. The run must succeed with one turn, at a URL
// with these words, and without a credential.
func Live[R agent.Report](t *testing.T, within time.Duration, s agent.Settings, p stub.Protocol, turn string,
	command func(*stub.Server) (execprobe.Process, string, error), read func(execprobe.ExitState) R,
) {
	t.Helper()
	var seen func() []string
	run := proberFunc(func(ctx context.Context) (probe.Facts, error) {
		return stub.Run(ctx, s, p, func(server *stub.Server) (execprobe.Process, string, error) {
			seen = Tap(server)
			return command(server)
		}, read)
	})
	if got := probetest.DoRun(t, run, within); !got.OK() || got.Output != "OK" || got.Tokens != nil {
		t.Errorf("got %v %q, output %q, tokens %v", got.Class, got.Why, got.Output, got.Tokens)
	}
	if got := seen(); len(got) != 1 || !strings.Contains(got[0], turn) || strings.Contains(got[0], secret) {
		t.Errorf("the stub got %q, want one turn without the user's credentials", got)
	}
}

// OfAProgramThatFails: the stub run fails with the installation, and says that it got no request.
func OfAProgramThatFails(t *testing.T, within time.Duration, stubRun func(agent.Settings) probe.Prober) {
	t.Helper()
	program := probetest.Script(t, 0o755, "#!/bin/sh\necho Error: lost >&2\nexit 3\n")
	r := probetest.DoRun(t, stubRun(agent.Settings{Path: program[0], StateDir: t.TempDir()}), within)
	if r.Class != probe.ExecUnexpectedExit || !strings.Contains(r.Why, "Error: lost") || !strings.Contains(r.Why, "got no request") {
		t.Errorf("got %v %q, want %v", r.Class, r.Why, probe.ExecUnexpectedExit)
	}
}

// Tap returns a function that returns the requests that s got: method, URL, headers and body of each.
func Tap(s *stub.Server) func() []string {
	var mu sync.Mutex
	var seen []string
	s.Tap(func(r *http.Request) {
		var all strings.Builder
		_ = r.Header.Write(&all)
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, r.Method+" "+r.URL.String()+"\n"+all.String()+"\n"+string(body))
	})
	return func() []string {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(seen)
	}
}

// A proberFunc is a prober that calls itself.
type proberFunc func(context.Context) (probe.Facts, error)

func (f proberFunc) Probe(ctx context.Context) (probe.Facts, error) { return f(ctx) }

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
	probetest.WriteFiles(t, etc, all)
	script := "#!/bin/sh\nexec " + unshare + ` -rm /bin/sh -c 'mount --bind "$0" /etc && exec "$@"' ` +
		etc + " " + program + ` "$@"` + "\n"
	if err := os.WriteFile(command, []byte(script), 0o700); err != nil { //nolint:gosec // it is to be run
		t.Fatal(err)
	}
	return command
}
