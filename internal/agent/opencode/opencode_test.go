package opencode

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"netwatchd/internal/agent"
	"netwatchd/internal/agent/agenttest"
	"netwatchd/internal/probe"
	"netwatchd/internal/probe/execprobe"
	"netwatchd/internal/probe/probetest"

	"github.com/google/go-cmp/cmp"
)

// TestRecordings replays every recorded run through the failure table.
func TestRecordings(t *testing.T) {
	agenttest.Replay(t, "opencode", "1.18.33", readReport)
}

// withFiles writes files below the home directory, the administrator's below etc/, and returns what opencode sees with
// them.
func withFiles(t *testing.T, files map[string]string, env ...string) setup {
	t.Helper()
	home := t.TempDir()
	probetest.WriteFiles(t, home, files)
	s := setupOf(agent.Settings{Home: home})
	s.managed, s.env = filepath.Join(home, "etc"), env
	return s
}

const (
	settingsJSON  = ".config/opencode/opencode.json"
	settingsJSONC = ".config/opencode/opencode.jsonc"
	authJSON      = ".local/share/opencode/auth.json"
	recentJSON    = ".local/state/opencode/model.json"

	anthropicKey   = `{"anthropic":{"type":"api","key":"secret"}}`
	anthropicModel = `{"model":"anthropic/claude-haiku-4-5"}`
	staleProxy     = `{"model":"anthropic/x","provider":{"anthropic":{"options":{"baseURL":"http://127.0.0.1:4000/v1"}}}}`
	gatewayJSONC   = "{ // mine\n\"provider\": {\"mine\": {\"npm\": \"@ai-sdk/openai-compatible\", \"options\": {" +
		"\"baseURL\": \"https://{env:GATEWAY}/v1/?key=secret\", \"apiKey\": \"{file:key}\",},},},}"
)

func TestEndpoint(t *testing.T) {
	for name, test := range map[string]struct {
		files  map[string]string
		env    []string
		base   string // with the path of the probe
		from   string // the end of the origin
		mode   agent.Mode
		answer int
		note   string
	}{
		"nobody": {base: "https://opencode.ai/zen/v1/models", from: "the default", mode: agent.SignedOut},
		"a model without a key": {files: map[string]string{settingsJSON: anthropicModel}, answer: 401,
			base: "https://api.anthropic.com/v1/models", from: "the default", mode: agent.SignedOut},
		"a key in auth.json": {files: map[string]string{authJSON: anthropicKey}, answer: 401,
			base: "https://api.anthropic.com/v1/models", from: "the default", mode: agent.APIKey},
		"a key in the environment": {env: []string{"GEMINI_API_KEY=secret"}, answer: 403,
			base: "https://generativelanguage.googleapis.com/v1beta/models", from: "the default", mode: agent.APIKey},
		"two keys, the settings choose": {files: map[string]string{authJSON: anthropicKey, settingsJSON: `{"model":"openai/gpt-5.5"}`},
			env: []string{"OPENAI_API_KEY=secret"}, base: "https://api.openai.com/v1/models", from: "the default",
			mode: agent.APIKey, answer: 401},
		"two keys, the last choice": {files: map[string]string{authJSON: anthropicKey,
			recentJSON: `{"recent":[{"providerID":"groq","modelID":"a"},{"providerID":"openai","modelID":"gpt-5.5"}]}`},
			env: []string{"OPENAI_API_KEY=secret"}, base: "https://api.openai.com/v1/models", from: "the default",
			mode: agent.APIKey, answer: 401},
		"a ChatGPT sign-in": {files: map[string]string{authJSON: `{"openai":{"type":"oauth","refresh":"secret","access":"secret",` +
			`"expires":4102444800000}}`}, base: "https://chatgpt.com/backend-api/codex/responses", from: "the default",
			mode: agent.ProviderCredentials},
		"a base URL in the environment": {files: map[string]string{authJSON: anthropicKey},
			env: []string{"ANTHROPIC_BASE_URL=http://u:secret@127.0.0.1:4000/v1"}, base: "http://127.0.0.1:4000/v1/models",
			from: "ANTHROPIC_BASE_URL", mode: agent.APIKey},
		"a stale local proxy": {files: map[string]string{settingsJSON: staleProxy}, base: "http://127.0.0.1:4000/v1/models",
			from: "/" + settingsJSON + ", provider.anthropic.options.baseURL", mode: agent.ProviderCredentials},
		"a gateway, with comments and references": {files: map[string]string{settingsJSONC: gatewayJSONC,
			".config/opencode/key": "secret\n"}, env: []string{"GATEWAY=gateway.test"}, base: "https://gateway.test/v1/models",
			from: "/" + settingsJSONC + ", provider.mine.options.baseURL", mode: agent.APIKey},
		"a later file wins": {files: map[string]string{settingsJSON: staleProxy,
			settingsJSONC: `{"provider":{"anthropic":{"options":{"baseURL":"https://office.test/v1"}}}}`},
			base: "https://office.test/v1/models", from: "/" + settingsJSONC + ", provider.anthropic.options.baseURL",
			mode: agent.ProviderCredentials},
		"the administrator before the user": {files: map[string]string{settingsJSON: staleProxy,
			"etc/opencode.json": `{"provider":{"anthropic":{"options":{"baseURL":"https://office.test/v1"}}}}`},
			base: "https://office.test/v1/models", from: "/etc/opencode.json, provider.anthropic.options.baseURL",
			mode: agent.ProviderCredentials},
		"a disabled provider": {files: map[string]string{authJSON: anthropicKey,
			settingsJSON: `{"model":"anthropic/x","disabled_providers":["anthropic"]}`}, answer: 401,
			base: "https://api.anthropic.com/v1/models", from: "the default", mode: agent.SignedOut},
		"Bedrock": {files: map[string]string{settingsJSON: `{"model":"amazon-bedrock/x"}`},
			env: []string{"AWS_BEARER_TOKEN_BEDROCK=secret"}, from: "the provider amazon-bedrock", mode: agent.APIKey,
			note: "only runs of opencode test it"},
		"a provider that is not known": {files: map[string]string{settingsJSON: `{"model":"new-one/x"}`},
			env: []string{"NEW_ONE_API_KEY=secret"}, from: "the provider new-one", mode: agent.APIKey,
			note: "only runs of opencode test it"},
		"settings that are no JSON": {files: map[string]string{settingsJSON: "{,", authJSON: anthropicKey}, answer: 401,
			base: "https://api.anthropic.com/v1/models", from: "the default", mode: agent.APIKey, note: "is not valid JSON"},
		"settings of another shape": {files: map[string]string{settingsJSON: `{"model":7,"provider":{"anthropic":["a"],"x":{"options":3}}}`,
			authJSON: anthropicKey}, answer: 401, base: "https://api.anthropic.com/v1/models", from: "the default", mode: agent.APIKey},
		"settings that are a list": {files: map[string]string{settingsJSON: `["a"]`, authJSON: anthropicKey}, answer: 401,
			base: "https://api.anthropic.com/v1/models", from: "the default", mode: agent.APIKey, note: "is not valid JSON"},
	} {
		e := withFiles(t, test.files, test.env...).endpoint()
		base := ""
		if e.BaseURL != nil {
			base = e.BaseURL.JoinPath(e.ProbePath).String()
		}
		notes := strings.Join(e.Notes, "; ")
		if base != test.base || !strings.HasSuffix(e.Origin(), test.from) || e.Mode != test.mode || e.Answer != test.answer ||
			e.KnownAnswer != (test.answer != 0) || !strings.Contains(notes, test.note) || (notes == "") != (test.note == "") {
			t.Errorf("%s: %s because of %s, %s, answer %d, notes %q", name, base, e.Origin(), e.Mode, e.Answer, notes)
		}
		if strings.Contains(fmt.Sprint(notes, e.Origin(), e.BaseURL), "secret") {
			t.Errorf("%s: a secret is shown: %q %s %s", name, notes, e.Origin(), e.BaseURL)
		}
	}
}

// TestFilesThatNeverEnd: opencode would wait at a named pipe; we do not.
func TestFilesThatNeverEnd(t *testing.T) {
	s := withFiles(t, map[string]string{authJSON: anthropicKey, ".config/opencode/x": ""})
	if err := syscall.Mkfifo(filepath.Join(s.home, settingsJSON), 0o600); err != nil {
		t.Fatal(err)
	}
	if e := s.endpoint(); !strings.Contains(strings.Join(e.Notes, ""), "named pipe") || e.BaseURL == nil {
		t.Errorf("got %+v", e.Endpoint)
	}
}

// TestOwnSettings: a run has the provider as the user has it, and nothing else of the user's settings.
func TestOwnSettings(t *testing.T) {
	s := withFiles(t, map[string]string{".config/opencode/key": "the-key", settingsJSONC: gatewayJSONC,
		settingsJSON: `{"model":"mine/m","mcp":{"jira":{}},"plugin":["p"],"provider":{"mine":{"models":{"m":{}}},"other":{}}}`},
		"GATEWAY=gateway.test", "OTHER_API_KEY=secret", "MINE_API_KEY=for-mine")
	s.BaseURL = "http://127.0.0.1:1/v1"
	e := s.endpoint()
	text, err := json.Marshal(e.ownSettings(s)["provider"])
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"mine":{"models":{"m":{}},"npm":"@ai-sdk/openai-compatible","options":{"apiKey":"the-key",` +
		`"baseURL":"http://127.0.0.1:1/v1"}}}`
	if string(text) != want {
		t.Errorf("got %s, want %s", text, want)
	}
	own, err := json.Marshal(e.ownSettings(s))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(own), "mcp") || strings.Contains(string(own), "plugin") {
		t.Errorf("more than the provider: %s", own)
	}
	if got := s.passed(e); !slices.Equal(got, []string{"MINE_API_KEY=for-mine"}) {
		t.Errorf("variables: %q", got)
	}
}

// TestRenewal: a sign-in that could not be saved again is not used.
func TestRenewal(t *testing.T) {
	path := filepath.Join(t.TempDir(), "no-such-file")
	now := time.Now()
	if err := program.CanRenew(path, now.Add(time.Hour), now); err != nil {
		t.Errorf("not due: %v", err)
	}
	if err := program.CanRenew(path, now.Add(time.Minute), now); probe.Classify(probe.Executing, err) != probe.ExecHomeUnwritable {
		t.Errorf("due: %v", err)
	}
}

// TestEndAt: the lines at which a run is ended.
func TestEndAt(t *testing.T) {
	for line, want := range map[string]string{
		`{"type":"step_start","part":{"type":"step-start"}}`:                                                             "",
		`{"type":"step_finish","part":{"reason":"stop"}}`:                                                                "",
		`{"type":"step_finish","part":{"reason":"unknown"}}`:                                                             "0s",
		`{"type":"step_finish","part":{}}`:                                                                               "0s",
		`{"type":"error","error":{"name":"APIError","data":{"message":"m"}}}`:                                            "0s",
		`{"type":"text","part":{"text":"{\"type\":\"error\",\"error\":{}} level=ERROR x error.error=\"AI_X: y\""}}`:      "",
		`timestamp=2026-11-27T17:29:47.848Z level=ERROR run=a message="stream error" error.error="AI_APICallError: Bad"`: "1.5s",
		`timestamp=2026-11-27T17:29:47.848Z level=INFO run=a message="level=ERROR"`:                                      "",
	} {
		after, end := endAt(line)
		got := ""
		if end {
			got = after.String()
		}
		if got != want {
			t.Errorf("%s: got %q, want %q", line, got, want)
		}
	}
}

// TestCost: the costs of the steps are added. An opencode that reports none leaves it out.
func TestCost(t *testing.T) {
	for text, want := range map[string]*float64{`,"cost":0.25`: new(0.5), "": nil} {
		step := `{"type":"step_finish","part":{"reason":"stop"` + text + "}}\n"
		var facts probe.Facts
		readReport(execprobe.ExitState{Stdout: step + step}).Fill(&facts)
		if !cmp.Equal(facts.CostUSD, want) {
			t.Errorf("%q: got %v", text, facts.CostUSD)
		}
	}
}
