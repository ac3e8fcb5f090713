package snapshot

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"netwatchd/internal/codexconf"
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
features) [ -n "$API_TOKEN" ] && exit 1; printf 'shell_tool  stable  true\nundo  under development  false\n' ;;
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
	inside := func(context.Context) (before, env []string, dir string, err error) {
		return []string{"env"}, []string{"CODEX_CI=1", "CODEX_TOKEN=" + planted}, t.TempDir(), nil
	}
	s := Take(t.Context(), Options{Agent: true, Path: filepath.Join(bin, "codex"), Home: home, State: t.TempDir(), Sandbox: inside})
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
	if !slices.Contains(s.Sandbox.Environment, Setting{"CODEX_CI", "1"}) || s.Sandbox.Fault != "" {
		t.Errorf("the sandbox has %+v", s.Sandbox)
	}
	if want := []Flag{{"shell_tool", "stable", true}, {"undo", "under development", false}}; !slices.Equal(s.Agent.Flags, want) {
		t.Errorf("flags %v, want %v", s.Agent.Flags, want)
	}
	if p := s.Agent.Projects; p == nil || p.Trusted != 1 {
		t.Errorf("projects %+v", p)
	}
	if at, err := time.Parse(time.RFC3339, s.LocalTime); err != nil || !at.Equal(s.At) || s.Zone == "" {
		t.Errorf("local time %q, zone %q; want that of %v", s.LocalTime, s.Zone, s.At)
	}
	if slices.Contains(s.Agent.Features, "undo") {
		t.Error("a feature that is off is among those that are on")
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
	if text, _, fault := configuration(path); text != "" || fault == "" || strings.Contains(fault, planted) {
		t.Errorf("%q, %q: want an error that quotes nothing", text, fault)
	}
}

// A file that blocks or is broken costs its own part of the snapshot only.
func TestBadFiles(t *testing.T) {
	home := t.TempDir()
	path := filepath.Join(home, "config.toml")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	a := describeAgent(t.Context(), Options{Home: home, Path: "/nonexistent/codex"})
	if a.Fault != "is a named pipe, not a regular file" || a.Policy != nil {
		t.Errorf("a FIFO: %q, policy %+v", a.Fault, a.Policy)
	}
	os.Remove(path)
	if err := os.WriteFile(path, []byte("[profile.work]\nmodel = \"x\"\n[profile.work]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	a = describeAgent(t.Context(), Options{Home: home, Path: "/nonexistent/codex"})
	if !strings.HasPrefix(a.Fault, "is not valid TOML at line 3") || a.Policy != nil {
		t.Errorf("a typing error: %q, policy %+v", a.Fault, a.Policy)
	}
}

func TestDescribePolicy(t *testing.T) {
	network := []string{"[sandbox_workspace_write]", "network_access = true"}
	both := append([]string{`sandbox_mode = "workspace-write"`}, network...)
	const run = "-c sandbox_workspace_write.network_access=true"
	for name, test := range map[string]struct {
		policy codexconf.Policy
		want   Policy
	}{
		"nothing is set": {want: Policy{Change: Change{"own", both, "codex -s workspace-write " + run}}},
		"closed": {codexconf.Policy{Mode: "workspace-write", File: "user"},
			Policy{Mode: "workspace-write", File: "user", Change: Change{"user", network, "codex " + run}}},
		"open": {codexconf.Policy{Mode: "workspace-write", Network: true, File: "user"},
			Policy{Mode: "workspace-write", Network: true, File: "user"}},
		"read-only": {codexconf.Policy{Mode: "read-only", File: "user"},
			Policy{Mode: "read-only", File: "user", Change: Change{"user", both, "codex -s workspace-write " + run}}},
		"the administrator's, which the command line does not override": {codexconf.Policy{Mode: "workspace-write", File: "managed", Forced: true},
			Policy{Mode: "workspace-write", File: "managed", Change: Change{"managed", network, ""}}},
		"the administrator allows no such mode": {codexconf.Policy{Mode: "workspace-write", File: "/etc/codex/requirements.toml", Forced: true},
			Policy{Mode: "workspace-write", File: "/etc/codex/requirements.toml", Change: Change{"/etc/codex/requirements.toml",
				[]string{`allowed_sandbox_modes = ["read-only", "workspace-write"]`}, ""}}},
		"a permissions profile": {codexconf.Policy{Profile: "p", File: "user"},
			Policy{Profile: "p", File: "user", Change: Change{"user", []string{"[permissions.p.network]", "enabled = true"}, ""}}},
		"a permissions profile of codex": {codexconf.Policy{Profile: ":workspace", File: "user"},
			Policy{Profile: ":workspace", File: "user", Change: Change{"user", both, "codex -s workspace-write " + run}}},
		"a project's name is private": {codexconf.Policy{Mode: "workspace-write", Network: true, File: "~/planted/.codex/config.toml", Project: "/home/me/planted"},
			Policy{Mode: "workspace-write", Network: true, File: "PROJECT/.codex/config.toml"}},
	} {
		if diff := cmp.Diff(&test.want, describePolicy(test.policy, "own")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
