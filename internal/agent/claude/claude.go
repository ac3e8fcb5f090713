// Package claude knows Claude Code: how it is found, run and read, and where it sends its requests.
package claude

import (
	"context"
	"errors"
	"slices"
	"time"

	"netwatchd/internal/agent"
	"netwatchd/internal/clientrules"
	"netwatchd/internal/probe"
	"netwatchd/internal/probe/execprobe"
)

// program is how claude is installed. npm's launcher is the native program itself.
//
// Its own sign-in is in files. CLAUDE_CODE_OAUTH_TOKEN and ANTHROPIC_* are for those who have a token or a key.
var program = agent.Program{Name: "claude", Package: "@anthropic-ai/claude-code",
	Variables: slices.Concat(agent.Variables{"ANTHROPIC_*", "CLAUDE_CODE_USE_*", configDir, oauthToken}, certificates)}

// Agent describes Claude Code. All of it was measured with 2.1.332 against a mock; what the real service answers is
// known from its documentation only.
func Agent() agent.Agent {
	return agent.Agent{
		Name:     program.Name,
		Find:     program.Find,
		Version:  program.Version,
		SignedIn: agent.SignedInBy(modeOf, errSignedOut),
		Client:   func(agent.Version) clientrules.Client { return clientrules.Claude() },
		Endpoint: func(s agent.Settings, _ agent.Version) agent.Endpoint { return setupOf(s).endpoint().Endpoint },
		Run:      func(s agent.Settings, _ []string) probe.Prober { return run{s} },
		Stub:     func(s agent.Settings) probe.Prober { return stubRun{s} },
		// A run takes half a second on an idle machine.
		StubTimeout: 30 * time.Second,
		Status:      func(s agent.Settings, timeout time.Duration) probe.Prober { return status{s, timeout} },
		Policy:      policy,

		HomeVariable: configDir,
		Variables:    program.Variables,
		Service:      "api.anthropic.com/v1",
		Install:      "npm install -g @anthropic-ai/claude-code",
		SignIn:       "claude auth login",
	}
}

func modeOf(home string) agent.Mode { return setupOf(agent.Settings{Home: home}).endpoint().Mode }

var errSignedOut = probe.Fail(probe.ExecNotLoggedIn,
	errors.New("nobody is signed in: run `claude auth login` as this user, or set ANTHROPIC_API_KEY"))

// A run is a prober that has claude answer one short prompt. It costs tokens: one request of 2 KB.
//
// Success is exit code 0, a result that is no error, and the expected text in it. The run has no tools, hooks, plugins
// and MCP servers, an empty working directory, and does not retry. Address, sign-in and proxy are the user's. A sign-in
// in a file stays where it is, because claude renews it there. With a key or a token in the environment or in the
// settings, the run has a configuration directory of its own.
type run struct{ agent.Settings }

// Probe makes one run, within the deadline of ctx. Set one: claude waits for a service that accepts its request and
// sends nothing.
func (r run) Probe(ctx context.Context) (probe.Facts, error) {
	p, temporary, err := r.command()
	if err != nil {
		return probe.Facts{Phase: probe.Executing}, err
	}
	return agent.Make(ctx, r.Settings, p, temporary, readReport)
}

// cheap keeps a run from retrying and from requests that are not its own. By default claude retries ten times in three
// minutes, and sends 11 requests for a run that fails.
var cheap = []string{
	"CLAUDE_CODE_MAX_RETRIES=0", "CLAUDE_CODE_DISABLE_NONSTREAMING_FALLBACK=1",
	"CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC=1", "DISABLE_AUTOUPDATER=1",
	// Without it claude waits ten minutes for an answer. A short one comes within a second or two; the deadline of the
	// whole run is 90 s.
	"API_TIMEOUT_MS=20000",
}

// arguments make a run small: a request of 2 KB in place of 48 KB. No settings of the user are read, because they may
// have hooks; what decides where requests go is passed on by the environment.
var arguments = []string{"--output-format", "json", "--no-session-persistence", "--strict-mcp-config", "--tools", "",
	"--setting-sources", "", "--disable-slash-commands", "--system-prompt", "Be brief."}

// command returns the run and its directory for temporary files, which is new each time and is to be removed.
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
	case e.inFile:
		if err := s.canRenew(time.Now()); err != nil {
			return p, "", err
		}
	}
	home, dir, temporary, err := r.directories()
	if err != nil {
		return p, "", err
	}
	env := slices.Concat(s.passed(e), cheap, []string{"TMPDIR=" + temporary})
	if !e.inFile {
		env = append(env, configDir+"="+home)
	}
	argv := r.arguments(path)
	if e.helper != "" {
		argv = append(argv, "--settings", helperSettings(e.helper))
	}
	return execprobe.Process{Argv: argv, Env: execprobe.Environment(env), Dir: dir}, temporary, nil
}

// directories creates those of a run. The one for temporary files is new each time, and is to be removed.
func (r run) directories() (home, dir, temporary string, err error) {
	made, err := program.Directories(r.StateDir, "claude-home", "claude-empty")
	if err != nil {
		return "", "", "", err
	}
	temporary, err = program.Temporary(r.StateDir)
	return made[0], made[1], temporary, err
}

func (r run) arguments(path string) []string {
	argv := slices.Concat([]string{path, "-p", execprobe.FirstNonBlank(r.Prompt, agent.Prompt)}, arguments)
	return append(argv, "--model", execprobe.FirstNonBlank(r.Model, "haiku")) // the cheapest; an alias, so that it lasts
}

// passed returns what a run gets beside the variables that every command gets: credentials, addresses and the cloud
// provider's settings, of this process and of claude's settings files.
func (s setup) passed(e endpoint) []string {
	env := program.Variables.Of(s.env)
	if e.cloud {
		env = append(env, ofClouds.Of(s.env)...)
	}
	env = append(env, e.settings...)
	if s.Home != "" {
		env = append(env, configDir+"="+s.Home)
	}
	if s.BaseURL != "" {
		env = append(env, baseURL+"="+s.BaseURL)
	}
	return env
}

// certificates are claude's variables for those that it trusts, and for its own.
var certificates = agent.Variables{"CLAUDE_CODE_CERT_STORE", "CLAUDE_CODE_CLIENT_CERT", "CLAUDE_CODE_CLIENT_KEY",
	"CLAUDE_CODE_CLIENT_KEY_PASSPHRASE"}

// ofClouds are the variables from which Bedrock, Vertex and Foundry take their credentials.
var ofClouds = agent.Variables{"AWS_*", "GOOGLE_*", "GCLOUD_*", "CLOUD_ML_*", "VERTEX_*", "AZURE_*"}
