package gemini

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"

	"netwatchd/internal/agent"
	"netwatchd/internal/agent/stub"
	"netwatchd/internal/probe"
	"netwatchd/internal/probe/execprobe"
	"netwatchd/internal/userfile"
)

// A stubRun is a prober that makes the same run as run, but with a stub of the service on 127.0.0.1. It tells whether
// the installation works without the network and the service.
//
// The run costs no tokens and sends no credentials: it has a home of its own without a sign-in, a made-up key, none of
// the user's variables, and every other request of gemini ends at the stub, which is its proxy, too.
type stubRun struct{ agent.Settings }

// Probe makes one run, within the deadline of ctx.
func (r stubRun) Probe(ctx context.Context) (probe.Facts, error) {
	return stub.Run(ctx, r.Settings, stub.Gemini(), r.command, readReport)
}

func (r stubRun) command(s *stub.Server) (p execprobe.Process, temporary string, err error) {
	path, err := program.Find(r.Path)
	if err != nil {
		return p, "", err
	}
	made, err := program.Directories(r.StateDir, "gemini-stub", "gemini-stub/.gemini", "gemini-empty")
	if err != nil {
		return p, "", err
	}
	settings := fmt.Appendf(nil, ownSettings, kindKey)
	if err := userfile.Replace(filepath.Join(made[1], "settings.json"), settings); err != nil {
		return p, "", probe.Fail(probe.Internal, err)
	}
	if temporary, err = program.Temporary(r.StateDir); err != nil {
		return p, "", err
	}
	none := filepath.Join(temporary, "none") // of the administrator's settings, which may have another kind of sign-in
	env := slices.Concat(s.Environment(), []string{homeVariable + "=" + made[0], "TMPDIR=" + temporary,
		baseURL + "=" + s.BaseURL(), "GEMINI_API_KEY=" + s.Key(),
		"GEMINI_CLI_SYSTEM_SETTINGS_PATH=" + none, "GEMINI_CLI_SYSTEM_DEFAULTS_PATH=" + none})
	argv := run(r).arguments(path)
	return execprobe.Process{Argv: argv, Env: execprobe.Environment(env), Dir: made[2]}, temporary, nil
}
