package plan

import (
	"context"
	"os"
	"path/filepath"
	"slices"

	"netwatchd/internal/agent"
	"netwatchd/internal/config"
	"netwatchd/internal/host"
	"netwatchd/internal/probe"
	"netwatchd/internal/sandbox"
	"netwatchd/internal/watch"
)

// twin makes the service's lookups and requests inside the agent's sandbox, after a look at what is denied there.
func twin(c *config.Config, s config.Service) *watch.SandboxProbes {
	if s.Sandbox == nil {
		return nil
	}
	look := &probe.Probe{
		Spec:   probe.Spec{Service: s.Name, Name: probe.CheckSandbox, Kind: probe.KindHost, Target: "the sandbox", Role: probe.OfHost},
		Prober: host.Sandbox{},
	}
	probes := []*probe.Probe{look}
	for _, p := range s.Probes {
		if cheap := p.Kind == probe.KindDNS || p.Kind == probe.KindHTTP; cheap && len(probes) <= fewProbes {
			probes = append(probes, made(c, s, p, 0))
		}
	}
	if len(probes) == 1 {
		return nil
	}
	w := wrapperOf(c, s)
	t := &sandbox.Batch{Service: s.Name, Wrap: w.command, Env: w.env(), Dir: w.dir(), Timeout: s.Sandbox.Timeout, Probes: probes}
	return &watch.SandboxProbes{Interval: s.Sandbox.Interval, Run: t.Run}
}

// A wrapper is how a service's sandbox is started.
type wrapper struct {
	given []string // empty: as the installed codex wants it
	codex string   // its path; empty: on the PATH
	home  string   // the user's CODEX_HOME; empty: the usual one
	state string
}

func wrapperOf(c *config.Config, s config.Service) wrapper {
	w := wrapper{given: s.Sandbox.Command, state: c.Storage.Path}
	if p, ok := agentOf(s); ok {
		w.codex, w.home = p.Codex.Path, p.Codex.Home
	}
	return w
}

// env has the sandbox set up as the user has configured it: by the user's CODEX_HOME, not the one of our own that the
// agent's runs have.
func (w wrapper) env() []string {
	if w.home == "" {
		return nil
	}
	return []string{"CODEX_HOME=" + w.home}
}

// agentOf is the service's run of codex, if it has one.
func agentOf(s config.Service) (config.Probe, bool) {
	i := slices.IndexFunc(s.Probes, func(p config.Probe) bool { return p.Preset == "codex" })
	if i < 0 {
		return config.Probe{}, false
	}
	return s.Probes[i], true
}

// command is what runs the rest of its arguments in the sandbox. It is asked for each time: codex is upgraded while we run,
// and its command has changed between versions.
func (w wrapper) command(ctx context.Context) ([]string, error) {
	if len(w.given) > 0 && w.given[0] != "codex" {
		return w.given, nil
	}
	path, err := agent.FindCodex(w.codex)
	if err != nil {
		return nil, err
	}
	command := w.given
	if len(command) == 0 {
		version, err := agent.CodexVersion(ctx, path)
		if err != nil {
			return nil, err
		}
		command = agent.AgentSandbox(version, agent.ReadSandboxSettings(w.home))
	}
	if command[0] == "codex" {
		command = slices.Concat([]string{path}, command[1:])
	}
	return command, nil
}

// dir is an empty directory to start the sandbox in: codex reads a configuration from where it is started, and may make
// that place writable inside.
func (w wrapper) dir() string {
	dir := filepath.Join(w.state, "codex-empty")
	if os.MkdirAll(dir, 0o700) != nil { // someone else's configuration: a check by hand
		return os.TempDir()
	}
	return dir
}

// withoutAgent is c without what takes an agent, if there is none and nobody named what to watch: a host without codex is
// no host with a broken one.
func withoutAgent(c *config.Config) (_ *config.Config, notes []string) {
	if !c.Assumed {
		return c, nil
	}
	why := noAgent()
	if why == "" {
		return c, nil
	}
	less := *c
	less.Services = slices.Clone(c.Services)
	for i := range less.Services {
		s := &less.Services[i]
		s.Sandbox = nil
		s.Probes = slices.DeleteFunc(slices.Clone(s.Probes), func(p config.Probe) bool { return p.Kind == probe.KindExec })
	}
	return &less, []string{why + ": exec and sandbox are not tried"}
}

// noAgent says why there is no agent for this user; empty: there is one.
func noAgent() string {
	if _, err := agent.FindCodex(""); err != nil {
		return "no codex on the PATH"
	}
	// A system service's user: nobody can have signed in as it, or configured its sandbox.
	home, err := os.UserHomeDir()
	if os.Getenv("CODEX_HOME") == "" && (err != nil || home == "/") {
		return "this user has no home directory for codex"
	}
	return ""
}
