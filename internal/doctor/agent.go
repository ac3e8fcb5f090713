package doctor

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"path"
	"slices"
	"time"

	"netwatchd/internal/agent"
	"netwatchd/internal/config"
	"netwatchd/internal/diagnose"
	"netwatchd/internal/humanize"
	"netwatchd/internal/plan"
	"netwatchd/internal/presets"
	"netwatchd/internal/probe"
)

// configuredCodex returns the settings of the first run of codex in the configuration, if there is one.
func (e *examination) configuredCodex() (config.Codex, bool) {
	for _, s := range e.Config.Services {
		for _, p := range s.Probes {
			if p.Preset == "codex" {
				return p.Codex, true
			}
		}
	}
	return config.Codex{}, false
}

// agents checks each agent that the configuration runs. Without a configuration these are codex and the agents that are
// installed and signed in; codex may then be missing if there is another one.
func (e *examination) agents(ctx context.Context) []Finding {
	var others []Finding
	derived, _ := plan.Derive(e.Config)
	for _, s := range derived.Services {
		for _, p := range s.Probes {
			if p.Preset != "" && p.Preset != "codex" {
				others = append(others, e.otherAgent(ctx, presets.Named(p.Preset), p.Codex)...)
			}
		}
	}
	codex, wanted := e.configuredCodex()
	if _, err := presets.Named("codex").Find(codex.Path); len(others) > 0 && (!wanted || err != nil && e.Config.Assumed) {
		return others
	}
	return append(e.codex(ctx), others...)
}

// otherAgent checks an agent that is not codex.
func (e *examination) otherAgent(ctx context.Context, a *agent.Agent, settings config.Codex) []Finding {
	found, err := a.Find(settings.Path)
	if err != nil {
		return one(a.Name, Fault, err.Error(), run(a.Install))
	}
	version, err := a.Version(ctx, found)
	if err != nil {
		return one(a.Name, Fault, err.Error(), run(a.Install))
	}
	all := one(a.Name, OK, fmt.Sprintf("%s, %s", version, found))
	endpoint := a.Endpoint(agent.Settings{Home: settings.Home, StateDir: e.Config.Storage.Path}, version)
	all = append(all, e.endpoint(ctx, endpoint, settings)...)
	if a.Run == nil {
		all = append(all, newFinding("run", Note, a.NoRun))
	}
	if err := a.SignedIn(ctx, found, settings.Home); err != nil {
		return append(all, newFinding("sign-in", Fault, err.Error(), run(a.SignIn)))
	}
	return append(all, newFinding("sign-in", OK, "this user is signed in"))
}

// codex checks that codex is installed and signed in, and reports its version.
func (e *examination) codex(ctx context.Context) []Finding {
	const check = "codex"
	codex, wanted := e.configuredCodex()
	if !wanted {
		return one(check, Note, "not configured")
	}
	a := presets.Named("codex")
	found, err := a.Find(codex.Path)
	if err != nil {
		outcome := Fault
		if e.Config.Assumed {
			outcome = Advice // no configuration asks for it, and the network is monitored without it
		}
		return one(check, outcome, "not found on the PATH: agent runs and the agent's sandbox are not monitored",
			run(a.Install))
	}
	version, err := a.Version(ctx, found)
	if err != nil {
		return one(check, Fault, err.Error(), run(a.Install))
	}
	all := one(check, OK, fmt.Sprintf("%s, %s", version, found))
	endpoint := a.Endpoint(agent.Settings{Home: codex.Home, StateDir: e.Config.Storage.Path}, version)
	all = append(all, e.endpoint(ctx, endpoint, codex)...)
	if endpoint.Mode == agent.ProviderCredentials {
		return append(all, newFinding("sign-in", OK, "not needed: the provider has its own credentials"))
	}
	if err := a.SignedIn(ctx, found, codex.Home); err != nil {
		return append(all, newFinding("sign-in", Fault, err.Error(), run(a.SignIn)))
	}
	return append(all, newFinding("sign-in", OK, "this user is signed in"))
}

// endpoint reports where the agent sends its requests and what decided it, files that cannot be read, and a base URL
// on this host where nothing listens.
func (e *examination) endpoint(ctx context.Context, endpoint agent.Endpoint, codex config.Codex) []Finding {
	const check = "endpoint"
	var all []Finding
	for _, note := range endpoint.Notes {
		all = append(all, newFinding(check, Advice, note))
	}
	switch {
	case codex.BaseURL != "":
		return append(all, newFinding(check, OK, "runs go to the base_url in "+e.Config.Origin()))
	case endpoint.BaseURL == nil:
		return append(all, newFinding(check, Note, "not known, because of "+endpoint.Origin()))
	}
	if address := endpoint.Listener(); address != "" {
		dialer := net.Dialer{Timeout: time.Second}
		if conn, err := dialer.DialContext(ctx, "tcp", address); err == nil {
			conn.Close()
		} else {
			return append(all, newFinding(check, Fault, endpoint.NothingListens()))
		}
	}
	return append(all, newFinding(check, OK, fmt.Sprintf("requests go to %s (%s), because of %s",
		endpoint.BaseURL, endpoint.Mode, endpoint.Origin())))
}

// sandbox starts the agent's sandbox in the same way as the daemon.
func (e *examination) sandbox(ctx context.Context) []Finding {
	var all []Finding
	derived, _ := plan.Derive(e.Config) // has the services of agents that no file names, and what their settings want
	for _, s := range e.Plan.Services {
		if s.SandboxProbes == nil {
			continue
		}
		start := time.Now()
		results, done := s.SandboxProbes.Run(ctx, sandboxTimeout)
		i := slices.IndexFunc(derived.Services, func(c config.Service) bool { return c.Name == s.Name })
		if done && i >= 0 {
			all = append(all, e.judgeSandbox(results, derived.Services[i], s.Expect.Sandbox, time.Since(start)))
		}
	}
	return all
}

// sandboxTimeout limits each attempt inside the sandbox. A closed sandbox fails at once, and whether an open one
// reaches the service does not matter here.
const sandboxTimeout = time.Second

func (e *examination) judgeSandbox(
	results []probe.Result, s config.Service, wanted diagnose.Want, took time.Duration,
) Finding {
	const check = "sandbox"
	i := slices.IndexFunc(results, func(r probe.Result) bool { return r.Role == probe.OfHost })
	if i < 0 { // it did not start: every result has the reason
		why := "it returned no results"
		if len(results) > 0 {
			why = results[0].Why
		}
		return newFinding(check, Fault, "does not start: "+why, run("netwatchd check -v # shows the attempt"))
	}
	state := "open"
	if results[i].Class == probe.LocalDenied && !slices.ContainsFunc(results, isForwarded) {
		state = "closed"
	}
	message := fmt.Sprintf("starts in %s; its network is %s", humanize.Latency(took), state)
	if want := wanted.String(); want != "any" && want != state && s.Sandbox.OwnProxy {
		return newFinding(check, Fault, message+", but the agent's settings want it "+want+": "+s.Sandbox.Advice,
			run("netwatchd check -v # shows the attempts"))
	} else if want != "any" && want != state {
		return newFinding(check, Fault, message+", but the configuration wants it "+want,
			e.switchSandbox(s.Sandbox, state))
	}
	return newFinding(check, OK, message+", as configured")
}

// isForwarded reports whether the sandbox's own proxy let the attempt through, however it ended then.
func isForwarded(r probe.Result) bool {
	return r.Kind == probe.KindHTTP && r.Proxy != "" && r.Class != probe.LocalDenied
}

// switchSandbox returns the change that gives the sandbox the wanted state: in codex's own configuration or, if
// another program makes the sandbox, in netwatchd's.
func (e *examination) switchSandbox(sandbox *config.Sandbox, state string) Change {
	if c := sandbox.Command; len(c) > 0 && c[0] != "codex" {
		return write(e.configFile(), "sandbox: {want: "+state+"} # or another command")
	}
	codex, _ := e.configuredCodex()
	return write(path.Join(cmp.Or(codex.Home, "~/.codex"), "config.toml"), `sandbox_mode = "workspace-write"`,
		"[sandbox_workspace_write]", fmt.Sprintf("network_access = %t", state == "closed"))
}
