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

// A status is a prober that asks claude whether anyone is signed in: `claude auth status`, which costs no tokens
// (0.3 s) and answers without a network. With a key it also asks its service for the organization's settings. `claude
// doctor` is not asked: it always exits 0, and takes up to 23 s where there is no network.
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
	}
	return facts, nil
}
