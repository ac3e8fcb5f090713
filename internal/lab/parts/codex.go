package parts

import (
	"netwatchd/internal/agent/codex"
	"netwatchd/internal/probe/probetest"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// CodexVersions are two versions with different sandboxes: Landlock and seccomp in the host's network namespace, and
// bubblewrap with its own.
var CodexVersions = []string{"0.104.0", "0.169.0"}

// NewestCodex is in place of a version for the newest release, which `make codex-newest` installs. It is only tried if
// someone asks for it: its behavior is not known.
const NewestCodex = "newest"

// Codex is npm's launcher of this version, which `make codex` installs. It skips the test if it is missing.
func Codex(t testing.TB, version string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("../../../.cache/codex", version, "node_modules/.bin/codex"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Skipf("needs codex %s: make codex, make codex-newest", version)
	}
	return path
}

// CodexSandbox is the command prefix that runs a command as this codex runs the agent's commands.
func CodexSandbox(t testing.TB, version string) []string {
	t.Helper()
	path, err := codex.Find(Codex(t, version))
	if err != nil {
		t.Fatal(err)
	}
	if version == "0.104.0" {
		return []string{path, "sandbox", "linux", "--full-auto", "--"}
	}
	return []string{path, "sandbox", "-c", `sandbox_mode="workspace-write"`, "--"}
}

// ClaudeVersion is the version of Claude Code that `make claude` installs.
const ClaudeVersion = "2.1.332"

// OpencodeVersion is the version of opencode that `make opencode` installs.
const OpencodeVersion = "1.18.33"

// RuntimeVersion is the version of sandbox-runtime that `make srt` installs.
const RuntimeVersion = "0.0.83"

// Runtime is the program srt of sandbox-runtime, in whose sandbox Claude Code runs commands. It skips the test if it is
// missing.
func Runtime(t testing.TB) string {
	t.Helper()
	path := probetest.Installed(t, "srt", RuntimeVersion)
	for _, program := range []string{"node", "bwrap", "socat", "rg"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("sandbox-runtime needs %s: make setup", program)
		}
	}
	return path
}

// Claude is npm's launcher of Claude Code, which `make claude` installs. It skips the test if it is missing.
func Claude(t testing.TB) string {
	t.Helper()
	return probetest.Installed(t, "claude", ClaudeVersion)
}

// Opencode is npm's launcher of opencode, which `make opencode` installs. It skips the test if it is missing.
func Opencode(t testing.TB) string {
	t.Helper()
	return probetest.Installed(t, "opencode", OpencodeVersion)
}
