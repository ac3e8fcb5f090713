package opencode

import (
	"context"
	"strings"
	"testing"

	"netwatchd/internal/agent"
	"netwatchd/internal/agent/agenttest"
	"netwatchd/internal/agent/stub"
	"netwatchd/internal/agent/stub/stubtest"
	"netwatchd/internal/lab/responses"
	"netwatchd/internal/probe"
	"netwatchd/internal/probe/execprobe"
	"netwatchd/internal/probe/probetest"
)

// TestStubLive runs the real program against the stub while its service does not answer. The run succeeds, requests
// nothing of anyone else, and sends nothing of the user's or the administrator's.
func TestStubLive(t *testing.T) {
	path := probetest.Installed(t, "opencode", "1.18.33")
	s := responses.Start()
	defer s.Close()
	s.Behave(responses.StallHeaders)
	path = stubtest.WithEtc(t, path, map[string]string{"opencode/opencode.json": `{"enabled_providers":["anthropic"],` +
		`"provider":{"anthropic":{"options":{"apiKey":"hunter2","baseURL":"` + s.URL() + `"}}}}`})
	home := t.TempDir()
	t.Setenv("HOME", home)
	agenttest.Write(t, home, map[string]string{
		".local/share/opencode/auth.json": `{"anthropic":{"type":"api","key":"hunter2-of-the-file"}}`,
		".config/opencode/opencode.json":  `{"provider":{"anthropic":{"options":{"apiKey":"hunter2-of-the-settings"}}}}`})
	t.Setenv("ANTHROPIC_API_KEY", "hunter2-key")
	t.Setenv("ANTHROPIC_BASE_URL", s.URL())
	t.Setenv("HTTPS_PROXY", "http://user:hunter2-key@127.0.0.1:1")
	t.Setenv("https_proxy", "http://user:hunter2-key@127.0.0.1:1")
	r := stubRun{agent.Settings{Path: path, StateDir: t.TempDir(), BaseURL: s.URL(), Model: "anthropic/claude-haiku-4-5"}}
	var seen func() []string
	tapped := stubtest.ProberFunc(func(ctx context.Context) (probe.Facts, error) {
		return stub.Run(ctx, r.Settings, stub.Messages(), func(s *stub.Server) (execprobe.Process, string, error) {
			seen = stubtest.Tap(s)
			return r.command(s)
		}, readReport)
	})
	if got := probetest.DoRun(t, tapped, liveTimeout); !got.OK() || got.Output != "OK" || got.Tokens != nil {
		t.Errorf("got %v %q, output %q, tokens %v", got.Class, got.Why, got.Output, got.Tokens)
	}
	if got := s.Requests(); len(got) != 0 {
		t.Errorf("the service got %d requests, want none: %+v", len(got), got)
	}
	if got := seen(); len(got) != 1 || !strings.Contains(got[0], "/v1/messages") || strings.Contains(got[0], "hunter2") {
		t.Errorf("the stub got %q, want one turn without the user's credentials", got)
	}
}

// TestStubOfAProgramThatFails: the stub run fails with the installation, and says that it got no request.
func TestStubOfAProgramThatFails(t *testing.T) {
	t.Parallel()
	program := probetest.Script(t, 0o755, "#!/bin/sh\necho Error: lost >&2\nexit 3\n")
	r := probetest.DoRun(t, stubRun{agent.Settings{Path: program[0], StateDir: t.TempDir()}}, liveTimeout)
	if r.Class != probe.ExecUnexpectedExit || !strings.Contains(r.Why, "Error: lost") || !strings.Contains(r.Why, "got no request") {
		t.Errorf("got %v %q, want %v", r.Class, r.Why, probe.ExecUnexpectedExit)
	}
}
