package claude

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"netwatchd/internal/agent"
	"netwatchd/internal/probe"
	"netwatchd/internal/probe/execprobe"
)

// A status is a prober that asks claude whether anyone is signed in, `claude auth status`, whether its sandbox starts,
// `claude sandbox status`, and whether it reaches its service, `claude doctor`: one after the other, without tokens, a
// second each. The first two answer without a network. With a key the first also asks the service for the
// organization's settings. The last waits 10 s for a service that does not answer.
type status struct {
	agent.Settings
	timeout time.Duration
}

// authStatus is what is read of its answer.
type authStatus struct {
	LoggedIn *bool  `json:"loggedIn"`
	Method   string `json:"authMethod"` // "claude.ai", "api_key", "api_key_helper", "oauth_token", "none"
}

// warnStatusUnreadable is the warning for an answer that is not understood.
const warnStatusUnreadable = "claude_status_unreadable"

// Probe asks. Facts.Output says in a few words what claude reported.
func (s status) Probe(ctx context.Context) (probe.Facts, error) {
	facts := probe.Facts{Phase: probe.Executing}
	path, err := program.Find(s.Path)
	if err != nil {
		return facts, err
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	made := setupOf(s.Settings)
	env := append(made.passed(made.endpoint()), cheap...)
	e, facts, err := execprobe.Execute(ctx, execprobe.Process{
		Argv: []string{path, "auth", "status"}, Env: execprobe.Environment(env), Dir: os.TempDir()})
	if err == nil {
		err = e.Interrupted(ctx)
	}
	if err != nil {
		return facts, err
	}
	var answer authStatus
	switch {
	case json.Unmarshal([]byte(e.Stdout), &answer) != nil || answer.LoggedIn == nil:
		facts.Warnings = append(facts.Warnings, warnStatusUnreadable)
		facts.Output = fmt.Sprintf("the answer of auth status (exit code %d) is not understood", e.Code)
	case !*answer.LoggedIn:
		return facts, errSignedOut
	default:
		facts.Output = execprobe.Quote("signed in: " + answer.Method)
		return facts, s.askMore(ctx, path, env, &facts)
	}
	return facts, nil
}

// askMore asks what the version can tell. The answer about the sign-in stands, whatever it is.
func (s status) askMore(ctx context.Context, path string, env []string, facts *probe.Facts) error {
	version, err := program.Version(ctx, path)
	if err != nil {
		return nil
	}
	if version.Compare(hasSandboxStatus) < 0 {
		facts.Output += fmt.Sprintf(", %v has no sandbox status", version)
		return nil
	}
	if err := askSandbox(ctx, path, env, facts); err != nil {
		return err
	}
	return s.askDoctor(ctx, path, facts)
}

// hasSandboxStatus is the oldest version that was tried. An older one may take the words for a prompt, which costs
// tokens, and its doctor may wait for a terminal.
var hasSandboxStatus = agent.Version{Major: 2, Minor: 1, Patch: 332}

// sandboxStatus is what is read of the answer of `claude sandbox status`.
type sandboxStatus struct {
	Enabled *bool  `json:"enabled"`           // in force: false also if it is unavailable
	Why     string `json:"unavailableReason"` // "sandbox is enabled but dependencies are missing: …"
}

// askSandbox asks whether the sandbox of claude's commands starts, and adds to facts what it reported. It fails if the
// settings have a sandbox that does not start: commands then run without one. An answer that is missing is no fault.
func askSandbox(ctx context.Context, path string, env []string, facts *probe.Facts) error {
	e, ran, err := execprobe.Execute(ctx, execprobe.Process{
		Argv: []string{path, "sandbox", "status"}, Env: execprobe.Environment(env), Dir: os.TempDir()})
	facts.LeftProcesses = append(facts.LeftProcesses, ran.LeftProcesses...)
	var answer sandboxStatus
	switch {
	case err != nil || json.Unmarshal([]byte(e.Stdout), &answer) != nil || answer.Enabled == nil:
		facts.Warnings = append(facts.Warnings, warnStatusUnreadable)
		facts.Output += ", the answer of sandbox status is not understood"
	case answer.Why != "":
		return probe.Failf(probe.ExecConfigInvalid, "claude sandbox status: %s", execprobe.Quote(answer.Why))
	case *answer.Enabled:
		facts.Output += ", sandbox on"
	default:
		facts.Output += ", sandbox off"
	}
	return nil
}
