// Package agent holds what is known of each coding agent: how it is found, run, read and sandboxed.
package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"netwatchd/internal/probe"
	"netwatchd/internal/probe/execprobe"
)

// What Codex runs and expects unless told otherwise.
const (
	codexPrompt = "Reply with the two letters OK and nothing else"
	codexExpect = "OK"
)

// The ways a run reaches the service.
const (
	isolatedProvider    = "isolated" // a provider entry of ours, with retries off
	builtinProviderName = "builtin"  // codex's own, with its retries: one run may send thirty requests where one would do
)

// Codex is a prober that has the agent answer one short prompt. It costs tokens.
//
// Success is exit code 0, a completed turn, and the expected text in the agent's message. The run cannot touch what is the
// user's: it has a CODEX_HOME of its own, without the user's configuration, plugins and history, an empty working
// directory, a read-only sandbox, no tools to speak of and no retries. Only the sign-in is the user's: auth.json is a
// symbolic link to theirs, since a copy would be void as soon as either side renews it.
//
// If codex or the service refuses our own provider entry (a configuration error, a rejected model, an address that is not
// there), the run is made once more with codex's own provider; a run that was refused has cost no tokens. A refusal of
// the account is not tried again.
type Codex struct {
	Path     string // the executable; empty: codex on the PATH
	Home     string // the user's CODEX_HOME; empty: $CODEX_HOME, then ~/.codex
	StateDir string // ours: CODEX_HOME and working directory are made in it. Not under $TMPDIR: codex's sandbox refuses that
	Model    string // empty: the agent's default
	Provider string // BuiltinProvider; anything else is IsolatedProvider
	BaseURL  string // of the API; empty: as the way of signing in has it
	Prompt   string
	Expect   string
	Env      []string // name=value, added to the part of our own environment that a command is given

	// Wrapper is a command that runs the rest of its arguments, as [AgentSandbox] does: the run is then made inside, and the
	// wrapper itself has the user's CODEX_HOME, as the agent would have. Make such a run only after one outside: a sign-in
	// that is due to be renewed cannot be saved inside, and would be lost.
	Wrapper []string
}

// Probe makes one run, within the deadline of ctx. Set one: codex does not end by itself when a server accepts its request
// and says nothing, and since 0.155 some versions retry for ever (measured; 60 s covers every bounded case).
func (c Codex) Probe(ctx context.Context) (probe.Facts, error) {
	facts, err := c.attempt(ctx)
	ran := facts.Exit != nil
	if c.Provider == builtinProviderName || ctx.Err() != nil || !ran || !isRefusalOfProvider(err) {
		return facts, err
	}
	c.Provider = builtinProviderName
	facts, err = c.attempt(ctx)
	facts.Warnings = append(facts.Warnings, builtinProvider)
	return facts, err
}

func isRefusalOfProvider(err error) bool {
	class, known := probe.KnownClass(err)
	return known && slices.Contains([]probe.Class{probe.ExecConfigInvalid, probe.ExecModelRejected, probe.HTTPUnexpectedStatus}, class)
}

func (c Codex) attempt(ctx context.Context) (probe.Facts, error) {
	argv, env, dir, err := c.Command(ctx)
	if err != nil {
		return probe.Facts{Phase: probe.Executing}, err
	}
	e, facts, err := execprobe.Execute(ctx, execprobe.Process{Argv: argv, Env: env, Dir: dir})
	if err != nil {
		return facts, err
	}
	log := readCodexLog(e.Stdout, e.Stderr)
	log.configFiles = codexConfigFiles(lastValue(env, "CODEX_HOME"))
	log.fill(&facts)
	return facts, log.verdict(ctx, e, execprobe.FirstNonBlank(c.Expect, codexExpect))
}

// Command prepares a run and returns it, so that it can be made elsewhere too. It makes the directories, links the
// sign-in, and asks codex whether anyone is signed in: `codex exec` itself does not say so, it sends its request to another
// address without a token and calls the refusal a network fault.
func (c Codex) Command(ctx context.Context) (argv, env []string, dir string, err error) {
	path, err := FindCodex(c.Path)
	if err != nil {
		return nil, nil, "", err
	}
	home, dir, err := c.directories()
	if err != nil {
		return nil, nil, "", err
	}
	ours := "CODEX_HOME=" + home
	env = execprobe.Environment(append(slices.Clone(c.Env), ours))
	withKey, err := signedIn(ctx, path, env)
	if err != nil {
		return nil, nil, "", err
	}
	provider, more := c.provider(withKey)
	if len(c.Wrapper) > 0 {
		env, argv = c.wrapped(ours)
	}
	argv = slices.Concat(argv, []string{path}, frugal, provider)
	if c.Model != "" {
		argv = append(argv, "-m", c.Model)
	}
	return append(argv, execprobe.FirstNonBlank(c.Prompt, codexPrompt)), append(env, more...), dir, nil
}

// wrapped is the environment of the wrapper, and the command that gives the run inside our own CODEX_HOME.
func (c Codex) wrapped(ours string) (env, argv []string) {
	added := slices.Clone(c.Env)
	if c.Home != "" {
		added = append(added, "CODEX_HOME="+c.Home)
	}
	return execprobe.Environment(added), slices.Concat(c.Wrapper, []string{"env", ours})
}

// directories makes the run's CODEX_HOME and working directory, and links the user's sign-in into the former.
func (c Codex) directories() (home, dir string, err error) {
	if c.StateDir == "" {
		return "", "", probe.Fail(probe.Internal, errors.New("no directory for codex's state: set storage.path"))
	}
	state, err := filepath.Abs(c.StateDir)
	if err != nil {
		return "", "", probe.Fail(probe.Internal, err)
	}
	home, dir = filepath.Join(state, "codex-home"), filepath.Join(state, "codex-empty")
	if len(c.Wrapper) > 0 {
		// A sandbox that lets commands write does so in the directory they run in.
		dir = filepath.Join(state, "codex-inside")
		home = filepath.Join(dir, "home")
	}
	for _, d := range []string{home, dir} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return "", "", probe.Failf(probe.Internal, "%w: storage.path must be a directory this user may write", err)
		}
	}
	if err := unix.Access(home, unix.W_OK); err != nil {
		return "", "", probe.Failf(probe.Internal, "%s: %w: storage.path must be a directory this user may write", home, err)
	}
	return home, dir, c.linkSignIn(home)
}

// linkSignIn makes auth.json in home a link to the user's. codex writes it in place when the sign-in is renewed; where it
// cannot, the renewed one is lost and the stored one is spent, and the user is signed out: better not to run at all.
func (c Codex) linkSignIn(home string) error {
	users, err := c.usersHome()
	if err != nil || users == home {
		return nil // there is nothing to link: an API key may do, or a sign-in made in our own directory
	}
	target, link := filepath.Join(users, "auth.json"), filepath.Join(home, "auth.json")
	if err := unix.Access(target, unix.R_OK|unix.W_OK); errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return probe.Failf(probe.ExecHomeUnwritable, "%s: %w: codex must be able to write it, or a renewed sign-in is lost; "+
			"run as its owner, and leave it writable in the unit (ReadWritePaths=)", target, err)
	}
	old, err := os.Readlink(link)
	switch {
	case err == nil && old == target:
		return nil
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return nil // a file: someone has signed in for this daemon alone, which is better still
	}
	next := fmt.Sprintf("%s.%d", link, time.Now().UnixNano()) // renamed into place: two runs may do this at once
	if err := os.Symlink(target, next); err != nil {
		return probe.Fail(probe.Internal, err)
	}
	if err := os.Rename(next, link); err != nil {
		return probe.Fail(probe.Internal, err)
	}
	return nil
}

func (c Codex) usersHome() (string, error) {
	if home := execprobe.FirstNonBlank(c.Home, os.Getenv("CODEX_HOME")); home != "" {
		return filepath.Abs(home)
	}
	home, err := os.UserHomeDir()
	return filepath.Join(home, ".codex"), err
}

// helpTimeout bounds what codex answers without a network, in 15 ms: a machine that needs ten seconds is swapping.
const helpTimeout = 10 * time.Second

// SignedIn asks the codex at path, as FindCodex returns it, whether a run of it would have credentials: CODEX_API_KEY, or a
// sign-in in home (empty: the user's). It needs no network. Nil says that there are some, or that codex would not say.
func SignedIn(ctx context.Context, path, home string) error {
	var added []string
	if home != "" {
		added = append(added, "CODEX_HOME="+home)
	}
	_, err := signedIn(ctx, path, execprobe.Environment(added))
	return err
}

// signedIn asks whether a run would have credentials, and reports whether they are an API key.
func signedIn(ctx context.Context, path string, env []string) (withKey bool, err error) {
	if lastValue(env, "CODEX_API_KEY") != "" {
		return true, nil
	}
	ctx, cancel := context.WithTimeout(ctx, helpTimeout)
	defer cancel()
	e, err := execprobe.Process{Argv: []string{path, "login", "status"}, Env: env}.Run(ctx)
	if err != nil {
		return false, err
	}
	if err := e.Interrupted(ctx); err != nil {
		return false, err
	}
	return readSignIn(e)
}

// lastValue is what a command sees of an environment in which a name may stand twice.
func lastValue(env []string, name string) string {
	for _, entry := range slices.Backward(env) {
		if value, ok := strings.CutPrefix(entry, name+"="); ok {
			return value
		}
	}
	return ""
}

// readSignIn reads what `codex login status` said. What it does not understand is no reason not to try.
func readSignIn(e execprobe.ExitState) (withKey bool, err error) {
	if e.Code == 0 {
		return strings.Contains(e.Stdout+e.Stderr, "API key"), nil
	}
	err = readCodexLog("", e.Stderr).neverStarted(e.Code)
	switch class, _ := probe.KnownClass(err); class {
	case probe.ExecNotLoggedIn:
		return false, probe.Failf(probe.ExecNotLoggedIn, "nobody is signed in: run `codex login` as this user, or set CODEX_API_KEY")
	case probe.ExecUnexpectedExit:
		return false, nil
	}
	return false, err
}

// Where the API is, by the way of signing in.
const (
	chatGPTBaseURL = "https://chatgpt.com/backend-api/codex"
	apiBaseURL     = "https://api.openai.com/v1"
)

// provider is how the run reaches the service: flags, and additions to the environment.
//
// The built-in provider's retries cannot be turned off (codex refuses to have it redefined), so ours is another entry with
// the same address and, by requires_openai_auth, the same credentials; an API key in CODEX_API_KEY among them.
func (c Codex) provider(withKey bool) (flags, env []string) {
	base := c.BaseURL
	if c.Provider == builtinProviderName {
		if base == "" {
			return nil, nil
		}
		// 0.104 reads the variable, 0.169 the setting, and each ignores the other.
		return []string{"-c", "openai_base_url=" + quoted(base)}, []string{"OPENAI_BASE_URL=" + base}
	}
	if base == "" && withKey {
		base = apiBaseURL
	}
	entry := `model_providers.probe={name="probe",base_url=` + quoted(execprobe.FirstNonBlank(base, chatGPTBaseURL)) + `,wire_api="responses",` +
		`requires_openai_auth=true,request_max_retries=0,stream_max_retries=0,` +
		`stream_idle_timeout_ms=15000,` + // the default of 300 s outlasts every deadline; a short answer never pauses for 15 s
		`supports_websockets=false}` // one request, answered or not
	return []string{"-c", `model_provider="probe"`, "-c", entry}, nil
}

// quoted is a TOML string; JSON's escapes are TOML's, too.
func quoted(s string) string {
	b, _ := json.Marshal(s)
	return string(b)
}

// frugal is the part of the command line that keeps a run from costing, leaving behind and doing more than it must. One
// line fits every version: `-c features.X=false` is accepted for features a version does not have, --disable X is not
// (measured with 0.104.0 and 0.169.0). A request of 0.169 shrinks from 55 to 45 KB with its default model and to 26 KB with
// gpt-5.5; most of the rest is the model's own instructions. The code mode is left on: newest models have no other tools,
// and complain.
var frugal = append([]string{"exec", "--json", "--ephemeral", "--skip-git-repo-check", "-s", "read-only", "--color", "never"},
	settings(
		"features.unbounded_connection_retries=false", // since 0.155 they are on
		// What runs beside the turn, and litters CODEX_HOME with a clone each time github.com cannot be reached.
		"features.plugins=false", "features.apps=false", "features.remote_plugin=false", "analytics.enabled=false",
		`otel.metrics_exporter="none"`,
		// What fills the request.
		"features.shell_tool=false", "features.unified_exec=false", "features.shell_snapshot=false",
		"features.multi_agent=false", "features.browser_use=false", "features.browser_use_external=false",
		"features.computer_use=false", "features.image_generation=false", "features.view_image=false",
		"features.goals=false", "features.sleep_tool=false", "features.hooks=false",
		"features.workspace_dependencies=false", "features.tool_suggest=false", "features.skill_search=false",
		"features.skill_mcp_dependency_install=false", "features.memories=false", "features.in_app_browser=false",
		"skills.bundled.enabled=false", "skills.include_instructions=false", `web_search="disabled"`,
		"include_environment_context=false", "include_permissions_instructions=false",
	)...)

func settings(all ...string) []string {
	var flags []string
	for _, s := range all {
		flags = append(flags, "-c", s)
	}
	return flags
}
