package codex

import (
	"netwatchd/internal/agent"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Whatever the user's files hold, codex's endpoint is found or a note says why not, and nothing panics.
func FuzzCodexFiles(f *testing.F) {
	f.Add("model = \"m\"\nmodel_provider = \"p\"\n[model_providers.p]\nbase_url = \"http://127.0.0.1:1/v1\"\n", `{"OPENAI_API_KEY":"sk-x"}`,
		"export HTTPS_PROXY='http://p:1' # x\n")
	f.Add("[profile.work]\n", `{"tokens":{"access_token":"a.b.c"}}`, "A=\"b\nC")
	f.Add("sandbox_mode = 7\n[permissions.x.network.domains]\n", "null", "=\x00")
	f.Add("default_permissions = \"x\"\n[permissions.x]\nextends = \"x\"\n[projects.\"/\"]\ntrust_level = \"trusted\"\n", "", "")
	f.Add("openai_base_url = \"::\"\n\xff", "[]", "\ufeffALL_PROXY=x")
	home := f.TempDir()
	f.Fuzz(func(t *testing.T, config, auth, env string) {
		for name, text := range map[string]string{"config.toml": config, "auth.json": auth, ".env": env} {
			if err := os.WriteFile(filepath.Join(home, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		e := Codex{Home: home}.Endpoint(agent.Version{})
		policy := Codex{Home: home}.setup(agent.Version{}).policy()
		if len(policy.command()) == 0 || len(policy.runCommand()) == 0 {
			t.Error("no command for the sandbox")
		}
		for _, note := range slices.Concat(e.Notes, policy.Notes) {
			if strings.ContainsAny(note, "\n\x00") {
				t.Errorf("a note of several lines: %q", note)
			}
		}
	})
}
