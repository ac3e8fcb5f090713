package config

import (
	"slices"

	"netwatchd/internal/diagnose"
	"netwatchd/internal/probe"
)

// Presets are the agents that an exec probe can run. Each is also the name of the key with its settings.
var Presets = []string{codexPreset, "claude", "gemini", "opencode", "copilot"}

const codexPreset = "codex"

// agentEndpoints are the services of the other agents: what is requested, and the status that it is answered with.
var agentEndpoints = map[string]struct {
	method, url string
	status      int
}{
	// What claude itself requests before its first turn. By the documentation; not tried with the real service.
	"claude": {"HEAD", "https://api.anthropic.com/api/hello", 200},
	// Without a key; with a sign-in at Google the endpoint is another one.
	"gemini": {"GET", "https://generativelanguage.googleapis.com/v1beta/models", 403},
	// opencode's own gateway. The settings of opencode nearly always name another service.
	"opencode": {"GET", "https://opencode.ai/zen/v1/models", 200},
	// By public reports. Before a sign-in, and for some plans, the address is another one.
	"copilot": {"GET", "https://api.githubcopilot.com/_ping", 200},
}

// notRun are the presets of agents that are watched by their requests alone.
var notRun = []string{"copilot"}

// IsRun reports whether netwatchd runs the agent of a preset.
func IsRun(preset string) bool { return !slices.Contains(notRun, preset) }

// copilotRouting stands for what copilot requests of GitHub when it starts. It needs no sign-in and does not count
// against the 60 requests that GitHub allows an address in an hour, by its documentation.
const copilotRouting = "https://api.github.com/rate_limit"

// AgentService returns the built-in service of an agent other than codex.
func AgentService(preset string) Service {
	endpoint := agentEndpoints[preset]
	dns := defaultProbe("dns", probe.KindDNS, builtinDefaults)
	head := defaultProbe("head", probe.KindHTTP, builtinDefaults)
	head.URL, head.Method, head.Expect = mustURL(endpoint.url), endpoint.method, Expect{Status: []int{endpoint.status}}
	dns.Target = head.URL.Hostname()
	exec := defaultProbe("exec", probe.KindExec, builtinDefaults)
	exec.Preset = preset
	exec.agentDefaults()
	s := agentService(preset, dns, head, exec)
	if preset == "copilot" {
		routing := defaultProbe("routing", probe.KindHTTP, builtinDefaults)
		routing.URL, routing.Expect.Status = mustURL(copilotRouting), []int{200}
		s.Probes = []Probe{dns, head, routing, exec}
	}
	if preset == "claude" {
		s.Sandbox = new(defaultSandbox())
	}
	return s
}

// agentService returns a service that is not configured.
func agentService(preset string, probes ...Probe) Service {
	s := defaultService()
	s.Name, s.Probes, s.Owner, s.StatusPage = preset, probes, diagnose.Vendor, statusPages[preset]
	return s
}

// OtherPresets are all presets but codex, which is watched even where it is not installed.
func OtherPresets() []string {
	return slices.DeleteFunc(slices.Clone(Presets), func(p string) bool { return p == codexPreset })
}
