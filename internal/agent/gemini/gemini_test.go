package gemini

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"netwatchd/internal/agent"
	"netwatchd/internal/agent/agenttest"
	"netwatchd/internal/probe"
	"netwatchd/internal/probe/execprobe"
)

// TestRecordings replays every recorded run through the failure table.
func TestRecordings(t *testing.T) {
	agenttest.Replay(t, "gemini", "0.61.0", readReport)
}

func TestEndpoint(t *testing.T) {
	settings := func(kind string) map[string]string {
		return map[string]string{"settings.json": `{"security":{"auth":{"selectedType":"` + kind + `"}}}`}
	}
	for name, test := range map[string]struct {
		files        map[string]string
		env          []string
		base, origin string
		mode         agent.Mode
		answer       int
	}{
		"nobody": {base: keyBaseURL, origin: "the default", mode: agent.SignedOut, answer: keyAnswer},
		"a key":  {env: []string{"GEMINI_API_KEY=secret"}, base: keyBaseURL, origin: "the default", mode: agent.APIKey, answer: keyAnswer},
		"a key in .env": {files: map[string]string{".env": "GEMINI_API_KEY=secret\n"}, base: keyBaseURL, origin: "the default",
			mode: agent.APIKey, answer: keyAnswer},
		"a sign-in": {files: map[string]string{"oauth_creds.json": `{"access_token":"secret"}`}, base: loginBaseURL, origin: "the default",
			mode: agent.GoogleSignIn, answer: loginAnswer},
		"a base URL": {env: []string{"GEMINI_API_KEY=secret", "GOOGLE_GEMINI_BASE_URL=http://u:secret@127.0.0.1:4000/"},
			base: "http://127.0.0.1:4000", origin: "GOOGLE_GEMINI_BASE_URL", mode: agent.APIKey},
		"Vertex": {files: settings("vertex-ai"), origin: "settings.json, security.auth.selectedType", mode: agent.ProviderCredentials},
		"settings with comments": {files: map[string]string{"settings.json": "// mine\n{}"}, base: keyBaseURL, origin: "the default",
			mode: agent.SignedOut, answer: keyAnswer},
	} {
		s := setup{dir: t.TempDir(), env: test.env}
		for file, text := range test.files {
			if err := os.WriteFile(filepath.Join(s.dir, file), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		e := s.endpoint()
		base := ""
		if e.BaseURL != nil {
			base = e.BaseURL.String()
		}
		if base != test.base || !strings.HasSuffix(e.Origin(), test.origin) || e.Mode != test.mode || e.Answer != test.answer ||
			strings.Contains(fmt.Sprint(e.Notes, e.Origin(), base), "secret") {
			t.Errorf("%s: %s because of %s, %s, answer %d, notes %q", name, base, e.Origin(), e.Mode, e.Answer, e.Notes)
		}
	}
}

// TestReachOfDotenv: gemini takes its proxy from its .env, but node does not take its CA from there.
func TestReachOfDotenv(t *testing.T) {
	s := setup{dir: t.TempDir()}
	text := "HTTPS_PROXY=http://p.test:1\nNODE_EXTRA_CA_CERTS=/ca.pem\nNODE_TLS_REJECT_UNAUTHORIZED=0\n"
	if err := os.WriteFile(filepath.Join(s.dir, ".env"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	want := []string{"HTTPS_PROXY=http://p.test:1", "NODE_TLS_REJECT_UNAUTHORIZED=0"}
	if e := s.endpoint(); !slices.Equal(e.Reach, want) {
		t.Errorf("got %q, want %q", e.Reach, want)
	}
}

// TestRequests: gemini reports its requests, of every model.
func TestRequests(t *testing.T) {
	var facts probe.Facts
	readReport(execprobe.ExitState{Stdout: `{"response":"OK","stats":{"models":{"a":{"api":{"totalRequests":2}},"b":{"api":{"totalRequests":1}}}}}`}).Fill(&facts)
	if facts.Requests != 3 || facts.CostUSD != nil {
		t.Errorf("got %d requests, cost %v", facts.Requests, facts.CostUSD)
	}
}
