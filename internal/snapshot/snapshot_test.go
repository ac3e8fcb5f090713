package snapshot

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// planted is part of every secret and must not appear anywhere.
const planted = "Pl4nt3d"

const plantedConfig = `
model = "gpt-5.5" # ` + planted + `
sandbox_mode = "workspace-write"
experimental_bearer_token = "` + planted + `"
[sandbox_workspace_write]
network_access = false
[features]
shell_tool = true
[model_providers.mine]
base_url = "https://me:` + planted + `@proxy.example/v1?api_key=` + planted + `"
env_key = "MY_KEY"
http_headers = { "X-Thing" = "` + planted + `" }
query_params = { "v" = "` + planted + `" }
[mcp_servers.tool]
command = "tool"
args = ["--token", "` + planted + `", "--verbose"]
[mcp_servers.tool.env]
ANYTHING = "` + planted + `"
[shell_environment_policy]
set = { HARMLESS = "` + planted + `" }
[projects."/home/me/` + planted + `"]
trust_level = "trusted"
`

const fakeCodex = `#!/bin/sh
case "$1" in
--version) echo "codex-cli 0.169.0" ;;
features) [ -n "$API_TOKEN" ] && exit 1; printf 'shell_tool  stable  true\nundo  stable  false\n' ;;
esac
`

func TestTake(t *testing.T) {
	home, bin := t.TempDir(), t.TempDir()
	for path, text := range map[string]string{filepath.Join(home, "config.toml"): plantedConfig,
		filepath.Join(home, "auth.json"): `{"OPENAI_API_KEY":"sk-` + planted + `"}`, filepath.Join(bin, "codex"): fakeCodex} {
		if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("HTTPS_PROXY", "http://me:"+planted+"@proxy.example:3128")
	t.Setenv("CODEX_API_KEY", planted)
	t.Setenv("OPENAI_API_KEY", "sk-"+planted)
	t.Setenv("API_TOKEN", planted)
	t.Setenv("CODEX_SANDBOX_NETWORK_DISABLED", "1")
	s := Take(t.Context(), Options{Agent: true, Path: filepath.Join(bin, "codex"), Home: home, State: t.TempDir()})
	text, err := json.MarshalIndent(s, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), planted) {
		t.Errorf("a secret is in the snapshot: %s", text)
	}
	for _, want := range []string{`"CODEX_SANDBOX_NETWORK_DISABLED"`, `http://[secret]@proxy.example:3128`, "network_access = false",
		"sandbox_mode = 'workspace-write'", "proxy.example/v1", "MY_KEY", "1, names omitted", `"shell_tool"`, `"0.169.0"`, `"kernel"`, "--verbose"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("%s is not in the snapshot: %s", want, text)
		}
	}
	if strings.Contains(string(text), "undo") {
		t.Error("a feature that is off is in the snapshot")
	}
}

func TestNoAgent(t *testing.T) {
	s := Take(t.Context(), Options{Agent: true, Path: "/nonexistent/codex", Home: t.TempDir(), State: t.TempDir()})
	if s.Agent.Program.Fault == "" || s.Agent.Fault == "" || s.Agent.SignIn != "none" {
		t.Errorf("%+v: want the reasons why nothing is known", s.Agent)
	}
}

func TestNotTOML(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.toml")
	if err := os.WriteFile(path, []byte("token = "+planted+"\n= ["), 0o600); err != nil {
		t.Fatal(err)
	}
	if text, fault := configuration(path); text != "" || fault == "" || strings.Contains(fault, planted) {
		t.Errorf("%q, %q: want an error that quotes nothing", text, fault)
	}
}
