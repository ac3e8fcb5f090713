package codex

import (
	"context"
	"os/exec"
	"path/filepath"
	"runtime"

	"netwatchd/internal/agent"
)

// program is how codex is installed.
//
// OPENAI_API_KEY is not among its variables: `codex exec` ignores it (measured with 0.104.0 and 0.169.0) and reads
// CODEX_API_KEY. codex 0.104 sends its requests to OPENAI_BASE_URL, signed in or not.
var program = agent.Program{Name: "codex", Package: "@openai/codex",
	Variables: agent.Variables{"CODEX_*", "OPENAI_BASE_URL"}}

// Version asks the executable at path, as Find returns it, for its version: see [agent.Program.Version].
func Version(ctx context.Context, path string) (agent.Version, error) {
	return program.Version(ctx, path)
}

// Find returns the codex executable at path. If path is empty, it looks on the PATH and then where the package
// managers of Node install programs. If it finds npm's launcher, it returns the native program behind it: the launcher
// needs node on the PATH, exits 0 on SIGTERM, and leaves the native program running when it is killed (measured with
// 0.104.0 and 0.169.0).
func Find(path string) (string, error) {
	found, err := program.Find(path)
	if err != nil {
		return "", err
	}
	target, err := filepath.EvalSymlinks(found)
	if err != nil || filepath.Base(target) != "codex.js" {
		return found, nil
	}
	if native := nativeCodex(filepath.Dir(filepath.Dir(target))); native != "" {
		return native, nil
	}
	return found, nil
}

// nativeCodex returns the native program that belongs to npm's package in dir, or "". The package for the platform is
// where node would look for it: in a node_modules directory of dir or of a directory above it.
func nativeCodex(dir string) string {
	platform, triple := "codex-linux-x64", "x86_64-unknown-linux-musl"
	if runtime.GOARCH == "arm64" {
		platform, triple = "codex-linux-arm64", "aarch64-unknown-linux-musl"
	}
	vendors := []string{filepath.Join(dir, "vendor")}
	for up := dir; up != filepath.Dir(up); up = filepath.Dir(up) {
		vendors = append(vendors, filepath.Join(up, "node_modules", "@openai", platform, "vendor"))
	}
	for _, vendor := range vendors {
		for _, bin := range []string{"bin", "codex"} { // "bin" since 0.133 at the latest
			native, err := exec.LookPath(filepath.Join(vendor, triple, bin, "codex"))
			if err == nil {
				return native
			}
		}
	}
	return ""
}
