package plan

import (
	"context"
	"slices"

	"netwatchd/internal/config"
	"netwatchd/internal/presets"
)

// withAgents returns the built-in configuration with a service for each agent that is installed and signed in. Codex
// is watched without either, unless there is another agent and no codex. Other configurations are returned as they are.
func withAgents(c *config.Config) *config.Config {
	if !c.Assumed {
		return c
	}
	var others []config.Service
	for _, preset := range config.OtherPresets() {
		if isInUse(preset) {
			others = append(others, config.AgentService(preset))
		}
	}
	if len(others) == 0 {
		return c
	}
	extended := *c
	extended.Services = others
	if whyNoAgent() == "" {
		extended.Services = slices.Concat(c.Services, others)
	}
	return &extended
}

// isInUse reports whether this user has the agent and is signed in to it. It reads files, and runs nothing.
func isInUse(preset string) bool {
	a := presets.Named(preset)
	path, err := a.Find("")
	return err == nil && a.SignedIn(context.Background(), path, "") == nil
}
