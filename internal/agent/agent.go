// Package agent has what is common to all coding agents: how one is described, found and asked for its version, and
// where it sends its requests. Each agent has a package of its own below this one.
package agent

import (
	"context"
	"net/url"
	"slices"
	"strings"
	"time"

	"netwatchd/internal/clientrules"
	"netwatchd/internal/probe"
)

// Agent is what is known of one coding agent. How a run is judged (its rule of success, its failures, tokens and
// warnings) is part of the prober that Run returns. A field is added when code uses it.
type Agent struct {
	Name string // the preset in the configuration, and the agent label of metrics

	// Find returns the executable at path; empty: the installed one. Version and SignedIn ask that executable.
	Find     func(path string) (string, error)
	Version  func(ctx context.Context, executable string) (Version, error)
	SignedIn func(ctx context.Context, executable, home string) error

	// Client returns how that version reaches its service, as it was released. Launcher is the file name of a script that
	// only starts the native program; empty: there is none.
	Client   func(Version) clientrules.Client
	Launcher string

	// Endpoint returns where a run with these settings sends its requests.
	Endpoint func(Settings, Version) Endpoint

	// Run returns the prober that makes one run; a wrapper is a command that runs the rest of its arguments. Nil: the
	// agent is not run, and NoRun says why, for people.
	Run   func(s Settings, wrapper []string) probe.Prober
	NoRun string
	// Stub returns the prober that makes the same run against a stub of the service on this host: it needs neither the
	// network nor an account and costs no tokens, so it fails only with the installation. Nil: there is none.
	Stub func(Settings) probe.Prober
	// StubTimeout is what that run may take at most: enough on a busy host, because a run that takes longer means that
	// the installation is broken.
	StubTimeout time.Duration
	// Status returns the prober that asks the agent about itself: whether anyone is signed in, and whether it reaches its
	// service. It costs no tokens, and takes at most the timeout once no run of ours is in its way. Nil: the agent has no
	// command for it.
	Status func(s Settings, timeout time.Duration) probe.Prober
	// Policy returns what the configuration in home (empty: the user's) allows the commands of the agent on the way to a
	// service with these addresses, and how to run a command as the agent does. If that begins with Name, Name stands for
	// the executable. Nil: not known.
	Policy func(v Version, home string, service []*url.URL) Policy
	// Wraps is whether Run obeys its wrapper. Otherwise the agent itself never runs in its sandbox.
	Wraps bool
	// HomeVariable names the directory with the agent's files, for a sandbox that is started with other files than the
	// user's.
	HomeVariable string

	Service string // the host and path of its own service, which nothing else uses
	// RoutingPath is the path of Endpoint.Routing, which nothing else uses; empty: there is none.
	RoutingPath string

	// Variables are those of this process's environment that processes of the agent may get beside the ones that every
	// command gets. No process of another agent gets them: they may hold a key.
	Variables Variables

	Install, SignIn string // commands for advice
}

// Variables are names of environment variables. One that ends in "*" stands for all names that begin so.
type Variables []string

// Of returns the entries of env, name=value, with these names.
func (v Variables) Of(env []string) []string {
	return slices.DeleteFunc(slices.Clone(env), func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		return !v.has(name)
	})
}

func (v Variables) has(name string) bool {
	return slices.ContainsFunc(v, func(own string) bool {
		begin, isPrefix := strings.CutSuffix(own, "*")
		return name == own || isPrefix && strings.HasPrefix(name, begin)
	})
}

// Settings are how an agent is run. Empty values are the agent's own.
type Settings struct {
	Path, Home, StateDir, Model, Provider, BaseURL, Prompt, Expect string
}

// A Policy is what an agent's configuration allows the commands that the agent runs, and how to run a command so.
type Policy struct {
	Network bool // commands have network access
	Asked   bool // the configuration asks for network access, with effect or without
	Proxied bool // the network is reached through the agent's own proxy only

	// Unprobed: there is no sandbox to probe. The commands run like any other process, or the program that starts the
	// sandbox is missing.
	Unprobed bool

	File   string // that decided, for people; empty: the default
	Words  string // all of it in one sentence; empty: by the fields above
	Advice string // what to do if the sandbox is not as it should be; empty: by the fields above
	Grant  string // how to let the sandbox reach the service; empty: not known
	Notes  []string

	Command    []string // runs its arguments as the agent runs its own commands
	RunCommand []string // the same, for a run of the agent itself, which writes files
	// Settings are the content of a file, whose path replaces [SettingsFile] in Command. Nil: there is none.
	Settings []byte
	// Proxy is whether the sandbox has a proxy of its own: variables with another proxy apply outside only.
	Proxy bool
}

// SettingsFile stands for the path of a file with Policy.Settings.
const SettingsFile = "{settings}"
