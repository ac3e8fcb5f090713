package plan

import (
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"netwatchd/internal/causes"
	"netwatchd/internal/clientrules"
	"netwatchd/internal/config"
	"netwatchd/internal/diagnose"
	"netwatchd/internal/probe"
	"netwatchd/internal/probe/httpprobe"
)

// codexHome writes the files of a user's CODEX_HOME and selects it.
func codexHome(t *testing.T, files map[string]string) string {
	t.Helper()
	fakeCodex(t, "0.169.0")
	home := t.TempDir()
	t.Setenv("CODEX_HOME", home)
	t.Setenv("CODEX_API_KEY", "")
	t.Setenv("CODEX_CA_CERTIFICATE", "")
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(home, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return home
}

func targets(p *Plan) []string {
	var all []string
	for _, task := range p.Services[0].Tasks {
		all = append(all, task.Name+" "+task.Target)
	}
	return all
}

const chatGPT = `{"auth_mode":"chatgpt","tokens":{"access_token":"secret"}}`

const apiKey = `{"OPENAI_API_KEY":"sk-secret"}`

// Without configuration, the probes follow the sign-in and the configuration of codex.
func TestTheBuiltinServiceFollowsCodex(t *testing.T) {
	provider := func(base string) string {
		return "model_provider = 'mine'\n[model_providers.mine]\nname = 'm'\nbase_url = '" + base + "'\n"
	}
	for name, test := range map[string]struct {
		files map[string]string
		want  []string
		known bool
	}{
		"nobody is signed in": {nil, []string{"dns chatgpt.com", "head https://chatgpt.com/backend-api/codex/responses",
			"stream wss://chatgpt.com/backend-api/codex/responses", "exec codex", "exec-status codex"}, true},
		"a ChatGPT sign-in": {map[string]string{"auth.json": chatGPT}, []string{"dns chatgpt.com",
			"head https://chatgpt.com/backend-api/codex/responses", "routing https://chatgpt.com/backend-api/wham/accounts/check",
			"stream wss://chatgpt.com/backend-api/codex/responses", "exec codex", "exec-status codex"}, true},
		"a ChatGPT sign-in, asked elsewhere": {map[string]string{"auth.json": chatGPT, "config.toml": "chatgpt_base_url = 'https://gpt.test/backend-api'\n"},
			[]string{"dns chatgpt.com", "head https://chatgpt.com/backend-api/codex/responses",
				"stream wss://chatgpt.com/backend-api/codex/responses", "exec codex", "exec-status codex"}, true},
		"an API key": {map[string]string{"auth.json": apiKey}, []string{"dns api.openai.com",
			"head https://api.openai.com/v1/responses", "stream wss://api.openai.com/v1/responses", "exec codex", "exec-status codex"}, false},
		"a provider": {map[string]string{"config.toml": provider("http://llm.corp.test:8080/v1")}, []string{"dns llm.corp.test",
			"head http://llm.corp.test:8080/v1/responses", "stream ws://llm.corp.test:8080/v1/responses", "exec codex", "exec-status codex"}, false},
		"a provider with secrets in its URL": {map[string]string{"config.toml": provider("https://u:sk-secret@llm.test/v1?key=sk-secret")},
			[]string{"dns llm.test", "head https://llm.test/v1/responses", "stream wss://llm.test/v1/responses", "exec codex", "exec-status codex"}, false},
		"this host": {map[string]string{"config.toml": provider("http://localhost:4000/v1")},
			[]string{"head http://localhost:4000/v1/responses", "stream ws://localhost:4000/v1/responses", "exec codex", "exec-status codex"}, false},
		"an unknown provider": {map[string]string{"config.toml": "model_provider = 'bedrock'\n"}, []string{"exec codex", "exec-status codex"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			codexHome(t, test.files)
			c := builtin(t)
			p := Of(c)
			if got := targets(p); !slices.Equal(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
			for _, b := range p.config.Services[0].Probes {
				if b.Kind == probe.KindHTTP && b.Expect.Any == test.known {
					t.Errorf("%s expects %v", b.Name, b.Expect)
				}
			}
			derived, _ := Derive(c)
			var shown strings.Builder
			if err := derived.Show(&shown); err != nil {
				t.Fatal(err)
			}
			if strings.Contains(shown.String(), "sk-secret") || !strings.Contains(shown.String(), "# codex: requests go to ") {
				t.Errorf("shown:\n%s", &shown)
			}
			// What is shown loads to the same probes, now as written.
			path := filepath.Join(t.TempDir(), "config.yaml")
			if err := os.WriteFile(path, []byte(shown.String()), 0o600); err != nil {
				t.Fatal(err)
			}
			again, err := config.Load(path, nil)
			if err != nil {
				t.Fatal(err)
			}
			if got := targets(Of(again)); !slices.Equal(got, test.want) {
				t.Errorf("loaded again: got %q, want %q", got, test.want)
			}
		})
	}
}

func TestAProxyAndAnAuthorityOfCodex(t *testing.T) {
	codexHome(t, map[string]string{"auth.json": apiKey, ".env": "HTTPS_PROXY=http://u:sk-secret@p.test:3128\n"})
	t.Setenv("CODEX_CA_CERTIFICATE", "/etc/corp.pem")
	p := Of(builtin(t))
	requests := 0
	for _, task := range p.Services[0].Tasks {
		request, ok := task.Probe.Prober.(*httpprobe.Request)
		if !ok {
			continue
		}
		requests++
		via, err := request.ProxyFor(request.URL)
		if err != nil || via == nil || via.String() != "http://u:sk-secret@p.test:3128" {
			t.Errorf("%s: proxy %v, %v", task.Probe.Name, via, err)
		}
		if request.Rules.Trusting != clientrules.CodexTrusting || request.CAFile != "" {
			t.Errorf("%s: trusts as %v, %q", task.Probe.Name, request.Rules.Trusting, request.CAFile)
		}
	}
	if requests == 0 {
		t.Error("no http probe")
	}
	derived := strings.Join(p.Endpoints(), "\n")
	for _, want := range []string{"https://api.openai.com/v1 (API key), because of ", "auth.json", ".env", "/etc/corp.pem"} {
		if !strings.Contains(derived, want) || strings.Contains(derived, "sk-secret") {
			t.Errorf("%q is not in %q", want, derived)
		}
	}
}

func TestAConfiguredAddressWins(t *testing.T) {
	codexHome(t, map[string]string{"auth.json": apiKey})
	p := planned(t, named)
	if got := targets(p)[0]; got != "dns chatgpt.com" {
		t.Errorf("got %s, want the target in the file", got)
	}
	if len(p.Endpoints()) != 1 || !strings.Contains(p.Endpoints()[0], "https://api.openai.com/v1") {
		t.Errorf("the run: got %q, want what is derived", p.Endpoints())
	}
	p = planned(t, strings.ReplaceAll(named, "preset: codex}", "preset: codex, codex: {base_url: 'https://llm.test/v1'}}"))
	if len(p.Endpoints()) != 0 {
		t.Errorf("with an address in the file: got %q", p.Endpoints())
	}
}

func TestAChangedFileChangesThePlan(t *testing.T) {
	home := codexHome(t, nil)
	c := builtin(t)
	first := Of(c)
	if !Of(c).Same(first) {
		t.Error("nothing changed, but the plan is another")
	}
	if err := os.WriteFile(filepath.Join(home, "auth.json"), []byte(apiKey), 0o600); err != nil {
		t.Fatal(err)
	}
	if second := Of(c); second.Same(first) || targets(second)[0] != "dns api.openai.com" {
		t.Errorf("signed in: got %q", targets(second))
	}
}

// A base URL of a local proxy that has ended: the service itself may be well, so nobody is paged for it.
func TestAStaleBaseURL(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	home := codexHome(t, map[string]string{"config.toml": "openai_base_url = 'http://" + address + "/v1'\n"})
	p := Of(builtin(t))
	head := p.Services[0].Tasks[0]
	if head.RoundProbe != head.Probe {
		t.Error("a round takes the probe for a long one, and leaves it out")
	}
	r, _ := probe.Do(t.Context(), head.Probe)
	want := "the base URL http://" + address + "/v1 (" + filepath.Join(home, "config.toml") + ", openai_base_url) points to " + address +
		", where nothing listens"
	if r.Class != probe.ProxyRefused || r.Why != want {
		t.Errorf("got %v %q, want %q", r.Class, r.Why, want)
	}
	v := diagnose.Of(diagnose.Round{Service: "codex", Results: []probe.Result{r}})
	if v.Cause != causes.Proxy || v.Title != "codex: "+want || !strings.Contains(v.Advice, "remove the base URL") {
		t.Errorf("got %v %q, %q", v.Cause, v.Title, v.Advice)
	}
}

// TestWantFollowsTheAgent: without want, the agent's own configuration says how its sandbox should be.
func TestWantFollowsTheAgent(t *testing.T) {
	const write, access = "sandbox_mode = 'workspace-write'\n", "[sandbox_workspace_write]\nnetwork_access = true\n"
	const service = "services: [{name: codex, probes: [{name: head, kind: http, target: 'https://chatgpt.com/'}, " +
		"{name: exec, kind: exec, preset: codex}], sandbox: {"
	for name, test := range map[string]struct {
		sandbox, agent string
		want           diagnose.Want
		derived, note  string
		followed       bool // it has advice if the sandbox is closed
	}{
		"nothing is asked for": {"", "", diagnose.WantClosed, "no network for the agent's commands, because of the default", "", false},
		"closed":               {"", write, diagnose.WantClosed, "no network for the agent's commands, because of ~/.codex/config.toml", "", false},
		"open":                 {"", write + access, diagnose.WantOpen, "network for the agent's commands, because of ~/.codex/config.toml", "", true},
		"asked for in vain":    {"", access, diagnose.WantOpen, "asked for, without effect", "network_access = true has no effect", true},
		"the agent's proxy":    {"", write + access + "[features]\nnetwork_proxy = true\n", diagnose.WantAny, "own proxy only", "", true},
		"want: closed":         {"want: closed", write + access, diagnose.WantClosed, "", "", false},
		"want: open":           {"want: open", write, diagnose.WantOpen, "", "", false},
		"want: agent":          {"want: agent", write + access, diagnose.WantOpen, "network for the agent's commands", "", true},
		"another command":      {"command: [env]", write + access, diagnose.WantClosed, "", "", false},
	} {
		fakeCodex(t, "0.169.0")
		home := filepath.Join(os.Getenv("HOME"), ".codex")
		t.Setenv("CODEX_HOME", home)
		if err := os.Mkdir(home, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(home, "config.toml"), []byte(test.agent), 0o600); err != nil {
			t.Fatal(err)
		}
		p := Of(load(t, service+test.sandbox+"}}]"))
		if got := p.Services[0].Expect.Sandbox; got != test.want {
			t.Errorf("%s: got %v, want %v", name, got, test.want)
		}
		if advice := p.Services[0].Expect.SandboxAdvice; (advice != "") != test.followed ||
			test.note != "" && !strings.Contains(advice, "without effect: add sandbox_mode") {
			t.Errorf("%s: advice %q", name, advice)
		}
		if agents := p.Agents(); agents[0].Want != test.want {
			t.Errorf("%s: backtest compares with %v, want %v", name, agents[0].Want, test.want)
		}
		first, _, _ := strings.Cut(p.config.Services[0].Derived, "\n")
		if !strings.Contains(first, test.derived) || test.derived == "" && strings.Contains(first, "commands") {
			t.Errorf("%s: derived %q, want %q", name, first, test.derived)
		}
		if notes := strings.Join(p.Notes, "\n"); !strings.Contains(notes, test.note) || (notes == "") != (test.note == "") {
			t.Errorf("%s: notes %q, want %q", name, notes, test.note)
		}
	}
}
