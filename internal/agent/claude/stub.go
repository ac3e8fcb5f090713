package claude

import (
	"context"
	"slices"

	"netwatchd/internal/agent"
	"netwatchd/internal/agent/stub"
	"netwatchd/internal/probe"
	"netwatchd/internal/probe/execprobe"
)

// A stubRun is a prober that makes the same run as run, but with a stub of the service on 127.0.0.1. It tells whether
// the installation works without the network and the service.
//
// The run costs no tokens and sends no credentials: it has a made-up key, none of the user's variables and files, and
// every other request of claude ends at the stub, which is its proxy, too.
type stubRun struct{ agent.Settings }

// Probe makes one run, within the deadline of ctx.
func (r stubRun) Probe(ctx context.Context) (probe.Facts, error) {
	return stub.Run(ctx, r.Settings, stub.Messages(), r.command, readReport)
}

func (r stubRun) command(s *stub.Server) (p execprobe.Process, temporary string, err error) {
	path, err := program.Find(r.Path)
	if err != nil {
		return p, "", err
	}
	usual := run(r)
	home, dir, temporary, err := usual.directories()
	if err != nil {
		return p, "", err
	}
	env := slices.Concat(cheap, s.Environment(), []string{"TMPDIR=" + temporary, configDir + "=" + home,
		baseURL + "=" + s.BaseURL(), "ANTHROPIC_API_KEY=" + s.Key(),
		// The administrator's settings win over the environment, and may have another address, a proxy and a key. With it
		// claude takes these from the environment alone (2.1.332).
		"CLAUDE_CODE_PROVIDER_MANAGED_BY_HOST=1"})
	return execprobe.Process{Argv: usual.arguments(path), Env: execprobe.Environment(env), Dir: dir}, temporary, nil
}
