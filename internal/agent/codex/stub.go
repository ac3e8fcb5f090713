package codex

import (
	"context"
	"maps"
	"slices"
	"strings"

	"netwatchd/internal/agent"
	"netwatchd/internal/agent/stub"
	"netwatchd/internal/probe"
	"netwatchd/internal/probe/execprobe"
)

// A codexStubRun is a prober that makes the same run as its Codex, but with a stub of the service on 127.0.0.1. It
// tells whether the installation works without the network and the service.
//
// The run costs no tokens and sends no credentials: it has no sign-in, its provider entry has a made-up key, and every
// other request of codex ends at the stub, which is its proxy, too. Nothing listens after Probe has returned.
type codexStubRun struct{ Codex }

// Probe makes one run, within the deadline of ctx.
func (c codexStubRun) Probe(ctx context.Context) (probe.Facts, error) {
	release, err := c.takeTurn(ctx)
	if err != nil {
		return probe.Facts{Phase: probe.Executing}, err
	}
	defer release()
	var env []string
	command := func(s *stub.Server) (p execprobe.Process, temporary string, err error) {
		p.Argv, p.Env, p.Dir, err = c.command(ctx, s)
		env = p.Env
		return p, "", err
	}
	read := func(e execprobe.ExitState) *codexLog { return readRun(env)(e) }
	return stub.Run(ctx, agent.Settings{Expect: c.Expect}, stub.Responses(), command, read)
}

// command prepares the run. It is that of [Codex.Command] with another provider and without credentials.
func (c codexStubRun) command(ctx context.Context, s *stub.Server) (argv, env []string, dir string, err error) {
	p, err := c.prepare(ctx)
	if err != nil {
		return nil, nil, "", err
	}
	env = program.Environment(append(slices.Clone(c.Env), "CODEX_HOME="+p.home))
	env = slices.DeleteFunc(append(env, p.endpoint.environment()...), func(entry string) bool {
		return strings.HasPrefix(entry, "CODEX_API_KEY=")
	})
	provider := stubProvider(s)
	if p.version.Compare(storesInMemory) >= 0 {
		provider = append(provider, settings(`cli_auth_credentials_store="ephemeral"`)...)
	}
	return c.arguments(p, provider), slices.Concat(env, s.Environment(), []string{stubKeyVariable + "=" + s.Key()}), p.dir, nil
}

// storesInMemory is the first version that is known to have a store of credentials without any sign-in (0.104.0,
// 0.169.0 and 0.171.0 were tried). Without a sign-in it sends no token, and 0.104 does not ask for a list of models
// before the turn, in vain and for 4 to 12 s.
var storesInMemory = agent.Version{Minor: 104}

// stubKeyVariable has the made-up key of a run: a provider entry names its key by a variable.
const stubKeyVariable = "NETWATCHD_STUB_KEY"

// stubProvider returns the flags that point a run to the stub.
func stubProvider(s *stub.Server) []string {
	entry := maps.Clone(probeEntry)
	entry["name"], entry["base_url"], entry["env_key"] = "stub", s.BaseURL(), stubKeyVariable
	return settings(`model_provider="stub"`, "model_providers.stub="+inlineTOML(entry))
}
