package forms

import (
	"slices"
	"strings"
	"testing"

	"netwatchd/internal/lab/parts"
)

const (
	opencodeKey      = "sk-ant-lab-opencode"
	opencodeSettings = ".config/opencode/opencode.json"
)

// opencodeForms are run with a real opencode. The other forms are in the tests of internal/agent/opencode: a run takes
// six seconds of CPU.
var opencodeForms = []agentForm{
	{name: "gateway in the settings, key in auth.json", files: map[string]string{
		".local/share/opencode/auth.json": `{"anthropic":{"type":"api","key":"` + opencodeKey + `"}}`,
		".config/opencode/opencode.jsonc": "{ // ours\n\"model\": \"anthropic/claude-haiku-4-5\",\n" +
			`"provider": {"anthropic": {"options": {"baseURL": "https://` + gateway + `/llm/v1"}}},}`,
	}, key: opencodeKey, turns: "https://" + gateway + "/llm/v1/messages", probed: "https://" + gateway + "/llm/v1/models"},
	{name: "key in the environment", files: map[string]string{opencodeSettings: `{"model":"anthropic/claude-haiku-4-5"}`},
		env: []string{"ANTHROPIC_API_KEY=" + opencodeKey}, key: opencodeKey,
		turns: claudeTurns, probed: "https://" + anthropic + "/v1/models"},
}

// opencodeUser is a user with opencode alone. Bun does not trust this host's authorities by itself.
func (n *internet) opencodeUser(f agentForm) *user {
	n.t.Helper()
	u := n.agentUser(parts.Opencode(n.t), f)
	u.env = append([]string{"NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt"}, u.env...)
	return u
}

// opencodeProbes are the requests of netwatchd's own probe.
func opencodeProbes(all []request) []request {
	return slices.DeleteFunc(slices.Clone(all), func(r request) bool { return !strings.HasSuffix(r.URL, "/models") })
}

// TestOpencodeHealthy: without a configuration netwatchd watches where opencode sends its requests, and sends its key
// nowhere else. opencode itself is only run with the first form, or with -matrix.
func TestOpencodeHealthy(t *testing.T) {
	t.Parallel()
	for i, f := range opencodeForms {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			n := newInternet(t)
			u := n.opencodeUser(f)
			command := []string{"check"}
			if i == 0 || *matrix {
				u.agentsTurns(f)
				command = runOnce
			}
			v, e := u.verdict(command...)
			if v.Service != "opencode" || v.Cause != "healthy" || e.code != 0 {
				t.Errorf("%v: %s is %s (%s), exit code %d: %+v", command, v.Service, v.Cause, v.Title, e.code, v.Evidence)
			}
			ours := u.requests()
			if got := urls(opencodeProbes(ours)); !slices.Equal(got, []string{f.probed}) {
				t.Errorf("%v probes %v, want %s", command, got, f.probed)
			}
			for _, r := range ours {
				if isTurn := r.URL == f.turns; strings.Contains(r.text, f.key) != isTurn {
					t.Errorf("the key in %s %s: %t", r.Method, r.URL, !isTurn)
				}
			}
		})
	}
}

// agentsTurns runs opencode as the user would, and checks where its turns go.
func (u *user) agentsTurns(f agentForm) {
	u.t.Helper()
	plain := u.env
	u.env = append(slices.Clone(u.env), "OPENCODE_DISABLE_MODELS_FETCH=1", "OPENCODE_DISABLE_AUTOUPDATE=1")
	e := u.run("opencode", "run", "--format", "json", "--title", "lab", "Say OK")
	u.env = plain
	all := u.requests()
	if e.code != 0 || !strings.Contains(e.stdout, `"reason":"stop"`) {
		u.t.Fatalf("the agent: exit code %d after requests to %v\n%s%s", e.code, urls(all), e.stdout, e.stderr)
	}
	if got := urls(turns(all)); !slices.Equal(got, []string{f.turns}) {
		u.t.Errorf("the agent's turns went to %v, want %s", got, f.turns)
	}
}

// TestOpencodeFaults plays the faults that only a run shows with -matrix alone: a run takes six seconds of CPU, and the
// tests of internal/agent/opencode make three.
func TestOpencodeFaults(t *testing.T) {
	t.Parallel()
	stale := agentFault{name: "a base URL where nothing listens", inject: func(*internet) {},
		files: map[string]string{opencodeSettings: `{"provider":{"anthropic":{"options":{"baseURL":"http://127.0.0.1:4000/v1"}}}}`},
		cause: "proxy", class: "proxy.refused"}
	for _, fault := range append(slices.Clone(anthropicFaults), stale) {
		if fault.runs && !*matrix {
			continue
		}
		t.Run(fault.name, func(t *testing.T) {
			t.Parallel()
			u := newInternet(t).opencodeUser(opencodeForms[1])
			fault.play(u, opencodeKey)
			// Left alone, opencode repeats a turn without an end more than 300 times.
			if got := len(turns(u.requests())); got > 20 {
				t.Errorf("%d turns", got)
			}
		})
	}
}
