package agent

import (
	"context"
	"net/url"
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

	// Endpoint returns where a run with these settings sends its requests. ProbePath is what probes request below its
	// base URL.
	Endpoint  func(Settings, Version) Endpoint
	ProbePath string

	// Run returns the prober that makes one run; a wrapper is a command that runs the rest of its arguments.
	Run func(s Settings, wrapper []string) probe.Prober
	// Stub returns the prober that makes the same run against a stub of the service on this host: it needs neither the
	// network nor an account and costs no tokens, so it fails only with the installation.
	Stub func(Settings) probe.Prober
	// Status returns the prober that asks the agent about itself: whether anyone is signed in, and whether it reaches its
	// service. It costs no tokens, and takes at most the timeout once no run of ours is in its way. Nil: the agent has no
	// command for it.
	Status func(s Settings, timeout time.Duration) probe.Prober
	// Policy returns what the configuration in home (empty: the user's) allows the commands of the agent, and how to run
	// a command as the agent does. If that begins with Name, Name stands for the executable.
	Policy func(v Version, home string) Policy
	// HomeVariable names the directory with the agent's files, for a sandbox that is started with other files than the
	// user's.
	HomeVariable string

	Service string // the host and path of its own service, which nothing else uses

	Install, SignIn string // commands for advice
}

// Settings are how an agent is run. Empty values are the agent's own.
type Settings struct {
	Path, Home, StateDir, Model, Provider, BaseURL, Prompt, Expect string
}

// AtEndpoint returns the agent whose service has that URL, or nil.
func AtEndpoint(u *url.URL) *Agent {
	for i := range agents {
		host, path, _ := strings.Cut(agents[i].Service, "/")
		if strings.EqualFold(u.Hostname(), host) && (u.Path == "/"+path || strings.HasPrefix(u.Path, "/"+path+"/")) {
			return &agents[i]
		}
	}
	return nil
}

// Named returns the agent of a preset, or nil.
func Named(preset string) *Agent {
	for i := range agents {
		if agents[i].Name == preset {
			return &agents[i]
		}
	}
	return nil
}

var agents = []Agent{{
	Name:     "codex",
	Find:     FindCodex,
	Version:  CodexVersion,
	SignedIn: signedInCodex,
	Client:   codexClient, Launcher: "codex.js",
	Endpoint: func(s Settings, v Version) Endpoint { return codexWith(s).Endpoint(v) }, ProbePath: "responses",
	Run: func(s Settings, wrapper []string) probe.Prober {
		c := codexWith(s)
		c.Wrapper = wrapper
		return &c
	},
	Stub: func(s Settings) probe.Prober { return codexStubRun{codexWith(s)} },
	Status: func(s Settings, timeout time.Duration) probe.Prober {
		return codexStatus{codexWith(s), timeout}
	},
	Policy:       func(v Version, home string) Policy { return Codex{Home: home}.setup(v).policy() },
	HomeVariable: "CODEX_HOME",
	Service:      "chatgpt.com/backend-api/codex",
	Install:      "npm install -g @openai/codex",
	SignIn:       "codex login",
}}

func codexWith(s Settings) Codex {
	return Codex{
		Path: s.Path, Home: s.Home, StateDir: s.StateDir,
		Model: s.Model, Provider: s.Provider, BaseURL: s.BaseURL, Prompt: s.Prompt, Expect: s.Expect,
	}
}
