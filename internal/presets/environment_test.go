package presets

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"netwatchd/internal/agent"
	"netwatchd/internal/probe"
)

// planted are variables with a key or an address, by the agent that may have them. Nobody may have those of "".
var planted = map[string][]string{
	"codex":    {"CODEX_API_KEY", "CODEX_ACCESS_TOKEN", "OPENAI_BASE_URL"},
	"claude":   {"ANTHROPIC_API_KEY", "CLAUDE_CODE_CLIENT_CERT"},
	"gemini":   {"GEMINI_API_KEY", "GOOGLE_CLOUD_PROJECT"},
	"opencode": {"OPENCODE_API_KEY"},
	"copilot":  {"COPILOT_GITHUB_TOKEN", "GH_TOKEN"},
	"":         {"OPENAI_API_KEY", "AWS_SECRET_ACCESS_KEY", "NETWATCHD_STORAGE_PASSWORD"},
}

// TestEnvironment starts a program in the place of each agent and reads the environment of each of its processes: it has
// the agent's own variables, and no other agent's.
func TestEnvironment(t *testing.T) {
	for _, name := range []string{"CODEX_HOME", "CLAUDE_CONFIG_DIR", "GEMINI_CLI_HOME", "COPILOT_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"} {
		t.Setenv(name, "")
	}
	t.Setenv("HOME", t.TempDir())
	for of, names := range planted {
		for _, name := range names {
			t.Setenv(name, "planted for "+of)
		}
	}
	for _, a := range agents {
		t.Run(a.Name, func(t *testing.T) {
			t.Parallel()
			all := environmentsOf(t, a)
			for of, names := range planted {
				for _, name := range names {
					switch has := strings.Contains(all, name+"=planted"); {
					case has && of != a.Name:
						t.Errorf("a process has %s, which is planted for %q", name, of)
					case !has && of == a.Name && a.Run != nil:
						t.Errorf("no process has %s, which %s needs", name, a.Name)
					}
				}
			}
		})
	}
}

// environmentsOf makes all that an agent has with a program in its place that keeps its environment, and returns the
// environments of all processes.
func environmentsOf(t *testing.T, a agent.Agent) string {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, a.Name)
	script := "#!/bin/sh\ncat /proc/self/environ >" + dir + "/env.$$\n" +
		`case $* in --version) echo 99.0.0;; "auth status") echo '{"loggedIn":true,"authMethod":"api_key"}';; esac` + "\n"
	if err := os.WriteFile(path, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	executable, err := a.Find(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Version(ctx, executable); err != nil {
		t.Fatal(err)
	}
	if err := a.SignedIn(ctx, executable, ""); err != nil {
		t.Errorf("signed in: %v", err)
	}
	s := agent.Settings{Path: path, StateDir: t.TempDir()}
	if a.Name == "opencode" {
		s.Model = "opencode/some" // of the provider whose key is planted for opencode
	}
	var probers []probe.Prober
	if a.Run != nil {
		probers = append(probers, a.Run(s, nil), a.Stub(s))
	}
	if a.Status != nil {
		probers = append(probers, a.Status(s, time.Minute))
	}
	for _, p := range probers {
		_, _ = p.Probe(ctx) // the program answers nothing that an agent would
	}
	files, _ := filepath.Glob(dir + "/env.*")
	if want := 1 + len(probers); len(files) < want {
		t.Fatalf("%d processes of %s were started, want at least %d", len(files), a.Name, want)
	}
	var all strings.Builder
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(text)
	}
	return all.String()
}
