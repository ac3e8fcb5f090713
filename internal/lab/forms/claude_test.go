package forms

import (
	"encoding/json"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"netwatchd/internal/lab/parts"
)

const (
	claudeKey   = "sk-ant-lab-key"
	claudeToken = "sk-ant-oat01-lab-token"
	claudeTurns = "https://" + anthropic + "/v1/messages"
	claudeHello = "https://" + anthropic + "/api/hello"
	claudeLogin = `{"claudeAiOauth":{"accessToken":"` + claudeToken + `","refreshToken":"sk-ant-ort01-lab","expiresAt":4102444800000,` +
		`"scopes":["user:inference"],"subscriptionType":"pro"}}`
)

var claudeForms = []agentForm{
	{name: "API key", env: []string{"ANTHROPIC_API_KEY=" + claudeKey}, key: claudeKey, turns: claudeTurns, probed: claudeHello},
	{name: "sign-in", files: map[string]string{".claude/.credentials.json": claudeLogin}, key: claudeToken,
		turns: claudeTurns, probed: claudeHello},
	{name: "gateway in the settings", files: map[string]string{".claude/settings.json": `{"env":{"ANTHROPIC_BASE_URL":"https://` + gateway +
		`/llm","ANTHROPIC_AUTH_TOKEN":"lab-gateway-token"}}`}, env: []string{"ANTHROPIC_BASE_URL=https://" + custom},
		key: "lab-gateway-token", turns: "https://" + gateway + "/llm/v1/messages", probed: "https://" + gateway + "/llm/v1/messages"},
	{name: "helper", files: map[string]string{".claude/settings.json": `{"apiKeyHelper":"echo ` + claudeKey + `"}`}, key: claudeKey,
		turns: claudeTurns, probed: claudeHello},
}

// TestClaudeHealthy: without a configuration netwatchd watches where claude sends its requests, and sends its key nowhere
// else.
func TestClaudeHealthy(t *testing.T) {
	t.Parallel()
	for _, f := range claudeForms {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			n := newInternet(t)
			u := n.agentUser(parts.Claude(t), f)
			e := u.run("claude", "-p", "Say OK", "--output-format", "json")
			theirs := u.requests()
			if e.code != 0 || !strings.Contains(e.stdout, `"is_error":false`) {
				t.Fatalf("the agent: exit code %d after requests to %v\n%s%s", e.code, urls(theirs), e.stdout, e.stderr)
			}
			if got := urls(turns(theirs)); !slices.Equal(got, []string{f.turns}) {
				t.Errorf("the agent's turns went to %v, want %s", got, f.turns)
			}
			var ours []request
			for _, command := range [][]string{{"check"}, runOnce} {
				v, e := u.verdict(command...)
				if v.Service != "claude" || v.Cause != "healthy" || e.code != 0 {
					t.Errorf("%v: %s is %s (%s), exit code %d: %+v", command, v.Service, v.Cause, v.Title, e.code, v.Evidence)
				}
				made := u.requests()
				if got := urls(probes(made)); !slices.Equal(got, []string{f.probed}) {
					t.Errorf("%v probes %v, want %s", command, got, f.probed)
				}
				ours = append(ours, made...)
			}
			if got := urls(turns(ours)); !slices.Equal(got, []string{f.turns}) {
				t.Errorf("the turns of our run went to %v, those of the agent to %s", got, f.turns)
			}
			allowed := hostsWith(turns(theirs), f.key)
			for _, name := range hostsWith(ours, f.key) {
				if !slices.Contains(allowed, name) {
					t.Errorf("the key was sent to %s: claude sends it to %v", name, allowed)
				}
			}
			for _, r := range probes(ours) {
				if strings.Contains(r.text, f.key) {
					t.Errorf("a probe sent the key: %s %s", r.Method, r.URL)
				}
			}
		})
	}
}

func TestClaudeFaults(t *testing.T) {
	t.Parallel()
	stale := agentFault{name: "a base URL where nothing listens", inject: func(*internet) {},
		env: []string{"ANTHROPIC_BASE_URL=http://127.0.0.1:4000"}, cause: "proxy", class: "proxy.refused"}
	for _, fault := range append(slices.Clone(anthropicFaults), stale) {
		t.Run(fault.name, func(t *testing.T) {
			t.Parallel()
			n := newInternet(t)
			fault.play(n.agentUser(parts.Claude(t), claudeForms[0]), claudeKey)
		})
	}
}

// TestTwoAgents: each agent is a service of its own, with one round of controls for both.
func TestTwoAgents(t *testing.T) {
	t.Parallel()
	n := newInternet(t)
	f := forms[0] // codex with an API key
	n.install(f, usual)
	u := n.user(f, usual)
	u.codex += ":" + filepath.Dir(parts.Claude(t))
	u.env = append(slices.Clone(u.env), "ANTHROPIC_API_KEY="+claudeKey)
	causes := func() map[string]string {
		e := u.netwatchd("check", "--json")
		var s struct{ Services []verdict }
		if err := json.Unmarshal([]byte(e.stdout), &s); err != nil {
			t.Fatalf("%v: %s%s", err, e.stdout, e.stderr)
		}
		found := make(map[string]string)
		for _, v := range s.Services {
			found[v.Service] = v.Cause
		}
		return found
	}
	if got := causes(); len(got) != 2 || got["codex"] != "healthy" || got["claude"] != "healthy" {
		t.Errorf("got %v, want both healthy", got)
	}
	// Each agent that is asked about itself may send its own key to its own service.
	asked := u.requests()
	if got := append(hostsWith(asked, claudeKey), hostsWith(asked, apiKey)...); slices.ContainsFunc(hostsWith(asked, claudeKey),
		func(name string) bool { return name != anthropic }) || slices.ContainsFunc(hostsWith(asked, apiKey),
		func(name string) bool { return name != api }) {
		t.Errorf("keys were sent to %v", got)
	}
	n.answerFor(func(r *http.Request) bool { return r.Host == anthropic }, http.StatusServiceUnavailable, "text/plain", "down")
	if got := causes(); got["codex"] != "healthy" || got["claude"] != "upstream" {
		t.Errorf("claude's service is down: got %v", got)
	}
}
