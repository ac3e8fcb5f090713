package agent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"netwatchd/internal/probe"
	"netwatchd/internal/probe/execprobe"
)

// A Program is how an agent is installed.
type Program struct {
	Name    string // of the executable, and of the key in the configuration that has its settings
	Package string // of npm

	Variables Variables // see Agent.Variables
}

// Environment returns the environment of a process of the program: what every command gets, the program's own
// variables, and added.
func (p Program) Environment(added []string) []string {
	return execprobe.Environment(slices.Concat(p.Variables.Of(os.Environ()), added))
}

// Find returns the executable at path. If path is empty, it looks on the PATH and then where the package managers of
// Node install programs, because a systemd service does not have a shell's PATH.
func (p Program) Find(path string) (string, error) {
	found, err := exec.LookPath(execprobe.FirstNonBlank(path, p.Name))
	if err != nil && path == "" {
		if elsewhere := installedElsewhere(p.Name, p.Package); elsewhere != "" {
			found, err = elsewhere, nil
		}
	}
	switch {
	case err != nil && path == "":
		return "", probe.Failf(probe.ExecNotFound, "%s is not on the PATH, nor in a directory of npm, nvm, volta, bun, "+
			"mise, pnpm or brew: install it with `npm install -g %s`, or set the probe's %[1]s.path "+
			"(PATH is %[3]q)", p.Name, p.Package, os.Getenv("PATH"))
	case errors.Is(err, fs.ErrPermission):
		return "", probe.Failf(probe.ExecStartFailed, "%w: this user may not run it", err)
	case err != nil:
		return "", probe.Failf(probe.ExecNotFound, "%w: correct the probe's %s.path", err, p.Name)
	}
	if found, err = filepath.Abs(found); err != nil {
		return "", probe.Fail(probe.Internal, err)
	}
	return found, nil
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

// Version asks the executable at path, as Find returns it, for its version. The answer is remembered until the file
// changes, a failure for ten minutes.
func (p Program) Version(ctx context.Context, path string) (Version, error) {
	info, err := os.Stat(path)
	if err != nil {
		return Version{}, probe.Failf(probe.ExecNotFound, "%w: install %s, or correct the probe's %[2]s.path", err, p.Name)
	}
	key := executable{path, info.ModTime(), info.Size()}
	known, _ := versions.LoadOrStore(key, new(answer))
	a := known.(*answer)
	a.Lock()
	defer a.Unlock()
	if !a.at.IsZero() && (a.err == nil || time.Since(a.at) < versionRetry) {
		return a.version, a.err
	}
	v, err := p.askVersion(ctx, path)
	if ctx.Err() == nil { // otherwise the caller gave up, not the agent
		a.version, a.err, a.at = v, err, time.Now()
	}
	return v, err
}

func (p Program) askVersion(ctx context.Context, path string) (Version, error) {
	ctx, cancel := context.WithTimeout(ctx, versionTimeout)
	defer cancel()
	e, err := execprobe.Process{Argv: []string{path, "--version"}, Env: p.Environment(nil)}.Run(ctx)
	if err == nil {
		err = e.Interrupted(ctx)
	}
	if err != nil {
		return Version{}, fmt.Errorf("%s --version: %w", path, err)
	}
	return p.readVersion(e)
}

func (p Program) readVersion(e execprobe.ExitState) (Version, error) {
	v, ok := FindVersion(e.Stdout)
	if e.Code != 0 || !ok {
		return Version{}, probe.Failf(
			probe.ExecUnexpectedOutput,
			"%s --version exited with code %d and printed %q: check that it is %[1]s",
			p.Name, e.Code,
			execprobe.Quote(execprobe.FirstNonBlank(e.Stdout, e.Stderr)),
		)
	}
	return v, nil
}
