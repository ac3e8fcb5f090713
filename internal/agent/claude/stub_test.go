package claude

import (
	"testing"

	"netwatchd/internal/agent"
	"netwatchd/internal/agent/stub"
	"netwatchd/internal/agent/stub/stubtest"
	"netwatchd/internal/lab/responses"
	"netwatchd/internal/probe/probetest"
)

// TestStubLive runs the real program against the stub while its service does not answer. The run succeeds, requests
// nothing of anyone else, and sends nothing of the user's or the administrator's.
func TestStubLive(t *testing.T) {
	path := probetest.Installed(t, "claude", "2.1.332")
	s := responses.Start()
	defer s.Close()
	s.Behave(responses.StallHeaders)
	path = stubtest.WithEtc(t, path, map[string]string{"claude-code/managed-settings.json": `{"apiKeyHelper":"echo hunter2",` +
		`"env":{"ANTHROPIC_BASE_URL":"` + s.URL() + `","ANTHROPIC_AUTH_TOKEN":"hunter2","ANTHROPIC_API_KEY":"hunter2",` +
		`"HTTPS_PROXY":"` + s.URL() + `","HTTP_PROXY":"` + s.URL() + `","NO_PROXY":""}}`})
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv(configDir, "")
	probetest.WriteFiles(t, home, map[string]string{
		".claude/.credentials.json": `{"claudeAiOauth":{"accessToken":"hunter2-token","refreshToken":"hunter2-refresh"}}`,
		".claude/settings.json":     `{"env":{"ANTHROPIC_AUTH_TOKEN":"hunter2-token"}}`})
	t.Setenv("ANTHROPIC_API_KEY", "hunter2-key")
	t.Setenv("ANTHROPIC_BASE_URL", s.URL())
	t.Setenv("HTTPS_PROXY", "http://user:hunter2-key@127.0.0.1:1")
	t.Setenv("https_proxy", "http://user:hunter2-key@127.0.0.1:1")
	r := stubRun{agent.Settings{Path: path, StateDir: t.TempDir(), BaseURL: s.URL()}}
	stubtest.Live(t, liveTimeout, r.Settings, stub.Messages(), "/v1/messages", r.command, readReport)
	if got := s.Requests(); len(got) != 0 {
		t.Errorf("the service got %d requests, want none: %+v", len(got), got)
	}
}

func TestStubOfAProgramThatFails(t *testing.T) {
	t.Parallel()
	stubtest.OfAProgramThatFails(t, liveTimeout, Agent().Stub)
}
