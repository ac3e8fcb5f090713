package parts

import (
	"os"
	"path/filepath"
	"testing"

	"netwatchd/internal/agent"
)

// CodexVersions are those whose sandboxes differ: Landlock and seccomp in the host's network, and bubblewrap with one of
// its own.
var CodexVersions = []string{"0.104.0", "0.169.0"}

// Codex is npm's launcher of that version, where `make codex` puts it. It skips the test where there is none.
func Codex(t testing.TB, version string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("../../../.cache/codex", version, "node_modules/.bin/codex"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Skipf("needs codex %s: make codex", version)
	}
	return path
}

// CodexSandbox is the command that runs the rest of its arguments as that codex runs the agent's commands.
func CodexSandbox(t testing.TB, version string) []string {
	t.Helper()
	path, err := agent.FindCodex(Codex(t, version))
	if err != nil {
		t.Fatal(err)
	}
	if version == "0.104.0" {
		return []string{path, "sandbox", "linux", "--full-auto", "--"}
	}
	return []string{path, "sandbox", "-c", `sandbox_mode="workspace-write"`, "--"}
}
