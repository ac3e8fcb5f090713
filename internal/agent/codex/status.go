package codex

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"netwatchd/internal/agent"
	"netwatchd/internal/agent/codexdoctor"
	"netwatchd/internal/codexconf"
	"netwatchd/internal/probe"
	"netwatchd/internal/probe/execprobe"
	"netwatchd/internal/userfile"
)

// codexStatus is a prober that asks codex about itself, without tokens: `codex login status`, then `codex doctor
// --network-only --json` where the version has it. Both read the user's own CODEX_HOME, as the user's codex does. Our
// runs do not: they have one of their own, with the sign-in alone. So it also finds a config.toml that codex rejects,
// and a proxy or a certificate that only codex uses.
//
// It never runs beside a run of ours: see takeTurn.
type codexStatus struct {
	Codex
	timeout time.Duration // of both commands together, once it is its turn
}

// Probe asks. Facts.Output says in a few words what codex reported, and what its version
// cannot report: that is no failure.
func (c codexStatus) Probe(ctx context.Context) (facts probe.Facts, err error) {
	facts.Phase = probe.Executing
	path, err := Find(c.Path)
	if err != nil {
		return facts, err
	}
	if home, err := c.usersHome(); err == nil {
		if err := canRenew(c.authFile(home)); err != nil { // see askDoctor
			return facts, err
		}
	}
	release, err := c.takeTurn(ctx)
	if err != nil {
		return facts, err
	}
	defer release()
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	begun := time.Now()
	defer func() { facts.Phases[probe.Executing] = probe.InSeconds(time.Since(begun)) }()

	version, _ := Version(ctx, path) // unknown: the commands themselves show what is wrong
	env := program.Environment(c.statusEnvironment())
	var notes []string
	note := func(text string) { notes = append(notes, text) }
	defer func() { facts.Output = execprobe.Quote(strings.Join(notes, ", ")) }()
	switch {
	case c.BaseURL == "" && c.Endpoint(version).Mode == agent.ProviderCredentials:
		note("the provider has credentials of its own")
	case lastValue(env, "CODEX_API_KEY") != "": // `codex login status` does not report it (measured with 0.104 and 0.169)
		note("signed in with CODEX_API_KEY")
	default:
		text, err := c.askSignIn(ctx, path, env, &facts)
		if err != nil {
			return facts, err
		}
		note(text)
	}
	if c.BaseURL != "" { // doctor would test the address of the user's codex
		note("no doctor, because codex.base_url is set")
		return facts, nil
	}
	text, err := c.askDoctor(ctx, path, env, version, &facts)
	if text != "" {
		note(text)
	}
	return facts, err
}

// statusEnvironment selects the CODEX_HOME: ours if it has a sign-in made for this daemon alone, else the user's.
func (c codexStatus) statusEnvironment() []string {
	home := c.Home
	if own, ok := c.ownSignIn(); ok {
		home = filepath.Dir(own)
	}
	if home == "" {
		return c.Env
	}
	return append(slices.Clone(c.Env), "CODEX_HOME="+home)
}

// ask runs codex with args and adds to facts how it ended.
func (c codexStatus) ask(
	ctx context.Context, path string, env []string, facts *probe.Facts, args ...string,
) (execprobe.ExitState, error) {
	e, ran, err := execprobe.Execute(ctx, execprobe.Process{
		Argv: slices.Concat([]string{path}, args), Env: env, Dir: c.emptyDirectory(),
	})
	facts.Exit = ran.Exit
	facts.Warnings = append(facts.Warnings, ran.Warnings...)
	facts.LeftProcesses = append(facts.LeftProcesses, ran.LeftProcesses...)
	if err == nil {
		err = e.Interrupted(ctx)
	}
	return e, err
}

// askSignIn asks who is signed in. codex prints part of a key, so that only the kind of sign-in is quoted.
func (c codexStatus) askSignIn(ctx context.Context, path string, env []string, facts *probe.Facts) (string, error) {
	e, err := c.ask(ctx, path, env, facts, "login", "status")
	if err != nil {
		return "", err
	}
	log := readCodexLog("", e.Stderr)
	facts.Warnings = append(facts.Warnings, log.warnings...)
	switch {
	case e.Code == 0 && strings.Contains(log.stderr, "ChatGPT"):
		return "signed in with ChatGPT", nil
	case e.Code == 0 && strings.Contains(log.stderr, "API key"):
		return "signed in with an API key", nil
	case e.Code == 0:
		return "signed in", nil
	case strings.Contains(log.stderr, signInUnreadable):
		// Its parser may quote what stands in auth.json. And a keyring may be open to the user's codex and not to ours.
		if err := c.brokenSignIn(); err != nil {
			return "", err
		}
		return "the sign-in cannot be read here", nil
	}
	log.configFiles = codexconf.Setup{Home: lastValue(env, "CODEX_HOME"), System: codexSystem}.Paths()
	if err := signInError(log, e.Code); err != nil {
		return "", err
	}
	return fmt.Sprintf("login status exited with code %d", e.Code), nil
}

// emptyDirectory returns where codex is started: it also reads a configuration from its working directory.
func (c codexStatus) emptyDirectory() string {
	dir := filepath.Join(c.StateDir, "codex-empty")
	if c.StateDir == "" || os.MkdirAll(dir, 0o700) != nil { // a check by a user who cannot write the daemon's storage
		return os.TempDir()
	}
	return dir
}

// signInUnreadable begins what `codex login status` prints if it cannot read auth.json or the keyring (0.104, 0.169).
const signInUnreadable = "Error checking login status"

// brokenSignIn returns what is wrong with auth.json, if it is there and is not JSON.
func (c codexStatus) brokenSignIn() error {
	home, err := c.usersHome()
	if err != nil {
		return nil
	}
	file := c.authFile(home)
	if text, err := userfile.Read(file); err == nil && !json.Valid(text) {
		return probe.Failf(probe.ExecNotLoggedIn, "%s is not valid JSON: run `codex login` as this user", userfile.Short(file))
	}
	return nil
}

// askDoctor has codex test its network: a HEAD of the endpoint, then a WebSocket upgrade (0.1 s; up to 15 s if nobody
// answers). It renews a sign-in that has expired (measured with 0.169.0), so it must not run where the new one could
// not be saved. A version without the command ends at once, with exit code 2 (0.104.0, 0.155.0, 0.162.0).
func (c codexStatus) askDoctor(
	ctx context.Context, path string, env []string, version agent.Version, facts *probe.Facts,
) (note string, err error) {
	e, err := c.ask(ctx, path, env, facts, "doctor", "--network-only", "--json")
	if err != nil {
		return "", err
	}
	if e.Code == 2 && strings.Contains(e.Stderr, "unexpected argument") {
		return fmt.Sprintf("no doctor in %s", version), nil
	}
	report := codexdoctor.Read(e.Stdout)
	facts.Status = report.Status
	if report.NoWebSocket {
		facts.Warnings = append(facts.Warnings, "codex_websocket_fallback")
	}
	if report.Denied {
		facts.Signals = append(facts.Signals, "os error 1")
	}
	switch {
	case !report.Understood:
		facts.Warnings = append(facts.Warnings, warnDoctorUnreadable)
		return fmt.Sprintf("the report of doctor (exit code %d) is not understood", e.Code), nil
	case report.Class != probe.OK:
		return "", probe.Fail(report.Class, errors.New("codex doctor: "+execprobe.Quote(report.Why)))
	case report.Why != "":
		return "doctor: " + report.Why, nil
	}
	return "doctor OK", nil
}
