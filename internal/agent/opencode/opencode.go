// Package opencode knows opencode: how it is found, run and read, and where it sends its requests.
package opencode

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"netwatchd/internal/agent"
	"netwatchd/internal/clientrules"
	"netwatchd/internal/probe"
	"netwatchd/internal/probe/execprobe"
)

// program is how opencode is installed. npm's launcher is the native program itself.
// A run also gets the variables of its provider: see passed.
var program = agent.Program{Name: "opencode", Package: "opencode-ai",
	Variables: agent.Variables{"OPENCODE_AUTH_CONTENT"}}

// Agent describes opencode. All of it was measured with 1.18.33 against a mock; what real services answer is known from
// their documentation only.
func Agent() agent.Agent {
	return agent.Agent{
		Name:     program.Name,
		Find:     program.Find,
		Version:  program.Version,
		SignedIn: agent.SignedInBy(modeOf, errSignedOut),
		Client:   func(agent.Version) clientrules.Client { return clientrules.OpenCode() },
		Endpoint: func(s agent.Settings, _ agent.Version) agent.Endpoint { return setupOf(s).endpoint().Endpoint },
		Run:      func(s agent.Settings, _ []string) probe.Prober { return run{s} },
		Stub:     func(s agent.Settings) probe.Prober { return stubRun{s} },
		// A run takes six seconds of CPU.
		StubTimeout: 90 * time.Second,

		HomeVariable: "HOME",
		Variables:    program.Variables,
		Service:      "opencode.ai/zen",
		Install:      "npm install -g opencode-ai",
		SignIn:       "opencode auth login",
	}
}

func modeOf(home string) agent.Mode { return setupOf(agent.Settings{Home: home}).endpoint().Mode }

var errSignedOut = probe.Fail(probe.ExecNotLoggedIn,
	errors.New("opencode has no credentials for its model's provider: run `opencode auth login` as this user, or set the "+
		"provider's key"))

// A run is a prober that has opencode answer one short prompt. It costs tokens: one request of 2 KB.
//
// Success is exit code 0, a step that ended with the reason "stop", and the expected text. The run has directories of
// its own for everything that opencode writes, which are removed afterwards: its sessions would be in the user's list.
// The settings of the provider are copied, and the user's sign-ins linked, because opencode renews them in that file.
//
// opencode repeats a request that failed six times in two minutes, and without bound where a stream has no end (over
// 300 requests in 25 s after the page of a captive portal, 1.18.33). No setting changes that: the run is ended at the
// first error that it reports.
type run struct{ agent.Settings }

// Probe makes one run, within the deadline of ctx. Set one: opencode waits for a service that sends nothing.
func (r run) Probe(ctx context.Context) (probe.Facts, error) {
	p, temporary, err := r.command()
	if err != nil {
		return probe.Facts{Phase: probe.Executing}, err
	}
	return agent.Make(ctx, r.Settings, p, temporary, readReport)
}

// command returns the run and the directory with all that it writes, which is new each time and is to be removed.
func (r run) command() (p execprobe.Process, temporary string, err error) {
	path, err := program.Find(r.Path)
	if err != nil {
		return p, "", err
	}
	s := setupOf(r.Settings)
	e := s.endpoint()
	switch {
	case e.Mode == agent.SignedOut:
		return p, "", errSignedOut
	case e.credential.Type == "oauth" && s.data != "":
		if err := program.CanRenew(s.auth(), time.UnixMilli(e.credential.Expires), time.Now()); err != nil {
			return p, "", err
		}
	}
	p, temporary, err = r.process(path, e.model, e.ownSettings(s), s.passed(e))
	if err == nil {
		err = s.linkSignIns(temporary)
	}
	return p, temporary, err
}

// process returns a run with these settings and variables, and the directory with all that it writes. Without a model
// opencode chooses one.
func (r run) process(path, model string, settings map[string]any, env []string) (
	p execprobe.Process, temporary string, err error,
) {
	made, err := program.Directories(r.StateDir, "opencode-cache")
	if err != nil {
		return p, "", err
	}
	if temporary, err = program.Temporary(r.StateDir); err != nil {
		return p, "", err
	}
	if err := furnish(temporary, settings); err != nil {
		os.RemoveAll(temporary)
		return p, "", probe.Fail(probe.Internal, err)
	}
	env = slices.Concat(env, quiet, []string{"HOME=" + temporary, "TMPDIR=" + filepath.Join(temporary, "tmp"),
		"XDG_CONFIG_HOME=" + filepath.Join(temporary, "config"), "XDG_DATA_HOME=" + filepath.Join(temporary, "data"),
		"XDG_STATE_HOME=" + filepath.Join(temporary, "state"), "XDG_CACHE_HOME=" + made[0]})
	argv := slices.Concat([]string{path}, arguments)
	if model != "" {
		argv = append(argv, "--model", model)
	}
	argv = append(argv, "--", execprobe.FirstNonBlank(r.Prompt, agent.Prompt))
	return execprobe.Process{Argv: argv, Env: execprobe.Environment(env), Dir: filepath.Join(temporary, "work"),
		EndAt: endAt}, temporary, nil
}

// arguments make a run small: a request of 2 KB in place of 30 KB. Without a title opencode asks a model for one.
// Errors that are repeated are only in the log.
var arguments = []string{"run", "--format", "json", "--title", "probe", "--agent", "probe", "--pure", "--print-logs",
	"--log-level", "ERROR"}

// quiet keeps a run from requests that are not its own. The list of models is the one that is built into opencode.
var quiet = []string{"OPENCODE_DISABLE_MODELS_FETCH=1", "OPENCODE_DISABLE_AUTOUPDATE=1", "OPENCODE_DISABLE_LSP_DOWNLOAD=1",
	"OPENCODE_DISABLE_SHARE=1", "OPENCODE_DISABLE_PROJECT_CONFIG=1"}

// passed returns what a run gets beside the variables that every command gets: the key, the address, and the
// sign-ins, if a variable has them.
func (s setup) passed(e endpoint) []string {
	names := slices.Concat(program.Variables, e.provider.keys, e.settings.Providers[e.provider.id].Env,
		agent.Variables{e.provider.baseEnv})
	return slices.DeleteFunc(slices.Clone(s.env), func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		isOfProvider := e.provider.passed != "" && strings.HasPrefix(name, e.provider.passed)
		return !slices.Contains(names, name) && !isOfProvider
	})
}

// dataDir is below the directory of a run.
const dataDir = "data/opencode"

// furnish creates the directories of a run below dir, with its settings.
func furnish(dir string, settings map[string]any) error {
	config, data := filepath.Join(dir, "config/opencode"), filepath.Join(dir, dataDir)
	// With node_modules and a list that has its plugin library, opencode does not install that from npm's registry.
	for _, path := range []string{filepath.Join(config, "node_modules"), data, filepath.Join(dir, "state"),
		filepath.Join(dir, "work"), filepath.Join(dir, "tmp")} {
		if err := os.MkdirAll(path, 0o700); err != nil {
			return err
		}
	}
	text, err := json.Marshal(settings)
	if err != nil {
		return err
	}
	for name, text := range map[string][]byte{"opencode.json": text,
		"package-lock.json": []byte(`{"packages":{"":{"dependencies":{"@opencode-ai/plugin":"*"}}}}`)} {
		if err := os.WriteFile(filepath.Join(config, name), text, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// linkSignIns links the user's sign-ins into the directories of a run, and removes those if it cannot.
func (s setup) linkSignIns(dir string) error {
	if _, err := os.Stat(s.auth()); s.data == "" || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err := os.Symlink(s.auth(), filepath.Join(dir, dataDir, "auth.json")); err != nil {
		os.RemoveAll(dir)
		return probe.Fail(probe.Internal, err)
	}
	return nil
}

// settingsOf returns the settings that every run has: an agent without tools that answers once, and one provider.
func settingsOf(provider string) map[string]any {
	return map[string]any{
		"autoupdate": false, "share": "disabled", "snapshot": false, "enabled_providers": []string{provider},
		"agent": map[string]any{"probe": map[string]any{"mode": "primary", "steps": 1, "prompt": "Be brief.",
			"tools": map[string]bool{"*": false}}},
	}
}

// ownSettings are those of a run: the provider's, as they are.
func (e endpoint) ownSettings(s setup) map[string]any {
	own := settingsOf(e.provider.id)
	all, _ := e.settings.all["provider"].(map[string]any)
	one, _ := all[e.provider.id].(map[string]any)
	if s.BaseURL != "" {
		options, _ := one["options"].(map[string]any)
		one = with(one, "options", with(options, "baseURL", s.BaseURL))
	}
	if one != nil {
		own["provider"] = map[string]any{e.provider.id: one}
	}
	return own
}

// with returns a copy of m that has one more value.
func with(m map[string]any, key string, value any) map[string]any {
	added := maps.Clone(m)
	if added == nil {
		added = make(map[string]any)
	}
	added[key] = value
	return added
}
