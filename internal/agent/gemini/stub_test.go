package gemini

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
	path := probetest.Installed(t, "gemini", "0.61.0")
	s := responses.Start()
	defer s.Close()
	s.Behave(responses.StallHeaders)
	path = stubtest.WithEtc(t, path, map[string]string{"gemini-cli/settings.json": `{"security":{"auth":{` +
		`"selectedType":"oauth-personal","enforcedType":"oauth-personal"}}}`})
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv(homeVariable, "")
	probetest.WriteFiles(t, home, map[string]string{".gemini/.env": "GEMINI_API_KEY=hunter2-of-the-file\n",
		".gemini/settings.json": `{"security":{"auth":{"selectedType":"oauth-personal"}}}`})
	t.Setenv("GEMINI_API_KEY", "hunter2-key")
	t.Setenv("GOOGLE_GEMINI_BASE_URL", s.URL())
	t.Setenv("HTTPS_PROXY", "http://user:hunter2-key@127.0.0.1:1")
	t.Setenv("https_proxy", "http://user:hunter2-key@127.0.0.1:1")
	r := stubRun{agent.Settings{Path: path, StateDir: t.TempDir(), BaseURL: s.URL()}}
	stubtest.Live(t, liveTimeout, r.Settings, stub.Gemini(), ":streamGenerateContent", r.command, readReport)
	if got := s.Requests(); len(got) != 0 {
		t.Errorf("the service got %d requests, want none: %+v", len(got), got)
	}
}

func TestStubOfAProgramThatFails(t *testing.T) {
	t.Parallel()
	stubtest.OfAProgramThatFails(t, liveTimeout, Agent().Stub)
}
