// Package snapshot records what a run of the agent depends on: programs, system, environment and configuration.
//
// A snapshot ends up in bug reports, so it contains no secrets.
package snapshot

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"netwatchd/internal/host"
	"netwatchd/internal/probe/execprobe"
	"netwatchd/internal/redact"
)

// A Snapshot describes this host at one point in time.
type Snapshot struct {
	At          time.Time     `json:"at"`
	LocalTime   string        `json:"local_time,omitempty"` // At in RFC 3339, with the offset of this host's time zone
	Zone        string        `json:"zone,omitempty"`       // the abbreviation of its time zone
	System      string        `json:"system"`               // the distribution's name
	Kernel      string        `json:"kernel"`
	Arch        string        `json:"arch"`
	WSL         host.WSLFacts `json:"wsl"`
	Programs    []Program     `json:"programs"`
	Environment []Setting     `json:"environment"` // the daemon's variables that matter to an agent
	Agent       *Agent        `json:"agent,omitempty"`
	Sandbox     *Sandbox      `json:"sandbox,omitempty"`
}

// A Sandbox is what a command of the agent finds in its sandbox.
type Sandbox struct {
	Environment []Setting `json:"environment"`     // the variables that matter to an agent
	Fault       string    `json:"fault,omitempty"` // why the environment is unknown
}

// A Program is the agent itself or a program that it may run.
type Program struct {
	Name    string `json:"name"`
	Version string `json:"version,omitempty"` // as the program prints it
	Path    string `json:"path,omitempty"`
	Fault   string `json:"fault,omitempty"` // why there is no version
}

// A Setting is a name and a value.
type Setting struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Options select the agent.
type Options struct {
	Agent bool   // whether the configuration runs one
	Path  string // of its executable; empty: on the PATH
	Home  string // its CODEX_HOME; empty: $CODEX_HOME, or ~/.codex
	State string // netwatchd's directory, for files that the agent must not write to its own home

	// Sandbox returns how to run a command in the agent's sandbox: what to put before it, environment variables to add
	// and the directory. Nil: the configuration has no sandbox.
	Sandbox func(ctx context.Context) (before, env []string, dir string, err error)
}

// Take takes a snapshot. It starts programs and takes one or two seconds.
func Take(ctx context.Context, o Options) *Snapshot {
	now := time.Now().Truncate(time.Second)
	zone, _ := now.Zone()
	s := &Snapshot{At: now.UTC(), LocalTime: now.Format(time.RFC3339), Zone: zone,
		System: distribution(), Kernel: kernel(), Arch: runtime.GOARCH,
		WSL: host.WSL(), Environment: environment(os.Environ())}
	if o.Agent {
		s.Agent = describeAgent(ctx, o)
		s.Programs = append(s.Programs, s.Agent.Program)
	}
	for _, name := range []string{"node", "python3"} {
		s.Programs = append(s.Programs, describe(ctx, name))
	}
	if o.Sandbox != nil {
		s.Sandbox = describeSandbox(ctx, o)
	}
	return s
}

// describeSandbox runs env(1) in the sandbox. Entries end with NUL: a value can have several lines.
func describeSandbox(ctx context.Context, o Options) *Sandbox {
	s := &Sandbox{Environment: []Setting{}}
	before, env, dir, err := o.Sandbox(ctx)
	var out string
	if err == nil {
		out, err = runIn(ctx, dir, execprobe.Environment(env), slices.Concat(before, []string{"env", "-0"})...)
	}
	if err != nil {
		s.Fault = redact.String(err.Error())
		return s
	}
	s.Environment = environment(strings.Split(out, "\x00"))
	return s
}

func distribution() string {
	text, _ := os.ReadFile("/etc/os-release")
	for line := range strings.Lines(string(text)) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), "PRETTY_NAME="); ok {
			return strings.Trim(name, `"'`)
		}
	}
	return runtime.GOOS
}

func kernel() string {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return "unknown"
	}
	return unix.ByteSliceToString(u.Release[:]) + " " + unix.ByteSliceToString(u.Version[:])
}

// The variables that decide where requests go, which certificates they trust, and whether this is a sandbox.
var (
	relevant = []string{"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY",
		"SSL_CERT_FILE", "SSL_CERT_DIR", "NODE_EXTRA_CA_CERTS",
		"RES_OPTIONS", "LOCALDOMAIN", "REQUESTS_CA_BUNDLE", "GODEBUG"}
	relevantPrefixes = []string{"CODEX_", "OPENAI_", "WSL"}
)

func environment(all []string) []Setting {
	kept := []Setting{}
	for _, entry := range all {
		name, value, _ := strings.Cut(entry, "=")
		upper := strings.ToUpper(name)
		hasPrefix := func(prefix string) bool { return strings.HasPrefix(upper, prefix) }
		if slices.Contains(relevant, upper) || slices.ContainsFunc(relevantPrefixes, hasPrefix) {
			kept = append(kept, Setting{name, redact.Named(name, value)})
		}
	}
	slices.SortFunc(kept, func(a, b Setting) int { return strings.Compare(a.Name, b.Name) })
	return kept
}

func describe(ctx context.Context, name string) Program {
	path, err := exec.LookPath(name)
	if err != nil {
		return Program{Name: name, Fault: "not on the PATH"}
	}
	p := Program{Name: name, Path: path}
	out, err := run(ctx, nil, path, "--version")
	if err != nil {
		p.Fault = redact.String(err.Error())
		return p
	}
	p.Version = redact.String(redact.Line(out, 100))
	return p
}

const (
	// runTimeout limits a program that prints its version: usually a tenth of a second, but seconds on a host that swaps.
	runTimeout = 5 * time.Second
	// outputLimit limits its output. The longest is a list of about two hundred features.
	outputLimit = 64 << 10
)

// run runs a program without input and returns its standard output. After the timeout, all of its processes are killed.
// Without env, the program gets the part of our environment that commands get.
func run(ctx context.Context, env []string, path string, args ...string) (string, error) {
	return runIn(ctx, "/", env, slices.Concat([]string{path}, args)...)
}

func runIn(ctx context.Context, dir string, env []string, argv ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, runTimeout)
	defer cancel()
	if env == nil {
		env = execprobe.Environment(nil)
	}
	e, err := execprobe.Process{Argv: argv, Env: env, Dir: dir}.Run(ctx)
	if err == nil {
		err = e.Interrupted(ctx)
	}
	if err == nil && e.Code != 0 {
		err = fmt.Errorf("exit status %d", e.Code)
	}
	return e.Stdout[:min(len(e.Stdout), outputLimit)], err
}

func codexHome(o Options) string {
	if o.Home != "" {
		return o.Home
	}
	if home := os.Getenv("CODEX_HOME"); home != "" {
		return home
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return ""
	}
	return filepath.Join(home, ".codex")
}
