package agent

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestSandboxSettings(t *testing.T) {
	const write, access = "sandbox_mode = 'workspace-write'\n", "[sandbox_workspace_write]\nnetwork_access = true\n"
	for name, test := range map[string]struct {
		config string
		want   SandboxSettings
		open   bool
	}{
		"nothing":            {"model = \"x\"\n", SandboxSettings{}, false},
		"write":              {write, SandboxSettings{"workspace-write", false}, false},
		"write with network": {write + access, SandboxSettings{"workspace-write", true}, true},
		"network alone":      {access, SandboxSettings{"", true}, true},
		"dotted":             {"sandbox_workspace_write.network_access = true", SandboxSettings{"", true}, true},
		"read-only":          {"sandbox_mode = 'read-only'\n" + access, SandboxSettings{"read-only", true}, false},
		"danger":             {"sandbox_mode = 'danger-full-access'", SandboxSettings{"danger-full-access", false}, true},
		"a profile": {"profile = 'p'\nsandbox_mode = 'read-only'\n[profiles.p]\nsandbox_mode = 'danger-full-access'\n",
			SandboxSettings{"danger-full-access", false}, true},
		"permissions":     {"default_permissions = 'mine'\n" + write + access, SandboxSettings{}, false},
		"broken":          {"sandbox_mode = [", SandboxSettings{}, false},
		"of another type": {"sandbox_mode = 3", SandboxSettings{}, false},
	} {
		home := t.TempDir()
		if err := os.WriteFile(filepath.Join(home, "config.toml"), []byte(test.config), 0o600); err != nil {
			t.Fatal(err)
		}
		got := ReadSandboxSettings(home)
		if got != test.want || got.Open() != test.open {
			t.Errorf("%s: got %+v, open %v; want %+v, %v", name, got, got.Open(), test.want, test.open)
		}
	}
	if got := ReadSandboxSettings(t.TempDir()); got != (SandboxSettings{}) {
		t.Errorf("without a file: got %+v", got)
	}
}

func TestAgentSandbox(t *testing.T) {
	for _, test := range []struct {
		version  Version
		settings SandboxSettings
		want     []string
	}{
		{Version{0, 104, 0, ""}, SandboxSettings{}, []string{"codex", "sandbox", "linux", "--"}},
		{Version{0, 104, 0, ""}, SandboxSettings{"workspace-write", false}, []string{"codex", "sandbox", "linux", "--"}},
		{Version{0, 104, 0, ""}, SandboxSettings{"", true}, []string{"env"}},
		{Version{0, 169, 0, ""}, SandboxSettings{}, []string{"codex", "sandbox", "--"}},
		{Version{0, 169, 0, ""}, SandboxSettings{"read-only", true}, []string{"codex", "sandbox", "-c", `sandbox_mode="read-only"`, "--"}},
		{Version{0, 169, 0, ""}, SandboxSettings{"", true}, []string{"codex", "sandbox", "-c", `sandbox_mode="workspace-write"`,
			"-c", "sandbox_workspace_write.network_access=true", "--"}},
	} {
		if got := AgentSandbox(test.version, test.settings); !slices.Equal(got, test.want) {
			t.Errorf("%v %+v: got %q, want %q", test.version, test.settings, got, test.want)
		}
	}
}
