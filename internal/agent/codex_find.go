package agent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"netwatchd/internal/probe"
	"netwatchd/internal/probe/execprobe"
)

// FindCodex returns the codex executable at path. If path is empty, it looks on the PATH and then where the package
// managers of Node install programs, because a systemd service does not have a shell's PATH. If it finds npm's
// launcher, it returns the native program behind it: the launcher needs node on the PATH, exits 0 on SIGTERM, and
// leaves the native program running when it is killed (measured with 0.104.0 and 0.169.0).
func FindCodex(path string) (string, error) {
	found, err := exec.LookPath(execprobe.FirstNonBlank(path, "codex"))
	if err != nil && path == "" {
		if elsewhere := installedElsewhere("codex", "@openai/codex"); elsewhere != "" {
			found, err = elsewhere, nil
		}
	}
	switch {
	case err != nil && path == "":
		return "", probe.Failf(probe.ExecNotFound, "codex is not on the PATH, nor in a directory of npm, nvm, volta, bun, "+
			"mise, pnpm or brew: install it with `npm install -g @openai/codex`, or set the probe's codex.path "+
			"(PATH is %q)", os.Getenv("PATH"))
	case errors.Is(err, fs.ErrPermission):
		return "", probe.Failf(probe.ExecStartFailed, "%w: this user may not run it", err)
	case err != nil:
		return "", probe.Failf(probe.ExecNotFound, "%w: correct the probe's codex.path", err)
	}
	if found, err = filepath.Abs(found); err != nil {
		return "", probe.Fail(probe.Internal, err)
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

// versionTimeout is short: codex answers in 15 ms, and a scrape may wait for it.
const versionTimeout = 3 * time.Second

// versionRetry is how long a failure is remembered. A program that hangs must not be started for every scrape.
const versionRetry = 10 * time.Minute

// versions remembers the answers of executables.
var versions sync.Map // executable -> *answer

type executable struct {
	path     string
	modified time.Time
	size     int64
}

// An answer is locked while its executable is asked, so that one that hangs is started once.
type answer struct {
	sync.Mutex
	version Version
	err     error
	at      time.Time // zero: not asked yet
}

// CodexVersion asks the executable at path, as FindCodex returns it, for its version. The answer is remembered until
// the file changes, a failure for ten minutes.
func CodexVersion(ctx context.Context, path string) (Version, error) {
	info, err := os.Stat(path)
	if err != nil {
		return Version{}, probe.Failf(probe.ExecNotFound, "%w: install codex, or correct the probe's codex.path", err)
	}
	key := executable{path, info.ModTime(), info.Size()}
	known, _ := versions.LoadOrStore(key, new(answer))
	a := known.(*answer)
	a.Lock()
	defer a.Unlock()
	if !a.at.IsZero() && (a.err == nil || time.Since(a.at) < versionRetry) {
		return a.version, a.err
	}
	v, err := askVersion(ctx, path)
	if ctx.Err() == nil { // otherwise the caller gave up, not codex
		a.version, a.err, a.at = v, err, time.Now()
	}
	return v, err
}

func askVersion(ctx context.Context, path string) (Version, error) {
	ctx, cancel := context.WithTimeout(ctx, versionTimeout)
	defer cancel()
	e, err := execprobe.Process{Argv: []string{path, "--version"}, Env: execprobe.Environment(nil)}.Run(ctx)
	if err == nil {
		err = e.Interrupted(ctx)
	}
	if err != nil {
		return Version{}, fmt.Errorf("%s --version: %w", path, err)
	}
	return readVersion(e)
}

func readVersion(e execprobe.ExitState) (Version, error) {
	v, ok := findVersion(e.Stdout)
	if e.Code != 0 || !ok {
		return Version{}, probe.Failf(
			probe.ExecUnexpectedOutput,
			"codex --version exited with code %d and printed %q: check that it is codex",
			e.Code,
			execprobe.Quote(execprobe.FirstNonBlank(e.Stdout, e.Stderr)),
		)
	}
	return v, nil
}
