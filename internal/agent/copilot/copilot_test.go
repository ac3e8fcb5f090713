package copilot

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"netwatchd/internal/agent"
	"netwatchd/internal/clientrules"
	"netwatchd/internal/linkage"
	"netwatchd/internal/probe"
	"netwatchd/internal/probe/probetest"
)

// realProgram is not in CI: the program is 190 MB.
var realProgram = flag.String("copilot", "", "a `program` of GitHub Copilot CLI")

// withFiles writes files below the home directory, and returns what copilot sees with them.
func withFiles(t *testing.T, files map[string]string, env ...string) setup {
	t.Helper()
	home := t.TempDir()
	probetest.WriteFiles(t, home, files)
	return setup{dir: filepath.Join(home, ".copilot"), cache: filepath.Join(home, "cache.json"), env: env}
}

const (
	configJSON = ".copilot/config.json"
	signIn     = "// managed\n" + `{"loggedInUsers":[{"host":"https://github.com","login":"x"}],"copilotTokens":{"https://github.com:x":"secret"}}`
	individual = "https://api.individual.githubcopilot.com"
	business   = "https://api.business.githubcopilot.com"
)

// cache has two answers of GitHub's, the later one with the address api.
func cache(api string) string {
	return fmt.Sprintf(`// Disposable
{"copilotUserCache":{"v1:a":{"retrievedAt":"2026-11-28T15:20:39.980Z","response":{"endpoints":{"api":%q}}},
"v1:b":{"retrievedAt":"2026-11-27T15:20:39.980Z","response":{"endpoints":{"api":%q}}}}}`, api, business)
}

func TestEndpoint(t *testing.T) {
	for name, test := range map[string]struct {
		files   map[string]string
		env     []string
		base    string
		from    string // the end of the origin
		mode    agent.Mode
		known   bool
		routing string
		note    string
	}{
		"nobody": {base: defaultBaseURL, from: "the default", mode: agent.SignedOut, known: true, routing: "https://api.github.com/rate_limit"},
		"a sign-in": {files: map[string]string{configJSON: signIn}, base: defaultBaseURL, from: "the default", mode: agent.GitHubSignIn,
			known: true, routing: "https://api.github.com/rate_limit"},
		"an older sign-in": {files: map[string]string{configJSON: `{"last_logged_in_user":{"login":"x"}}`}, base: defaultBaseURL,
			from: "the default", mode: agent.GitHubSignIn, known: true, routing: "https://api.github.com/rate_limit"},
		"never signed in": {files: map[string]string{configJSON: `{"loggedInUsers":[],"firstLaunchAt":"x"}`}, base: defaultBaseURL,
			from: "the default", mode: agent.SignedOut, known: true, routing: "https://api.github.com/rate_limit"},
		"a token": {env: []string{"GITHUB_TOKEN=secret"}, base: defaultBaseURL, from: "the default", mode: agent.GitHubSignIn,
			known: true, routing: "https://api.github.com/rate_limit"},
		"the plan's address": {files: map[string]string{configJSON: signIn, "cache.json": cache(individual)}, base: individual,
			from: "cache.json, endpoints.api", mode: agent.GitHubSignIn, known: true, routing: "https://api.github.com/rate_limit"},
		"another's address": {files: map[string]string{configJSON: signIn, "cache.json": cache("https://evil.test")}, base: business,
			from: "cache.json, endpoints.api", mode: agent.GitHubSignIn, known: true, routing: "https://api.github.com/rate_limit"},
		"a cache of tomorrow": {files: map[string]string{configJSON: signIn, "cache.json": `{"copilotUserCache":[1]}`}, base: defaultBaseURL,
			from: "the default", mode: agent.GitHubSignIn, known: true, routing: "https://api.github.com/rate_limit"},
		"COPILOT_API_URL": {files: map[string]string{"cache.json": cache(individual)}, env: []string{"GH_TOKEN=secret", "COPILOT_API_URL=https://u:secret@mine.test/c?k=secret"},
			base: "https://mine.test/c", from: "COPILOT_API_URL", mode: agent.GitHubSignIn, routing: "https://api.github.com/rate_limit"},
		"a model of one's own": {files: map[string]string{configJSON: signIn}, env: []string{"COPILOT_PROVIDER_BASE_URL=http://localhost:11434/v1"},
			base: "http://localhost:11434/v1", from: providerURL, mode: agent.ProviderCredentials},
		"data residency": {env: []string{"GH_TOKEN=secret", "GH_HOST=x.test", "COPILOT_GH_HOST=Octo.ghe.com"},
			base: "https://copilot-api.octo.ghe.com", from: "COPILOT_GH_HOST", mode: agent.GitHubSignIn,
			routing: "https://api.octo.ghe.com/rate_limit"},
		"a server of one's own": {env: []string{"GH_TOKEN=secret", "GH_HOST=git.mine.test"}, from: "GH_HOST", mode: agent.GitHubSignIn,
			note: "the address is not known"},
		"no JSON": {files: map[string]string{configJSON: "{,"}, base: defaultBaseURL, from: "the default", mode: agent.SignedOut,
			known: true, routing: "https://api.github.com/rate_limit", note: "is not valid JSON"},
		"no URL": {env: []string{"COPILOT_API_URL=mine"}, from: "COPILOT_API_URL", mode: agent.SignedOut, note: "is not an http or https URL"},
	} {
		e := withFiles(t, test.files, test.env...).endpoint()
		base, routing := "", ""
		if e.BaseURL != nil {
			base = e.BaseURL.String()
		}
		if e.Routing != nil {
			routing = e.Routing.String()
		}
		notes := strings.Join(e.Notes, "; ")
		if base != test.base || !strings.HasSuffix(e.Origin(), test.from) || e.Mode != test.mode || e.KnownAnswer != test.known ||
			routing != test.routing || !strings.Contains(notes, test.note) || (notes == "") != (test.note == "") {
			t.Errorf("%s: %s because of %s, %s, known %t, routing %s, notes %q", name, base, e.Origin(), e.Mode, e.KnownAnswer, routing, notes)
		}
		if strings.Contains(fmt.Sprint(notes, e.Origin(), e.BaseURL), "secret") {
			t.Errorf("%s: a secret is shown: %q %s %s", name, notes, e.Origin(), e.BaseURL)
		}
	}
}

// TestProxyOfSettings: the environment wins over the settings.
func TestProxyOfSettings(t *testing.T) {
	files := map[string]string{".copilot/settings.json": "// mine\n{\"proxyUrl\":\"http://p.test:1\",}"}
	for env, want := range map[string]string{"": "HTTPS_PROXY=http://p.test:1 HTTP_PROXY=http://p.test:1", "http_proxy=http://q.test": ""} {
		if got := strings.Join(withFiles(t, files, env).endpoint().Reach, " "); got != want {
			t.Errorf("%q: got %q, want %q", env, got, want)
		}
	}
}

// TestOfAnotherName: AWS Copilot is a program in Go with the same name. A test of Go is one too.
func TestOfAnotherName(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "copilot")
	if err := os.Symlink(self, path); err != nil {
		t.Fatal(err)
	}
	if _, err := find(path); probe.Classify(probe.Executing, err) != probe.ExecNotFound || !strings.Contains(err.Error(), "another program") {
		t.Errorf("got %v", err)
	}
	t.Setenv("PATH", filepath.Dir(path))
	t.Setenv("HOME", t.TempDir())
	if found, err := find(""); err == nil {
		t.Errorf("found %s", found)
	}
}

// TestVersion: the version of a package is read, and the program is not started. A program alone is.
func TestVersion(t *testing.T) {
	dir := t.TempDir()
	probetest.WriteFiles(t, dir, map[string]string{"pkg/package.json": `{"name":"@github/copilot","version":"1.0.102"}`,
		"pkg/npm-loader.js": "#!/bin/sh\nexit 1\n", "other/package.json": `{"name":"mine","version":"9.9.9"}`,
		"other/copilot": "#!/bin/sh\necho 'GitHub Copilot CLI 1.0.101.'\n"})
	for name, want := range map[string]string{"pkg/npm-loader.js": "1.0.102", "other/copilot": "1.0.101"} {
		path := filepath.Join(dir, name)
		if err := os.Chmod(path, 0o755); err != nil {
			t.Fatal(err)
		}
		if v, err := version(t.Context(), path); err != nil || v.String() != want {
			t.Errorf("%s: got %v, %v", name, v, err)
		}
	}
}

func FuzzFiles(f *testing.F) {
	f.Add([]byte(signIn), []byte(cache(individual)))
	f.Fuzz(func(t *testing.T, config, cached []byte) {
		s := withFiles(t, map[string]string{configJSON: string(config), ".copilot/settings.json": string(config), "cache.json": string(cached)})
		if e := s.endpoint(); e.BaseURL == nil || !strings.HasSuffix(e.BaseURL.Hostname(), ".githubcopilot.com") {
			t.Errorf("requests would go to %v", e.BaseURL)
		}
	})
}

// TestReal: the real program is found, is not Go's, has a version and is linked as its client says.
func TestReal(t *testing.T) {
	if *realProgram == "" {
		t.Skip("not asked for: -copilot")
	}
	found, err := find(*realProgram)
	if err != nil {
		t.Fatal(err)
	}
	if v, err := version(t.Context(), found); err != nil || v.Compare(agent.Version{Major: 1}) < 0 {
		t.Errorf("got %v, %v", v, err)
	}
	if resolver, err := linkage.ResolverOf(found, Agent().Launcher); err != nil || resolver != clientrules.Copilot().Resolver {
		t.Errorf("linked with %v, %v", resolver, err)
	}
}
