// Package presets lists the agents that netwatchd knows.
package presets

import (
	"net/url"
	"slices"
	"strings"

	"netwatchd/internal/agent"
	"netwatchd/internal/agent/claude"
	"netwatchd/internal/agent/codex"
	"netwatchd/internal/agent/copilot"
	"netwatchd/internal/agent/gemini"
	"netwatchd/internal/agent/opencode"
)

var agents = []agent.Agent{codex.Agent(), claude.Agent(), gemini.Agent(), opencode.Agent(), copilot.Agent()}

// AtEndpoint returns the agent whose service has that URL, or nil.
func AtEndpoint(u *url.URL) *agent.Agent {
	for i := range agents {
		host, path, _ := strings.Cut(agents[i].Service, "/")
		if strings.EqualFold(u.Hostname(), host) && (u.Path == "/"+path || strings.HasPrefix(u.Path, "/"+path+"/")) {
			return &agents[i]
		}
	}
	return nil
}

// IsRouting reports whether an agent requests u, or another URL of its host, before every turn: its turns fail if that
// fails.
func IsRouting(u *url.URL) bool {
	return u != nil && slices.ContainsFunc(agents, func(a agent.Agent) bool {
		return a.RoutingPath != "" && u.Path == a.RoutingPath
	})
}

// Named returns the agent of a preset, or nil.
func Named(preset string) *agent.Agent {
	for i := range agents {
		if agents[i].Name == preset {
			return &agents[i]
		}
	}
	return nil
}
