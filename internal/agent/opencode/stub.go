package opencode

import (
	"context"
	"slices"

	"netwatchd/internal/agent"
	"netwatchd/internal/agent/stub"
	"netwatchd/internal/probe"
	"netwatchd/internal/probe/execprobe"
)

// A stubRun is a prober that makes the same run as run, but with a stub of a provider on 127.0.0.1. It tells whether
// the installation works without the network and the provider.
//
// The run costs no tokens and sends no credentials: it has a provider of its own with a made-up key, none of the user's
// settings, sign-ins and variables, and every other request of opencode ends at the stub, which is its proxy, too.
type stubRun struct{ agent.Settings }

// Probe makes one run, within the deadline of ctx.
func (r stubRun) Probe(ctx context.Context) (probe.Facts, error) {
	return stub.Run(ctx, r.Settings, stub.Messages(), r.command, readReport)
}

// The provider of the run and its model. No settings of the user's or the administrator's have the name.
const (
	stubProvider = "netwatchd-stub"
	stubModel    = "stub"
)

func (r stubRun) command(s *stub.Server) (p execprobe.Process, temporary string, err error) {
	path, err := program.Find(r.Path)
	if err != nil {
		return p, "", err
	}
	settings := settingsOf(stubProvider)
	settings["provider"] = map[string]any{stubProvider: map[string]any{
		"npm":     "@ai-sdk/anthropic", // built into opencode, so that it is not installed from npm's registry
		"options": map[string]any{"baseURL": s.BaseURL() + "/v1", "apiKey": s.Key()},
		"models":  map[string]any{stubModel: map[string]any{}},
	}}
	env := slices.Concat(s.Environment(), []string{
		// The administrator's settings may allow other providers only. opencode's own tests use the variable (1.18.33).
		"OPENCODE_TEST_MANAGED_CONFIG_DIR=" + filesOfNobody})
	return run(r).process(path, stubProvider+"/"+stubModel, settings, env)
}

// filesOfNobody is a directory that does not exist, and that nobody can create.
const filesOfNobody = "/proc/none"
