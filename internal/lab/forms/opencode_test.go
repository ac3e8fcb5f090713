package forms

import (
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"netwatchd/internal/lab/parts"
	"netwatchd/internal/lab/responses"
)

// An opencodeForm is one way in which opencode is signed in and told where its provider is.
type opencodeForm struct {
	name  string
	files map[string]string // below the home directory
	env   []string
	key   string // that only the provider may see

	turns, probed string // the URLs of the agent's requests, and of our probe
}

const (
	opencodeKey      = "sk-ant-lab-opencode"
	opencodeSettings = ".config/opencode/opencode.json"
)

// opencodeForms are run with a real opencode. The other forms are in the tests of internal/agent/opencode: a run takes
// six seconds of CPU.
var opencodeForms = []opencodeForm{
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
func (n *internet) opencodeUser(f opencodeForm) *user {
	n.t.Helper()
	dir, err := filepath.Abs(filepath.Join("../../../.cache/opencode", parts.OpencodeVersion, "node_modules/.bin"))
	n.must(err)
	if _, err := os.Stat(filepath.Join(dir, "opencode")); err != nil {
		n.t.Skipf("needs opencode %s: make opencode", parts.OpencodeVersion)
	}
	for path, text := range f.files {
		n.write(filepath.Join(userHome, path), text)
	}
	return &user{n, dir, append([]string{"NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt"}, f.env...)}
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
func (u *user) agentsTurns(f opencodeForm) {
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

// opencodeFaults are faults, and what netwatchd must report of each with a key in the environment.
var opencodeFaults = []struct {
	name     string
	inject   func(n *internet)
	settings string // in place of the form's; empty: the form's
	// runs: only a run of the agent shows it. It is played with -matrix alone: a run takes six seconds of CPU, and the
	// tests of internal/agent/opencode make three.
	runs         bool
	cause, class string
}{
	{name: "the resolver answers NXDOMAIN", inject: func(n *internet) { n.missing.Store(anthropic, true) },
		cause: "resolver", class: "dns.name_not_resolved"},
	{name: "the provider refuses connections", inject: func(n *internet) {
		n.filter("ip daddr "+addresses[anthropic][0]+" tcp dport 443 reject with tcp reset",
			"ip6 daddr "+addresses[anthropic][1]+" tcp dport 443 reject with tcp reset")
	}, cause: "upstream", class: "tcp.refused"},
	{name: "the provider answers 503", inject: func(n *internet) {
		n.answerFor(func(*http.Request) bool { return true }, http.StatusServiceUnavailable, "text/plain", "Service Unavailable")
	}, cause: "upstream", class: "http.server_error"},
	{name: "the provider's TLS is inspected", inject: func(n *internet) { n.signedBy.Store(anthropic, n.stranger) },
		cause: "interception", class: "tls.cert.authority_invalid"},
	{name: "the CDN answers with a challenge", inject: func(n *internet) {
		n.answerFor(func(*http.Request) bool { return true }, http.StatusForbidden, "text/html",
			"<!DOCTYPE html><html><head><title>Just a moment...</title></head></html>", "Cf-Mitigated", "challenge", "Server", "cloudflare")
	}, cause: "edge_blocked", class: "http.edge_blocked"},
	{name: "a base URL where nothing listens", inject: func(*internet) {},
		settings: `{"provider":{"anthropic":{"options":{"baseURL":"http://127.0.0.1:4000/v1"}}}}`,
		cause:    "proxy", class: "proxy.refused"},
	{name: "the provider rejects the key", runs: true, inject: func(n *internet) { n.mock.Behave(responses.Unauthorized) },
		cause: "account", class: "exec.unauthorized"},
	{name: "turns have no end", runs: true, inject: func(n *internet) { n.mock.Behave(responses.Cut) },
		cause: "stream", class: "exec.stream_cut"},
	{name: "the credit is used up", runs: true, inject: func(n *internet) { n.mock.Behave(responses.UsageLimit) },
		cause: "account", class: "exec.usage_limit"},
	{name: "turns are overloaded", runs: true, inject: func(n *internet) { n.mock.Behave(responses.Unavailable) },
		cause: "upstream", class: "exec.overloaded"},
	{name: "no such model", runs: true, inject: func(n *internet) { n.mock.Behave(responses.ModelRefused) },
		cause: "agent", class: "exec.model_rejected"},
}

func TestOpencodeFaults(t *testing.T) {
	t.Parallel()
	f := opencodeForms[1]
	for _, fault := range opencodeFaults {
		if fault.runs && !*matrix {
			continue
		}
		t.Run(fault.name, func(t *testing.T) {
			t.Parallel()
			n := newInternet(t)
			u := n.opencodeUser(f)
			if fault.settings != "" {
				n.write(filepath.Join(userHome, opencodeSettings), fault.settings)
			}
			fault.inject(n)
			command := []string{"check"}
			if fault.runs {
				command = runOnce
			}
			v, e := u.verdict(command...)
			t.Logf("%s by %s, %s, in %v: %s", v.Cause, v.decisive(), v.Severity, e.took, v.Title)
			if v.Cause != fault.cause || v.decisive() != fault.class {
				t.Errorf("%s by %s (%s), want %s by %s: %+v", v.Cause, v.decisive(), v.Title, fault.cause, fault.class, v.Evidence)
			}
			if strings.Contains(e.stdout+e.stderr, opencodeKey) {
				t.Errorf("the key is shown:\n%s%s", e.stdout, e.stderr)
			}
			// Left alone, opencode repeats a turn without an end more than 300 times.
			if got := len(turns(u.requests())); got > 20 {
				t.Errorf("%d turns", got)
			}
		})
	}
}
