package claude

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"netwatchd/internal/probe"
	"netwatchd/internal/probe/execprobe"
)

// askDoctor has claude test its connection to its own service, `claude doctor`, and adds to facts what it reported:
// whether claude itself gets an answer, with its own resolver, proxy and certificates. It costs no tokens.
//
// It runs without credentials and with a home of its own, which is removed. With a key it first asks the service for
// the organization's settings, up to 18 times in 23 s, and then does not test the connection; and it writes its
// configuration, backups, telemetry and logs of npm (measured with 2.1.332). Elsewhere than at its own service it is
// not asked: it requests /api/hello, which a gateway need not have.
//
// The report is for people and the exit code is always 0, so a report that is not understood is no failure.
func (s status) askDoctor(ctx context.Context, path string, facts *probe.Facts) error {
	made := setupOf(s.Settings)
	e := made.endpoint()
	if e.cloud || !e.KnownAnswer {
		return nil
	}
	home, err := os.MkdirTemp("", "netwatchd-claude-doctor-")
	if err != nil {
		return probe.Fail(probe.Internal, err)
	}
	defer os.RemoveAll(home)
	ended, ran, err := execprobe.Execute(ctx, execprobe.Process{
		Argv: []string{path, "doctor"}, Env: execprobe.Environment(made.ofDoctor(e, home)), Dir: home})
	facts.LeftProcesses = append(facts.LeftProcesses, ran.LeftProcesses...)
	if err == nil {
		err = ended.Interrupted(ctx)
	}
	if err != nil {
		return err
	}
	said, err := readDoctor(ended.Stdout)
	if said == "" && err == nil {
		facts.Warnings = append(facts.Warnings, warnStatusUnreadable)
		said = "the report of doctor is not understood"
	}
	if said != "" {
		facts.Output += ", " + said
	}
	return err
}

// ofDoctor returns what doctor gets beside the variables that every command gets: no credentials, but proxies and
// certificates of claude's settings files.
func (s setup) ofDoctor(e endpoint, home string) []string {
	env := slices.Clone(e.Reach)
	env = append(env, certificates.Of(slices.Concat(s.env, e.settings))...)
	return append(env, "HOME="+home, "TMPDIR="+home, configDir+"="+filepath.Join(home, ".claude"), "DISABLE_TELEMETRY=1",
		"DISABLE_AUTOUPDATER=1",
		"CLAUDE_CODE_PROVIDER_MANAGED_BY_HOST=1") // no key and helper of the administrator's: see stubRun
}

// connectivity is doctor's line about the service: "- API (api.anthropic.com) via HTTPS_PROXY: failed after 2 ms: …".
var connectivity = regexp.MustCompile(
	`(?m)^- (API \([^)\n]+\)[^:\n]*): (?:(answered HTTP \d+)|failed after [\d.]+ m?s: ([^\n]+)|(no answer) in [^\n]+)`)

// readDoctor returns in a few words what doctor reported of the connection; empty if it is not understood. Any answer
// will do: other probes judge it.
func readDoctor(text string) (said string, err error) {
	m := connectivity.FindStringSubmatch(text)
	switch {
	case m == nil && strings.Contains(text, "\nAPI connectivity\n- Not tested: "):
		return "doctor tested nothing", nil
	case m == nil:
		return "", nil
	case m[2] != "":
		return "doctor OK", nil
	}
	why := execprobe.Quote("claude doctor: " + m[1] + ": " + m[3] + m[4])
	return "", probe.Fail(probe.ExecNetwork, errors.New(why))
}
