package sandbox

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"netwatchd/internal/lab/parts"
	"netwatchd/internal/lab/stack"
)

// netwatchd run by the agent in its sandbox: it cannot probe, and names the source of what it reports.
func TestCheckInside(t *testing.T) {
	for _, version := range parts.CodexVersions {
		t.Run(version, func(t *testing.T) {
			s := play(t, version)
			config := s.watching(closed)
			check := append([]string{s.program}, s.stored([]string{"check", config})...)

			e := s.inside(version, append(slices.Clone(check), "--json")...)
			got := e.status(t)
			if e.Code != 1 || got.Services[0].Cause != "self_sandboxed" || !got.Sandboxed.Denied ||
				!slices.Contains(got.Sandboxed.Signals, "env_network_disabled") || got.Outside == nil || got.Outside.Error == "" {
				t.Errorf("without a daemon: exit code %d\n%s", e.Code, e.Stdout)
			}
			// A round in which everything is denied tells nothing.
			if n := len(got.Services[0].Results); n != 1 {
				t.Errorf("%d attempts were made, want the look at this process alone", n)
			}
			says(t, s.inside(version, check...), "Network access is denied here. The state of the service cannot be seen from inside.",
				"no status from the host: the daemon is not running", "start netwatchd on the host")

			d := s.daemon(t, config)
			e = s.inside(version, append(slices.Clone(check), "--json")...)
			if got = e.status(t); e.Code != 1 || got.Outside.Error != "" || len(got.Outside.Services) != 1 || got.Outside.Services[0].Cause != "healthy" {
				t.Errorf("with a daemon: exit code %d\n%s", e.Code, e.Stdout)
			}
			e = s.inside(version, check...)
			says(t, e, "It is the sandbox: network access is denied here and works on the host.",
				"socket(AF_INET) is not permitted", "CODEX_SANDBOX_NETWORK_DISABLED=1", "reached codex", "(405 in", "Run this with network access.")
			t.Logf("in %v:\n%s", e.Took, e.Stdout)

			// status answers the same question, so it gives the same answer.
			status := append([]string{s.program}, s.stored([]string{"status", config})...)
			says(t, s.inside(version, status...), "It is the sandbox: network access is denied here and works on the host.", "reached codex")
			asJSON := s.inside(version, append(status, "--json")...)
			if got = asJSON.status(t); asJSON.Code != 1 || got.Services[0].Cause != "self_sandboxed" || got.Outside.Services[0].Cause != "healthy" {
				t.Errorf("status: exit code %d\n%s", asJSON.Code, asJSON.Stdout)
			}
			says(t, s.inside(version, append(status, "-v")...), "It is the sandbox", "codex: reachable (healthy)", "attempts")

			s.CloseService()
			d.Await(patience, func() error { return standsAt(s, "upstream") })
			says(t, s.inside(version, check...), "Network access is denied here, and the host has a problem too: codex: the service refuses connections")
		})
	}
}

// The newest sandbox has its own proxy as the only exit.
func TestCheckInsideWithAProxy(t *testing.T) {
	s := play(t, "0.169.0")
	config := s.watching(closed)
	s.daemon(t, config)
	sandbox := parts.CodexSandbox(t, "0.169.0")
	proxied := append(sandbox[:2:2], "--enable", "network_proxy", "-c", `sandbox_mode="workspace-write"`,
		"-c", "sandbox_workspace_write.network_access=true", "--", s.program)
	check := append(proxied, s.stored([]string{"check", config})...)

	e := s.run(append(slices.Clone(check), "--json")...)
	got := e.status(t)
	if e.Code != 1 || got.Services[0].Cause != "self_sandboxed" || !slices.Contains(got.Sandboxed.Signals, "env_proxy_active") {
		t.Errorf("exit code %d\n%s\n%s", e.Code, e.Stdout, e.Stderr)
	}
	e = s.run(check...)
	says(t, e, "It is the sandbox", "CODEX_NETWORK_PROXY_ACTIVE=1", "blocks codex", "reached codex")
	t.Logf("in %v:\n%s", e.Took, e.Stdout)
}

func says(t *testing.T, e ending, words ...string) {
	t.Helper()
	said := strings.Join(strings.Fields(e.Stdout), " ") // lines are broken where they fit
	for _, want := range words {
		if !strings.Contains(said, want) {
			t.Errorf("%q is not said:\n%s\n%s", want, e.Stdout, e.Stderr)
		}
	}
	if e.Code != 1 {
		t.Errorf("exit code %d, want 1", e.Code)
	}
}

// daemon starts the daemon, and waits until its status can be read.
func (s *scene) daemon(t *testing.T, config string) *stack.Daemon {
	t.Helper()
	d := s.Daemon(config, "--storage.path="+filepath.Join(s.dir, "storage"))
	d.AwaitReady()
	d.Await(patience, func() error { return standsAt(s, "healthy") })
	return d
}
