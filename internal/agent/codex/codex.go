// Package codex knows the Codex CLI: how it is found, run, read and sandboxed, and where it sends its requests.
package codex

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"netwatchd/internal/agent"
	"netwatchd/internal/clientrules"
	"netwatchd/internal/probe"
	"netwatchd/internal/probe/execprobe"
	"netwatchd/internal/userfile"
)

// Codex is a prober that has the agent answer one short prompt. It costs tokens.
//
// Success is exit code 0, a completed turn, and the expected text in the agent's message. The run cannot change the
// user's files: it has its own CODEX_HOME, without the user's plugins and history, an empty working directory, a
// read-only sandbox and no tools. It does not retry. Provider, address, model and sign-in are the user's. auth.json is
// a symbolic link to the user's, because a copy becomes invalid when either side renews the token.
//
// If codex or the service refuses our own provider entry (a configuration error, a rejected model, an unexpected
// status), the run is repeated once with the user's own provider. A run that was refused has cost no tokens. If the
// account is refused, the run is not repeated.
type Codex struct {
	Path     string // the executable; empty: codex on the PATH
	Home     string // the user's CODEX_HOME; empty: $CODEX_HOME, then ~/.codex
	StateDir string // ours, for CODEX_HOME and the working directory; not under $TMPDIR, which codex's sandbox refuses
	Model    string // empty: the one in the user's files, then the agent's default
	Provider string // BuiltinProvider; anything else is a provider entry of ours, with retries off
	BaseURL  string // of the API; empty: the one that the user's codex would use
	Prompt   string
	Expect   string
	Env      []string // name=value, added to what [agent.Program.Environment] returns

	// Wrapper is a command that runs the rest of its arguments, as [agentSandbox] does. The run is then made inside,
	// and the wrapper itself has the user's CODEX_HOME, as the agent would. Make such a run only after one outside: a
	// token that is due for renewal cannot be saved inside, and would be lost.
	Wrapper []string
}

// Probe makes one run, within the deadline of ctx. Set one: codex does not end by itself when a server accepts its
// request and sends nothing, and since 0.155 some versions retry for ever (measured; 60 s covers every bounded case).
func (c Codex) Probe(ctx context.Context) (probe.Facts, error) {
	release, err := c.takeTurn(ctx)
	if err != nil {
		return probe.Facts{Phase: probe.Executing}, err
	}
	defer release()
	facts, err := c.run(ctx)
	if class, _ := probe.KnownClass(err); class == probe.ExecSignInMissing && c.BaseURL == "" {
		if e := c.Endpoint(agent.Version{}); e.sendsNoCredentials() {
			err = probe.Failf(probe.ExecConfigInvalid, "the provider %q sends no credentials: set env_key in %s, "+
				"model_providers.%s (%w)", e.provider, cmp.Or(e.Source, "config.toml"), e.provider, err)
		}
	}
	return facts, err
}

func (c Codex) run(ctx context.Context) (probe.Facts, error) {
	facts, err := c.attempt(ctx)
	ran := facts.Exit != nil
	if c.Provider == BuiltinProvider || ctx.Err() != nil || !ran || !isRefusalOfProvider(err) {
		return facts, err
	}
	c.Provider = BuiltinProvider
	facts, err = c.attempt(ctx)
	facts.Warnings = append(facts.Warnings, warnBuiltinProvider)
	return facts, err
}

func isRefusalOfProvider(err error) bool {
	class, known := probe.KnownClass(err)
	return known &&
		slices.Contains([]probe.Class{probe.ExecConfigInvalid, probe.ExecModelRejected, probe.HTTPUnexpectedStatus}, class)
}

func (c Codex) attempt(ctx context.Context) (probe.Facts, error) {
	argv, env, dir, err := c.Command(ctx)
	if err != nil {
		return probe.Facts{Phase: probe.Executing}, err
	}
	p := execprobe.Process{Argv: argv, Env: env, Dir: dir}
	return agent.Make(ctx, agent.Settings{Expect: c.Expect}, p, "", readRun(env))
}

// Command prepares a run and returns it, so that it can also be made elsewhere. It creates the directories, links the
// sign-in, derives the endpoint, and asks codex whether anyone is signed in: `codex exec` itself does not say so. It
// sends its request without a token and reports the refusal as a network fault.
func (c Codex) Command(ctx context.Context) (argv, env []string, dir string, err error) {
	p, err := c.prepare(ctx)
	if err != nil {
		return nil, nil, "", err
	}
	ours := "CODEX_HOME=" + p.home
	env = program.Environment(append(slices.Clone(c.Env), ours))
	if c.BaseURL != "" || p.endpoint.Mode != agent.ProviderCredentials {
		if err := signedIn(ctx, p.path, env); err != nil {
			return nil, nil, "", err
		}
	}
	provider, more := c.provider(p.endpoint)
	if len(c.Wrapper) > 0 {
		env, argv = c.wrapped(ours)
	}
	return slices.Concat(argv, c.arguments(p, provider)), slices.Concat(env, more), p.dir, nil
}

// A preparedRun is what every run needs: the executable, its CODEX_HOME and working directory, which exist, and where
// the user's codex sends its requests.
type preparedRun struct {
	path, home, dir string
	version         agent.Version // zero: unknown
	endpoint        Endpoint
}

func (c Codex) prepare(ctx context.Context) (p preparedRun, err error) {
	if p.path, err = Find(c.Path); err != nil {
		return p, err
	}
	if p.home, p.dir, err = c.directories(); err != nil {
		return p, err
	}
	p.version, _ = Version(ctx, p.path) // a run reports better than --version what is wrong
	p.endpoint = c.Endpoint(p.version)
	return p, nil
}

// arguments returns the command line of a run that uses provider.
func (c Codex) arguments(p preparedRun, provider []string) []string {
	argv := slices.Concat([]string{p.path}, cheapRunFlags, provider)
	if model := cmp.Or(c.Model, p.endpoint.Model); model != "" {
		argv = append(argv, "-m", model)
	}
	return append(argv, execprobe.FirstNonBlank(c.Prompt, agent.Prompt))
}

// wrapped returns the wrapper's environment, and the command that gives the run inside our own CODEX_HOME.
func (c Codex) wrapped(ours string) (env, argv []string) {
	added := slices.Clone(c.Env)
	if c.Home != "" {
		added = append(added, "CODEX_HOME="+c.Home)
	}
	return program.Environment(added), slices.Concat(c.Wrapper, []string{"env", ours})
}

// directories creates the run's CODEX_HOME and working directory, and links the user's sign-in into the CODEX_HOME.
func (c Codex) directories() (home, dir string, err error) {
	names := []string{"codex-home", "codex-empty"}
	if len(c.Wrapper) > 0 {
		// A sandbox that lets commands write allows it in their working directory.
		names = []string{"codex-inside/home", "codex-inside"}
	}
	made, err := program.Directories(c.StateDir, names...)
	if err != nil {
		return "", "", err
	}
	home, dir = made[0], made[1]
	if err := unix.Access(home, unix.W_OK); err != nil {
		return "", "", probe.Failf(probe.Internal, "%s: %w: storage.path must be a directory this user may write", home, err)
	}
	return home, dir, c.linkSignIn(home)
}

// linkSignIn makes auth.json in home a link to the user's. codex writes it in place when it renews the token. If it
// cannot write, the new token is lost, the stored one is already used, and the user is signed out: then no run is made
// at all.
func (c Codex) linkSignIn(home string) error {
	users, err := c.usersHome()
	if err != nil || users == home {
		return nil // nothing to link: there may be an API key, or a sign-in in our own directory
	}
	target, link := filepath.Join(users, "auth.json"), filepath.Join(home, "auth.json")
	if _, err := os.Stat(target); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err := canRenew(target); err != nil {
		return err
	}
	old, err := os.Readlink(link)
	switch {
	case err == nil && old == target:
		return nil
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return nil // a file: someone has signed in for this daemon alone, which is even better
	}
	next := fmt.Sprintf("%s.%d", link, time.Now().UnixNano()) // renamed into place: two runs may do this at the same time
	if err := os.Symlink(target, next); err != nil {
		return probe.Fail(probe.Internal, err)
	}
	if err := os.Rename(next, link); err != nil {
		return probe.Fail(probe.Internal, err)
	}
	return nil
}

// canRenew returns why codex could not save a renewed sign-in in file, or nil if it can, or if there is none.
func canRenew(file string) error {
	info, err := os.Stat(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil && !info.Mode().IsRegular() { // codex would wait at a named pipe until the timeout
		return probe.Failf(probe.ExecConfigInvalid, "%s is %s, not a regular file: remove it and run `codex login`",
			file, userfile.Kind(info.Mode()))
	}
	if err := unix.Access(file, unix.R_OK|unix.W_OK); err != nil {
		return probe.Failf(probe.ExecHomeUnwritable, "%s: %w: codex must be able to write it, or a renewed sign-in is lost; "+
			"run as its owner, and leave it writable in the unit (ReadWritePaths=)", file, err)
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

// authFile returns the file with the sign-in of a run: one made for this daemon alone, else the user's.
func (c Codex) authFile(usersHome string) string {
	if own, ok := c.ownSignIn(); ok {
		return own
	}
	return filepath.Join(usersHome, "auth.json")
}

// ownSignIn returns the file with a sign-in made for this daemon alone. It reports false if there is none: usually the
// file is a link to the user's.
func (c Codex) ownSignIn() (file string, ok bool) {
	if c.StateDir == "" {
		return "", false
	}
	file = filepath.Join(c.StateDir, "codex-home", "auth.json")
	info, err := os.Lstat(file)
	return file, err == nil && info.Mode().IsRegular()
}

// helpTimeout bounds questions that codex answers without a network, in 15 ms. A machine that needs ten seconds is
// swapping.
const helpTimeout = 10 * time.Second

// signedInCodex asks the codex at path, as Find returns it, whether a run of it would have credentials:
// CODEX_API_KEY, or a sign-in in home (empty: the user's). It needs no network. Nil means that it would, or that codex
// did not answer clearly.
func signedInCodex(ctx context.Context, path, home string) error {
	var added []string
	if home != "" {
		added = append(added, "CODEX_HOME="+home)
	}
	return signedIn(ctx, path, program.Environment(added))
}

func signedIn(ctx context.Context, path string, env []string) error {
	if lastValue(env, "CODEX_API_KEY") != "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, helpTimeout)
	defer cancel()
	e, err := execprobe.Process{Argv: []string{path, "login", "status"}, Env: env}.Run(ctx)
	if err != nil {
		return err
	}
	if err := e.Interrupted(ctx); err != nil {
		return err
	}
	return readSignIn(e)
}

// lastValue returns the value that a command sees if a name appears twice in its environment.
func lastValue(env []string, name string) string {
	value, _ := clientrules.EnvironmentOf(env)(name)
	return value
}

// readSignIn reads the output of `codex login status`. An answer that is not understood does not prevent a run.
func readSignIn(e execprobe.ExitState) error {
	if e.Code == 0 {
		return nil
	}
	return signInError(readCodexLog("", e.Stderr), e.Code)
}

// signInError returns why `codex login status` failed, or nil if its reason is not known.
func signInError(l *codexLog, exit int) error {
	err := l.neverStarted(exit)
	switch class, _ := probe.KnownClass(err); class {
	case probe.ExecNotLoggedIn:
		return probe.Failf(probe.ExecNotLoggedIn, "nobody is signed in: run `codex login` as this user, or set CODEX_API_KEY")
	case probe.ExecUnexpectedExit:
		return nil
	}
	return err
}

// cheapRunFlags keep a run from spending, leaving and doing more than it must. One command line fits every version:
// `-c features.X=false` is accepted for features that a version does not have, --disable X is not (measured with
// 0.104.0 and 0.169.0). A request of 0.169 shrinks from 55 to 45 KB with its default model and to 26 KB with gpt-5.5.
// Most of the rest is the model's own instructions. The code mode stays on: the newest models have no other tools, and
// complain.
var cheapRunFlags = append(
	[]string{"exec", "--json", "--ephemeral", "--skip-git-repo-check", "-s", "read-only", "--color", "never"},
	settings(
		"features.unbounded_connection_retries=false", // on since 0.155
		// These run beside the turn, and leave a clone in CODEX_HOME each time github.com cannot be reached.
		"features.plugins=false", "features.apps=false", "features.remote_plugin=false", "analytics.enabled=false",
		`otel.metrics_exporter="none"`,
		// These fill the request.
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
