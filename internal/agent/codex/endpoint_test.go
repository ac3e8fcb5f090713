package codex

import (
	"netwatchd/internal/agent"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

const (
	withKeyJSON     = `{"OPENAI_API_KEY":"sk-auth"}`
	withTokensJSON  = `{"OPENAI_API_KEY":null,"tokens":{"access_token":"secret-token"},"last_refresh":"2026-01-01T00:00:00Z"}`
	withBothJSON    = `{"OPENAI_API_KEY":"sk-auth","tokens":{"access_token":"secret-token"}}`
	mineTOML        = "[model_providers.mine]\nname = 'm'\nbase_url = 'http://mine.test/v1/'\n"
	selectsMineTOML = "model_provider = 'mine'\n" + mineTOML
)

// A codexForm is one form of a user's files and environment, and what must follow from it. Each was tried with the
// real codex: TestCodexLiveEndpoint does it again.
type codexForm struct {
	files   map[string]string // below the CODEX_HOME, or below /etc/codex if the name begins with etc/
	env     []string
	version string // empty: every version

	base, origin string // origin: HOME is the CODEX_HOME, ETC is /etc/codex
	mode         agent.Mode
}

var codexForms = map[string]codexForm{
	"API key": {files: map[string]string{"auth.json": withKeyJSON},
		base: apiBaseURL, origin: "HOME/auth.json", mode: agent.APIKey},
	"ChatGPT": {files: map[string]string{"auth.json": withTokensJSON},
		base: chatGPTBaseURL, origin: "HOME/auth.json", mode: agent.ChatGPT},
	"both": {files: map[string]string{"auth.json": withBothJSON},
		base: apiBaseURL, origin: "HOME/auth.json", mode: agent.APIKey},
	"both, ChatGPT preferred": {files: map[string]string{"auth.json": `{"auth_mode":"chatgpt",` + withBothJSON[1:]},
		base: chatGPTBaseURL, origin: "HOME/auth.json", mode: agent.ChatGPT},
	"both, API key preferred": {files: map[string]string{"auth.json": `{"auth_mode":"apikey",` + withBothJSON[1:]},
		base: apiBaseURL, origin: "HOME/auth.json", mode: agent.APIKey},
	"a key in the environment": {files: map[string]string{"auth.json": withTokensJSON}, env: []string{"CODEX_API_KEY=sk-env"},
		base: apiBaseURL, origin: "CODEX_API_KEY", mode: agent.APIKey},
	"openai_base_url": {files: map[string]string{"auth.json": withKeyJSON, "config.toml": "openai_base_url = 'http://setting.test/v1'\n"},
		version: "0.169.0", base: "http://setting.test/v1", origin: "HOME/config.toml, openai_base_url", mode: agent.APIKey},
	"openai_base_url, not read yet": {files: map[string]string{"auth.json": withKeyJSON, "config.toml": "openai_base_url = 'http://setting.test/v1'\n"},
		version: "0.104.0", base: apiBaseURL, origin: "HOME/auth.json", mode: agent.APIKey},
	"OPENAI_BASE_URL": {files: map[string]string{"auth.json": withTokensJSON}, env: []string{"OPENAI_BASE_URL=http://variable.test/v1"},
		version: "0.104.0", base: "http://variable.test/v1", origin: "OPENAI_BASE_URL", mode: agent.ChatGPT},
	"OPENAI_BASE_URL, no longer read": {files: map[string]string{"auth.json": withKeyJSON}, env: []string{"OPENAI_BASE_URL=http://variable.test/v1"},
		version: "0.169.0", base: apiBaseURL, origin: "HOME/auth.json", mode: agent.APIKey},
	"OPENAI_BASE_URL in .env": {files: map[string]string{"auth.json": withKeyJSON, ".env": "export OPENAI_BASE_URL='http://dotenv.test/v1'\n"},
		env:     []string{"OPENAI_BASE_URL=http://variable.test/v1"},
		version: "0.104.0", base: "http://dotenv.test/v1", origin: "HOME/.env, OPENAI_BASE_URL", mode: agent.APIKey},
	"chatgpt_base_url does not move requests": {files: map[string]string{"auth.json": withTokensJSON,
		"config.toml": "chatgpt_base_url = 'http://chatgpt.test/backend-api'\n"},
		version: "0.104.0", base: chatGPTBaseURL, origin: "HOME/auth.json", mode: agent.ChatGPT},
	"custom provider": {files: map[string]string{"auth.json": withTokensJSON, "config.toml": selectsMineTOML + "env_key = 'MINE_KEY'\n"},
		env:  []string{"MINE_KEY=sk-mine"},
		base: "http://mine.test/v1", origin: "HOME/config.toml, model_providers.mine.base_url", mode: agent.ProviderCredentials},
	"custom provider with codex's sign-in": {files: map[string]string{"auth.json": withKeyJSON, "config.toml": selectsMineTOML + "requires_openai_auth = true\n"},
		base: "http://mine.test/v1", origin: "HOME/config.toml, model_providers.mine.base_url", mode: agent.APIKey},
	"custom provider without an address": {files: map[string]string{"auth.json": withKeyJSON,
		"config.toml": "model_provider = 'mine'\n[model_providers.mine]\nname = 'm'\nrequires_openai_auth = true\n"},
		base: apiBaseURL, origin: "HOME/auth.json", mode: agent.APIKey},
	"Azure": {files: map[string]string{"config.toml": "model_provider = 'azure'\n[model_providers.azure]\nname = 'Azure'\n" +
		"base_url = 'http://x.openai.azure.test/openai'\nenv_key = 'AZURE_KEY'\nquery_params = { api-version = '2025-04-01-preview' }\n"},
		env:  []string{"AZURE_KEY=sk-azure"},
		base: "http://x.openai.azure.test/openai", origin: "HOME/config.toml, model_providers.azure.base_url", mode: agent.ProviderCredentials},
	"ollama": {files: map[string]string{"auth.json": withKeyJSON, "config.toml": "model_provider = 'ollama'\nmodel = 'm'\n"},
		base: "http://localhost:11434/v1", origin: `HOME/config.toml, model_provider = "ollama"`, mode: agent.ProviderCredentials},
	"ollama elsewhere": {files: map[string]string{"config.toml": "model_provider = 'ollama'\nmodel = 'm'\n"},
		env:  []string{"CODEX_OSS_BASE_URL=http://ollama.test/v1"},
		base: "http://ollama.test/v1", origin: `HOME/config.toml, model_provider = "ollama"`, mode: agent.ProviderCredentials},
	"profile": {files: map[string]string{"auth.json": withKeyJSON, "config.toml": "profile = 'work'\n[profiles.work]\n" + selectsMineTOML},
		version: "0.104.0", base: "http://mine.test/v1", origin: "HOME/config.toml, model_providers.mine.base_url", mode: agent.ProviderCredentials},
	"system": {files: map[string]string{"auth.json": withKeyJSON, "etc/config.toml": selectsMineTOML},
		base: "http://mine.test/v1", origin: "ETC/config.toml, model_providers.mine.base_url", mode: agent.ProviderCredentials},
	"user before system": {files: map[string]string{"auth.json": withKeyJSON, "etc/config.toml": selectsMineTOML,
		"config.toml": "model_provider = 'mine'\n[model_providers.mine]\nbase_url = 'http://user.test/v1'\n"},
		base: "http://user.test/v1", origin: "HOME/config.toml, model_providers.mine.base_url", mode: agent.ProviderCredentials},
	"managed before user": {files: map[string]string{"auth.json": withKeyJSON, "etc/managed_config.toml": selectsMineTOML,
		"config.toml": "model_provider = 'theirs'\n[model_providers.theirs]\nname = 't'\nbase_url = 'http://user.test/v1'\n"},
		base: "http://mine.test/v1", origin: "ETC/managed_config.toml, model_providers.mine.base_url", mode: agent.ProviderCredentials},
	"nobody": {base: chatGPTBaseURL, origin: "the default", mode: agent.SignedOut},
}

// setup writes the files of a form.
func (f codexForm) setup(t *testing.T) codexSetup {
	t.Helper()
	home, etc := t.TempDir(), t.TempDir()
	for name, text := range f.files {
		path := filepath.Join(home, name)
		if rest, ok := strings.CutPrefix(name, "etc/"); ok {
			path = filepath.Join(etc, rest)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := codexSetup{home: home, auth: filepath.Join(home, "auth.json"), system: etc, env: f.env}
	if f.version != "" {
		s.version = parseVersion(t, f.version)
	}
	return s
}

func parseVersion(t *testing.T, text string) agent.Version {
	t.Helper()
	v, ok := agent.FindVersion(text)
	if !ok {
		t.Fatalf("%q is not a version", text)
	}
	return v
}

func (f codexForm) wantOrigin(s codexSetup) string {
	return strings.NewReplacer("HOME", s.home, "ETC", s.system).Replace(f.origin)
}

func TestEndpoint(t *testing.T) {
	for name, form := range codexForms {
		versions := []string{"0.104.0", "0.169.0"}
		if form.version != "" {
			versions = []string{form.version}
		}
		for _, version := range versions {
			form.version = version
			s := form.setup(t)
			e := s.endpoint()
			type shown struct {
				Base, Origin string
				Mode         agent.Mode
				Known        bool
				Notes        []string
			}
			want := shown{form.base, form.wantOrigin(s), form.mode, form.base == chatGPTBaseURL, nil}
			got := shown{e.BaseURL.String(), e.Origin(), e.Mode, e.KnownAnswer, e.Notes}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s, %s (-want +got):\n%s", name, version, diff)
			}
		}
	}
}

func TestEndpointProxyAndCA(t *testing.T) {
	auth := map[string]string{"auth.json": withKeyJSON}
	dotenv := func(text string) map[string]string { return map[string]string{"auth.json": withKeyJSON, ".env": text} }
	for name, test := range map[string]struct {
		form      codexForm
		proxy, ca string
	}{
		"nothing": {codexForm{files: auth}, "", ""},
		"a proxy in the environment is everyone's": {codexForm{files: auth, env: []string{"HTTPS_PROXY=http://p.test:1"}}, "", ""},
		"a proxy in .env":                          {codexForm{files: dotenv("HTTPS_PROXY=http://p.test:3128\n"), env: []string{"HTTPS_PROXY=http://q.test:1"}}, "http://p.test:3128", ""},
		"all protocols":                            {codexForm{files: dotenv("# ours\n\nall_proxy = \"socks5://p.test:1080\" # old\n")}, "socks5://p.test:1080", ""},
		"excluded":                                 {codexForm{files: dotenv("HTTPS_PROXY=http://p.test:3128\nNO_PROXY=.openai.com\n")}, "none", ""},
		"an authority":                             {codexForm{files: auth, env: []string{"CODEX_CA_CERTIFICATE=/ca.pem"}}, "", "/ca.pem"},
		"an authority, not read":                   {codexForm{files: auth, env: []string{"CODEX_CA_CERTIFICATE=/ca.pem"}, version: "0.104.0"}, "", ""},
		"not from .env":                            {codexForm{files: dotenv("CODEX_CA_CERTIFICATE=/ca.pem\nCODEX_API_KEY=sk-x\n")}, "", ""},
	} {
		e := test.form.setup(t).endpoint()
		if e.Proxy != test.proxy || e.CAFile != test.ca || len(e.Notes) > 0 {
			t.Errorf("%s: got proxy %q, CA %q, notes %q; want %q, %q", name, e.Proxy, e.CAFile, e.Notes, test.proxy, test.ca)
		}
	}
}

// TestEndpointOfBadFiles: a file that cannot be used is noted, and changes nothing else.
func TestEndpointOfBadFiles(t *testing.T) {
	pipe := func(t *testing.T, path string) {
		os.Remove(path)
		if err := unix.Mkfifo(path, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, test := range map[string]struct {
		files map[string]string
		make  func(t *testing.T, s codexSetup)
		base  string
		note  string
	}{
		"auth.json, no JSON": {map[string]string{"auth.json": "sk-secret"}, nil, chatGPTBaseURL, "auth.json is not valid JSON"},
		"auth.json, other types": {map[string]string{"auth.json": `{"OPENAI_API_KEY":["sk-secret"]}`}, nil, chatGPTBaseURL,
			"auth.json is not valid JSON"},
		"auth.json, a pipe": {nil, func(t *testing.T, s codexSetup) { pipe(t, s.auth) }, chatGPTBaseURL,
			"auth.json is a named pipe, not a regular file"},
		"auth.json, a directory": {nil, func(t *testing.T, s codexSetup) { os.Mkdir(s.auth, 0o700) }, chatGPTBaseURL,
			"auth.json is a directory, not a regular file"},
		"config.toml, a pipe": {map[string]string{"auth.json": withKeyJSON},
			func(t *testing.T, s codexSetup) { pipe(t, filepath.Join(s.home, "config.toml")) }, apiBaseURL,
			"config.toml is a named pipe, not a regular file"},
		"config.toml, a typo": {map[string]string{"auth.json": withKeyJSON, "config.toml": "model = 'sk-secret"}, nil, apiBaseURL,
			"config.toml is not valid TOML at line 1"},
		"config.toml, profile for profiles": {map[string]string{"auth.json": withKeyJSON, "config.toml": "profile = 'work'\n[profile.work]\n"},
			nil, apiBaseURL, "config.toml is not valid TOML"},
		"config.toml, a table for a name": {map[string]string{"auth.json": withKeyJSON, "config.toml": "[profile.work]\n[model_provider]\n"},
			nil, apiBaseURL, "config.toml: profile is not a name, so codex does not start"},
		"no URL": {map[string]string{"config.toml": "model_provider = 'x'\n[model_providers.x]\nbase_url = 'sk-secret'\n"},
			nil, "", "model_providers.x.base_url: the base URL is not an http or https URL"},
		"an unknown provider": {map[string]string{"auth.json": withKeyJSON, "config.toml": "model_provider = 'bedrock'\n"}, nil, "",
			`model_provider = "bedrock": the address of this provider is not known`},
		"a variable that is not set": {map[string]string{"config.toml": selectsMineTOML + "env_key = 'NO_SUCH_KEY'\n"}, nil,
			"http://mine.test/v1", "NO_SUCH_KEY is not set here"},
		"a refused profile": {map[string]string{"auth.json": withKeyJSON, "config.toml": "profile = 'w'\n[profiles.w]\n" + selectsMineTOML},
			nil, apiBaseURL, `codex no longer accepts profile = "w"`},
		".env, a proxy that is none": {map[string]string{"auth.json": withKeyJSON, ".env": "HTTPS_PROXY=http://[sk-secret\n"}, nil,
			apiBaseURL, ".env sets a proxy that is not a URL"},
	} {
		s := codexForm{files: test.files}.setup(t)
		if test.make != nil {
			test.make(t, s)
		}
		done := make(chan Endpoint, 1)
		go func() { done <- s.endpoint() }()
		var e Endpoint
		select {
		case e = <-done:
		case <-time.After(10 * time.Second):
			t.Fatalf("%s: blocked", name)
		}
		base := ""
		if e.BaseURL != nil {
			base = e.BaseURL.String()
		}
		notes := strings.Join(e.Notes, "\n")
		if base != test.base || !strings.Contains(notes, test.note) || (test.note == "") != (notes == "") {
			t.Errorf("%s: got %s and notes %q, want %s and %q", name, base, notes, test.base, test.note)
		}
		if strings.Contains(notes+e.Origin(), "secret") {
			t.Errorf("%s: a secret is shown: %q, %q", name, notes, e.Origin())
		}
	}
}

func TestListener(t *testing.T) {
	for base, want := range map[string]string{
		"http://localhost:4000/v1": "localhost:4000", "http://127.0.0.1/v1": "127.0.0.1:80", "https://[::1]/v1": "[::1]:443",
		"https://api.openai.com/v1": "", "http://192.0.2.1:4000": "",
	} {
		var e Endpoint
		if e.Set(base, "~/.codex/config.toml", "openai_base_url"); e.Listener() != want {
			t.Errorf("%s: got %q, want %q", base, e.Listener(), want)
		}
	}
}

// TestProviderKeepsSecretsOffTheCommandLine: everyone on the host can read a command line.
func TestProviderKeepsSecretsOffTheCommandLine(t *testing.T) {
	t.Setenv("MINE_KEY", "sk-from-environment")
	form := codexForm{files: map[string]string{
		"config.toml": selectsMineTOML + "env_key = 'MINE_KEY'\nhttp_headers = { X-Team = 'secret-header', Y = 'secret-2' }\n" +
			"experimental_bearer_token = 'secret-bearer'\nenv_http_headers = { Z = 'OTHER' }\n[model_providers.mine.auth]\nargs = ['a', 1, 2.5, true]\n",
		".env": "OTHER=secret-dotenv\nHTTPS_PROXY=http://u:secret-proxy@p.test:1\n"}}
	e := form.setup(t).endpoint()
	for _, provider := range []string{"isolated", BuiltinProvider} {
		flags, env := Codex{Provider: provider}.provider(e)
		line := strings.Join(flags, " ")
		if strings.Contains(line, "secret") || strings.Contains(line, "sk-") {
			t.Errorf("%s: a secret is on the command line: %s", provider, line)
		}
		for _, want := range []string{"MINE_KEY=sk-from-environment", "OTHER=secret-dotenv", "NETWATCHD_PROVIDER_0=secret-bearer",
			"NETWATCHD_PROVIDER_1=secret-header", "NETWATCHD_PROVIDER_2=secret-2"} {
			if !slices.Contains(env, want) {
				t.Errorf("%s: %s is not in the environment", provider, want)
			}
		}
		for _, want := range []string{`base_url="http://mine.test/v1/"`, `env_key="NETWATCHD_PROVIDER_0"`,
			`env_http_headers={X-Team="NETWATCHD_PROVIDER_1",Y="NETWATCHD_PROVIDER_2",Z="OTHER"}`, `auth={args=["a",1,2.5e+00,true]}`} {
			if !strings.Contains(line, want) {
				t.Errorf("%s: %s is not in %s", provider, want, line)
			}
		}
	}
}
