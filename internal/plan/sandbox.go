package plan

import (
	"context"
	"net/url"
	"os"
	"path/filepath"
	"slices"

	"netwatchd/internal/agent"
	"netwatchd/internal/agent/codex"
	"netwatchd/internal/config"
	"netwatchd/internal/host"
	"netwatchd/internal/presets"
	"netwatchd/internal/probe"
	"netwatchd/internal/sandbox"
	"netwatchd/internal/watch"
)

// sandboxProbes returns the service's dns and http probes for the agent's sandbox, after a host check of what the
// sandbox denies. It returns nil without a sandbox or without these probes.
func sandboxProbes(c *config.Config, s config.Service) *watch.SandboxProbes {
	if s.Sandbox == nil {
		return nil
	}
	hostCheck := &probe.Probe{
		Spec: probe.Spec{
			Service: s.Name,
			Name:    probe.CheckSandbox,
			Kind:    probe.KindHost,
			Target:  "the sandbox",
			Role:    probe.OfHost,
		},
		Prober: host.Sandbox{},
	}
	probes := []*probe.Probe{hostCheck}
	for _, p := range s.Probes {
		if cheap := p.Kind == probe.KindDNS || p.Kind == probe.KindHTTP; cheap && len(probes) <= fullRoundProbes {
			probes = append(probes, insideProbe(c, s, p))
		}
	}
	if len(probes) == 1 {
		return nil
	}
	w := wrapperOf(c, s)
	b := &sandbox.Batch{
		Service: s.Name,
		Wrap:    w.command,
		Env:     w.env(),
		Dir:     w.dir(),
		Timeout: s.Sandbox.Timeout,
		Probes:  probes,
	}
	return &watch.SandboxProbes{Interval: s.Sandbox.Interval, Run: b.Run}
}

// insideProbe returns p for the sandbox. A proxy of the agent's files is for the program that starts the sandbox, if
// that has a proxy of its own: see wrapper.env.
func insideProbe(c *config.Config, s config.Service, p config.Probe) *probe.Probe {
	if s.Sandbox.OwnProxy {
		s.Reach.Env, s.Reach.EnvFile = nil, ""
	}
	return newProbe(c, s, p, 0)
}

// A wrapper starts a service's sandbox.
type wrapper struct {
	service    string       // its name
	urls       []*url.URL   // what its requests go to
	reach      []string     // name=value of proxies and certificates for the program that starts the sandbox
	configured []string     // sandbox.command; empty: the sandbox command of the installed agent
	agent      *agent.Agent // whose sandbox it is
	path       string       // the agent's executable; empty: the installed one
	home       string       // the directory with the agent's files; empty: the agent's default
	state      string       // netwatchd's storage directory
}

func wrapperOf(c *config.Config, s config.Service) wrapper {
	w := wrapper{configured: s.Sandbox.Command, agent: presets.Named("codex"), state: c.Storage.Path,
		service: s.Name, urls: requestsOf(s)}
	if s.Sandbox.OwnProxy {
		w.reach = s.Reach.Env
	}
	if p, ok := agentProbe(s); ok {
		w.agent, w.path, w.home = presets.Named(p.Preset), p.Codex.Path, p.Codex.Home
	}
	return w
}

// env makes the agent set up the sandbox as the user has configured it: with the user's files, not with the separate
// ones with which netwatchd runs the agent. Only a sandbox that the agent itself starts gets the agent's variables.
func (w wrapper) env() []string {
	env := slices.Clone(w.reach)
	if w.agent.Wraps {
		env = slices.Concat(w.agent.Variables.Of(os.Environ()), env)
	}
	if w.home != "" {
		env = append(env, w.agent.HomeVariable+"="+w.home)
	}
	return env
}

// requestsOf returns what the service's requests go to.
func requestsOf(s config.Service) (urls []*url.URL) {
	for _, p := range s.Probes {
		if p.Kind == probe.KindHTTP && p.URL != nil {
			urls = append(urls, p.URL)
		}
	}
	return urls
}

// agentProbe returns the service's exec probe that runs a known agent. It reports false if there is none.
func agentProbe(s config.Service) (config.Probe, bool) {
	i := slices.IndexFunc(s.Probes, func(p config.Probe) bool { return presets.Named(p.Preset) != nil })
	if i < 0 {
		return config.Probe{}, false
	}
	return s.Probes[i], true
}

// command returns the start of a command line that runs the rest of it in the sandbox. It is computed for every start:
// the agent may be upgraded while netwatchd runs, and its sandbox command has changed between versions.
func (w wrapper) command(ctx context.Context) ([]string, error) {
	return w.start(ctx, func(p agent.Policy) []string { return p.Command })
}

// runCommand is like command, for a run of the agent itself, which writes files.
func (w wrapper) runCommand(ctx context.Context) ([]string, error) {
	return w.start(ctx, func(p agent.Policy) []string { return p.RunCommand })
}

func (w wrapper) start(ctx context.Context, command func(agent.Policy) []string) ([]string, error) {
	if len(w.configured) > 0 && w.configured[0] != w.agent.Name {
		return w.configured, nil
	}
	if len(w.configured) == 0 && !w.agent.Wraps { // another program than the agent starts its sandbox
		return w.withSettings(w.agent.Policy(agent.Version{}, w.home, w.urls), command)
	}
	path, err := w.agent.Find(w.path)
	if err != nil {
		return nil, err
	}
	argv := w.configured
	if len(argv) == 0 {
		version, err := w.agent.Version(ctx, path)
		if err != nil {
			return nil, err
		}
		if argv, err = w.withSettings(w.agent.Policy(version, w.home, w.urls), command); err != nil {
			return nil, err
		}
	}
	if argv[0] == w.agent.Name {
		argv = slices.Concat([]string{path}, argv[1:])
	}
	return argv, nil
}

// inside returns how to run a command in the sandbox: see [snapshot.Options].
func (w wrapper) inside(ctx context.Context) (before, env []string, dir string, err error) {
	before, err = w.command(ctx)
	return before, w.env(), w.dir(), err
}

// dir returns an empty directory to start the sandbox in: codex reads a configuration from its working directory, and
// may make that directory writable inside.
func (w wrapper) dir() string {
	dir := filepath.Join(w.state, w.agent.Name+"-empty")
	if os.MkdirAll(dir, 0o700) != nil { // a check by a user who cannot write the daemon's storage
		return os.TempDir()
	}
	return dir
}

// withoutAgent returns c without the exec and sandbox probes if c is the built-in configuration and this user has no
// agent: an agent that was never installed is not a fault.
func withoutAgent(c *config.Config) (_ *config.Config, notes []string) {
	if !c.Assumed {
		return c, nil
	}
	why := whyNoAgent()
	if why == "" || c.Services[0].Name != "codex" { // withAgents has found other agents, and left codex out
		return c, nil
	}
	reduced := *c
	reduced.Services = slices.Clone(c.Services)
	for i := range reduced.Services {
		s := &reduced.Services[i]
		s.Sandbox = nil
		s.Probes = slices.DeleteFunc(slices.Clone(s.Probes), func(p config.Probe) bool { return p.Kind == probe.KindExec })
	}
	return &reduced, []string{why + ": agent runs and the agent's sandbox are not monitored"}
}

// whyNoAgent returns why this user has no agent; it is empty if there is one.
func whyNoAgent() string {
	if _, err := codex.Find(""); err != nil {
		return "codex was not found on the PATH"
	}
	// The user of a system service: nobody can have signed in or configured a sandbox as this user.
	home, err := os.UserHomeDir()
	if os.Getenv("CODEX_HOME") == "" && (err != nil || home == "/") {
		return "this user has no home directory, so no codex configuration"
	}
	return ""
}
