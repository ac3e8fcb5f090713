package agent

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"sync"
	"time"

	"netwatchd/internal/probe"
	"netwatchd/internal/probe/execprobe"
)

// FindCodex returns the codex executable at path, or on the PATH if path is empty. Where that is npm's launcher, the native
// program behind it is returned: the launcher needs node on the PATH, exits 0 when it is told to end, and leaves the native
// program running when it is killed (measured with 0.104.0 and 0.169.0).
func FindCodex(path string) (string, error) {
	found, err := exec.LookPath(execprobe.FirstNonBlank(path, "codex"))
	switch {
	case err != nil && path == "":
		return "", probe.Failf(probe.ExecNotFound, "codex is not on the PATH: install it with `npm install -g @openai/codex`, "+
			"or set the probe's codex.path (PATH is %q)", os.Getenv("PATH"))
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

// nativeCodex is the native program that belongs to npm's package in dir, or empty. The package for the platform lies
// where node would look for it: in a node_modules directory on the way up.
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
		for _, bin := range []string{"bin", "codex"} { // the former since 0.133 at the latest
			native, err := exec.LookPath(filepath.Join(vendor, triple, bin, "codex"))
			if err == nil {
				return native
			}
		}
	}
	return ""
}

// Version is a version of codex.
type Version struct{ Major, Minor, Patch int }

func (v Version) String() string { return fmt.Sprintf("%d.%d.%d", v.Major, v.Minor, v.Patch) }

// Compare orders versions, as cmp.Compare does.
func (v Version) Compare(w Version) int {
	return cmp.Or(cmp.Compare(v.Major, w.Major), cmp.Compare(v.Minor, w.Minor), cmp.Compare(v.Patch, w.Patch))
}

// versions remembers what the executables said; a file that has changed is asked anew.
var versions sync.Map // executable -> Version

type executable struct {
	path     string
	modified time.Time
	size     int64
}

var versionWords = regexp.MustCompile(`\b(\d+)\.(\d+)\.(\d+)`)

// CodexVersion asks the executable at path, as FindCodex returns it, for its version. The answer is remembered until the
// file changes.
func CodexVersion(ctx context.Context, path string) (Version, error) {
	info, err := os.Stat(path)
	if err != nil {
		return Version{}, probe.Failf(probe.ExecNotFound, "%w: install codex, or correct the probe's codex.path", err)
	}
	key := executable{path, info.ModTime(), info.Size()}
	if v, ok := versions.Load(key); ok {
		return v.(Version), nil
	}
	ctx, cancel := context.WithTimeout(ctx, helpTimeout)
	defer cancel()
	e, err := execprobe.Process{Argv: []string{path, "--version"}, Env: execprobe.Environment(nil)}.Run(ctx)
	if err == nil {
		err = e.Interrupted(ctx)
	}
	if err != nil {
		return Version{}, fmt.Errorf("codex --version: %w", err)
	}
	v, err := readVersion(e)
	if err == nil {
		versions.Store(key, v)
	}
	return v, err
}

func readVersion(e execprobe.ExitState) (Version, error) {
	m := versionWords.FindStringSubmatch(e.Stdout)
	if e.Code != 0 || m == nil {
		return Version{}, probe.Failf(probe.ExecUnexpectedOutput, "codex --version ended with exit code %d and said %q: is it codex at all?",
			e.Code, execprobe.Quote(execprobe.FirstNonBlank(e.Stdout, e.Stderr)))
	}
	var v Version
	for i, n := range []*int{&v.Major, &v.Minor, &v.Patch} {
		*n, _ = strconv.Atoi(m[i+1])
	}
	return v, nil
}

// sandboxWithoutSystem is the first version whose `codex sandbox` is not told the operating system. Newer ones take the
// word for the command to run, older ones insist on it (asked 0.104.0, 0.130.0, 0.133.0; 0.134.0, 0.135.0, 0.169.0).
var sandboxWithoutSystem = Version{0, 134, 0}

// SandboxCommand is how that version runs a command in its sandbox: put the command after it.
func sandboxCommand(v Version) []string {
	if v.Compare(sandboxWithoutSystem) < 0 {
		return []string{"codex", "sandbox", "linux", "--"}
	}
	return []string{"codex", "sandbox", "--"}
}
