// Package gemini knows Gemini CLI: how it is found, run and read, and where it sends its requests.
package gemini

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"netwatchd/internal/agent"
	"netwatchd/internal/clientrules"
	"netwatchd/internal/probe"
	"netwatchd/internal/probe/execprobe"
	"netwatchd/internal/userfile"
)

// program is how gemini is installed: a script that needs node on the PATH.
var program = agent.Program{Name: "gemini", Package: "@google/gemini-cli",
	Variables: agent.Variables{"GEMINI_*", "GOOGLE_*"}}

// Agent describes Gemini CLI. All of it was measured with 0.61.0 against a mock; what the real service answers is known
// from its documentation only.
func Agent() agent.Agent {
	return agent.Agent{
		Name:     program.Name,
		Find:     program.Find,
		Version:  program.Version,
		SignedIn: agent.SignedInBy(modeOf, errSignedOut),
		Client: func(agent.Version) clientrules.Client {
			return clientrules.Gemini()
		},
		Endpoint: func(s agent.Settings, _ agent.Version) agent.Endpoint { return setupOf(s).endpoint().Endpoint },
		Run:      func(s agent.Settings, _ []string) probe.Prober { return run{s} },
		Stub:     func(s agent.Settings) probe.Prober { return stubRun{s} },
		// A run takes two seconds on an idle machine.
		StubTimeout: 30 * time.Second,

		HomeVariable: homeVariable,
		Variables:    program.Variables,
		Service:      "generativelanguage.googleapis.com/v1beta",
		Install:      "npm install -g @google/gemini-cli",
		SignIn:       "gemini",
	}
}

func modeOf(home string) agent.Mode { return setupOf(agent.Settings{Home: home}).endpoint().Mode }

var errSignedOut = probe.Fail(probe.ExecNotLoggedIn,
	errors.New("nobody is signed in: start `gemini` as this user and sign in, or set GEMINI_API_KEY"))

// Variables of gemini. homeVariable names the directory in which .gemini is.
const (
	homeVariable = "GEMINI_CLI_HOME"
	baseURL      = "GOOGLE_GEMINI_BASE_URL"
)

// Where the API is, by the kind of sign-in, and what is requested there without credentials: the first answers 403, the
// second 404 (by their documentation).
const (
	keyBaseURL   = "https://generativelanguage.googleapis.com"
	keyPath      = "v1beta/models"
	keyAnswer    = 403
	loginBaseURL = "https://cloudcode-pa.googleapis.com"
	loginAnswer  = 404
)

// setup is what decides how a gemini behaves.
type setup struct {
	agent.Settings
	dir string // .gemini; empty: there is none
	env []string
}

func setupOf(s agent.Settings) setup {
	made := setup{Settings: s, env: os.Environ()}
	home := execprobe.FirstNonBlank(s.Home, os.Getenv(homeVariable))
	if home == "" {
		if user, err := os.UserHomeDir(); err == nil && user != "/" {
			home = user
		}
	}
	if home != "" {
		made.dir = filepath.Join(home, ".gemini")
	}
	return made
}

// endpoint is where gemini sends its requests, and how.
type endpoint struct {
	agent.Endpoint
	kind   string   // security.auth.selectedType
	dotenv []string // name=value that gemini reads from its .env
}

// kinds of sign-in, as settings.json has them.
const (
	kindKey   = "gemini-api-key"
	kindLogin = "oauth-personal"
)

// endpoint follows gemini. The environment wins over its .env (the documentation; not measured).
func (s setup) endpoint() endpoint {
	e := endpoint{Endpoint: agent.Endpoint{Mode: agent.SignedOut}}
	source := ""
	if s.dir != "" {
		path := filepath.Join(s.dir, ".env")
		entries, err := userfile.ReadDotenv(path)
		e.Note(path, err)
		e.dotenv, source = entries, userfile.Short(path)
		e.SetReach(slices.DeleteFunc(slices.Clone(entries), isReadByNode), source)
	}
	s.signIn(&e)
	base, here := s.variable(e, baseURL)
	switch {
	case base != "" && here:
		e.Set(base, baseURL, "")
	case base != "":
		e.Set(base, source, baseURL)
	case e.kind == kindLogin:
		e.Set(loginBaseURL, "", "")
		e.KnownAnswer, e.Answer = true, loginAnswer
		return e
	case e.kind != "" && e.kind != kindKey:
		e.Source, e.Key = userfile.Short(filepath.Join(s.dir, "settings.json")), "security.auth.selectedType"
		e.Notes = append(e.Notes, e.Origin()+": the address is not known, so only runs of gemini test it")
		return e
	default:
		e.Set(keyBaseURL, "", "")
	}
	e.ProbePath = keyPath
	if e.KnownAnswer = e.BaseURL != nil && e.BaseURL.String() == keyBaseURL; e.KnownAnswer {
		e.Answer = keyAnswer
	}
	return e
}

// isReadByNode reports whether node reads a variable before gemini reads its .env, where it does not count (measured
// with 0.61.0 on node 20).
func isReadByNode(entry string) bool { return strings.HasPrefix(entry, "NODE_EXTRA_CA_CERTS=") }

// variable returns what gemini sees, and whether the environment has it.
func (s setup) variable(e endpoint, name string) (value string, here bool) {
	for i, list := range [][]string{s.env, e.dotenv} {
		for _, entry := range slices.Backward(list) {
			if value, ok := strings.CutPrefix(entry, name+"="); ok && strings.TrimSpace(value) != "" {
				return strings.TrimSpace(value), i == 0
			}
		}
	}
	return "", false
}

// signIn finds the kind of sign-in.
func (s setup) signIn(e *endpoint) {
	key, _ := s.variable(*e, "GEMINI_API_KEY")
	if s.dir != "" {
		path := filepath.Join(s.dir, "settings.json")
		text, err := userfile.Read(path)
		e.Note(path, err)
		var file struct {
			Security struct {
				Auth struct {
					Kind string `json:"selectedType"`
				} `json:"auth"`
			} `json:"security"`
		}
		// The file may have comments, which are not JSON: then the kind is that of the credentials.
		_ = json.Unmarshal(text, &file)
		e.kind = file.Security.Auth.Kind
		if _, err := os.Stat(s.login()); err == nil && (e.kind == kindLogin || e.kind == "" && key == "") {
			e.kind, e.Mode = kindLogin, agent.GoogleSignIn
			return
		}
	}
	switch {
	case key != "" && (e.kind == "" || e.kind == kindKey):
		e.kind, e.Mode = kindKey, agent.APIKey
	case e.kind != "" && e.kind != kindKey && e.kind != kindLogin: // Vertex AI, a cloud shell
		e.Mode = agent.ProviderCredentials
	}
}

func (s setup) login() string { return filepath.Join(s.dir, "oauth_creds.json") }

// model is a small one. Without a model gemini first asks another one which to use.
const model = "gemini-2.5-flash"

// ownSettings keep a run from retrying and from requests that are not its own.
const ownSettings = `{"security":{"auth":{"selectedType":%q}},"general":{"maxAttempts":1,"retryFetchErrors":false,` +
	`"enableAutoUpdate":false},"privacy":{"usageStatisticsEnabled":false}}`

// A run is a prober that has gemini answer one short prompt. It costs tokens: one request of 31 KB.
//
// Success is exit code 0, a response without an error, and the expected text in it. The run has a home, a working
// directory and one for temporary files of its own: each failure leaves the whole request there. The user's sign-in is
// linked into that home.
type run struct{ agent.Settings }

// Probe makes one run, within the deadline of ctx. Set one: with its default settings gemini retries for minutes.
func (r run) Probe(ctx context.Context) (probe.Facts, error) {
	p, temporary, err := r.command()
	if err != nil {
		return probe.Facts{Phase: probe.Executing}, err
	}
	return agent.Make(ctx, r.Settings, p, temporary, readReport)
}

func (r run) command() (p execprobe.Process, temporary string, err error) {
	path, err := program.Find(r.Path)
	if err != nil {
		return p, "", err
	}
	s := setupOf(r.Settings)
	e := s.endpoint()
	if e.Mode == agent.SignedOut {
		return p, "", errSignedOut
	}
	home, dir, temporary, err := r.directories(s, e)
	if err != nil {
		return p, "", err
	}
	env := slices.Concat(e.dotenv, program.Variables.Of(s.env), []string{homeVariable + "=" + home, "TMPDIR=" + temporary})
	if r.BaseURL != "" {
		env = append(env, baseURL+"="+r.BaseURL)
	}
	return execprobe.Process{Argv: r.arguments(path), Env: execprobe.Environment(env), Dir: dir}, temporary, nil
}

func (r run) arguments(path string) []string {
	return []string{path, "-p", execprobe.FirstNonBlank(r.Prompt, agent.Prompt), "--output-format", "json", "--skip-trust",
		"-m", execprobe.FirstNonBlank(r.Model, model)}
}

// directories creates those of a run. The one for temporary files is new each time, and is to be removed.
func (r run) directories(s setup, e endpoint) (home, dir, temporary string, err error) {
	made, err := program.Directories(r.StateDir, "gemini-home", "gemini-home/.gemini", "gemini-empty")
	if err != nil {
		return "", "", "", err
	}
	home, dir = made[0], made[2]
	if err := s.furnish(e, made[1]); err != nil {
		return "", "", "", probe.Fail(probe.Internal, err)
	}
	temporary, err = program.Temporary(r.StateDir)
	return home, dir, temporary, err
}
