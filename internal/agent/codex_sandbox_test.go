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
		want   sandboxSettings
		open   bool
	}{
		"nothing":            {"model = \"x\"\n", sandboxSettings{}, false},
		"write":              {write, sandboxSettings{"workspace-write", false}, false},
		"write with network": {write + access, sandboxSettings{"workspace-write", true}, true},
		"network alone":      {access, sandboxSettings{"", true}, true},
		"dotted":             {"sandbox_workspace_write.network_access = true", sandboxSettings{"", true}, true},
		"read-only":          {"sandbox_mode = 'read-only'\n" + access, sandboxSettings{"read-only", true}, false},
		"danger":             {"sandbox_mode = 'danger-full-access'", sandboxSettings{"danger-full-access", false}, true},
		"a profile": {"profile = 'p'\nsandbox_mode = 'read-only'\n[profiles.p]\nsandbox_mode = 'danger-full-access'\n",
			sandboxSettings{"danger-full-access", false}, true},
		"permissions":     {"default_permissions = 'mine'\n" + write + access, sandboxSettings{}, false},
		"broken":          {"sandbox_mode = [", sandboxSettings{}, false},
		"of another type": {"sandbox_mode = 3", sandboxSettings{}, false},
	} {
		home := t.TempDir()
		if err := os.WriteFile(filepath.Join(home, "config.toml"), []byte(test.config), 0o600); err != nil {
			t.Fatal(err)
		}
		got := readSandboxSettings(home)
		if got != test.want || got.Open() != test.open {
			t.Errorf("%s: got %+v, open %v; want %+v, %v", name, got, got.Open(), test.want, test.open)
		}
	}
	if got := readSandboxSettings(t.TempDir()); got != (sandboxSettings{}) {
		t.Errorf("without a file: got %+v", got)
	}
}

func TestAgentSandbox(t *testing.T) {
	for _, test := range []struct {
		version  Version
		settings sandboxSettings
		want     []string
	}{
		{Version{0, 104, 0, ""}, sandboxSettings{}, []string{"codex", "sandbox", "linux", "--"}},
		{Version{0, 104, 0, ""}, sandboxSettings{"workspace-write", false}, []string{"codex", "sandbox", "linux", "--"}},
		{Version{0, 104, 0, ""}, sandboxSettings{"", true}, []string{"env"}},
		{Version{0, 169, 0, ""}, sandboxSettings{}, []string{"codex", "sandbox", "--"}},
		{Version{0, 169, 0, ""}, sandboxSettings{"read-only", true}, []string{"codex", "sandbox", "-c", `sandbox_mode="read-only"`, "--"}},
		{Version{0, 169, 0, ""}, sandboxSettings{"", true}, []string{"codex", "sandbox", "-c", `sandbox_mode="workspace-write"`,
			"-c", "sandbox_workspace_write.network_access=true", "--"}},
	} {
		if got := agentSandbox(test.version, test.settings); !slices.Equal(got, test.want) {
			t.Errorf("%v %+v: got %q, want %q", test.version, test.settings, got, test.want)
		}
	}
}
