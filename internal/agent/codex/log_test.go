package codex

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"

	"netwatchd/internal/codexconf"
	"netwatchd/internal/probe"
	"netwatchd/internal/probe/execprobe"
	"netwatchd/internal/redact"
)

var update = flag.Bool("update", false, "rewrite golden files")

// leftOut lists the recordings that are not runs of `codex exec --json`: they are not replayed.
var leftOut = []struct {
	name *regexp.Regexp
	why  string
}{
	{regexp.MustCompile(`-human$`), "ran without --json: there is no event to read"},
	{regexp.MustCompile(`^sandbox-(?:bwrap|curl|default|getent|ipaddr|netaccess|ping|proxy-(?:curl|resolvconf|netaccess))`),
		"another command in the sandbox, not codex exec"},
	{regexp.MustCompile(`^doctor-`), "codex doctor"},
	{regexp.MustCompile(`^home-notwritable-version$`), "codex --version"},
	{regexp.MustCompile(`^(?:cfg|chatgpt)-login-status`), "codex login status: see TestSignInFromRecordings"},
}

func isLeftOut(name string) bool {
	for _, l := range leftOut {
		if l.name.MatchString(name) {
			return true
		}
	}
	return false
}

// A recording is one run of a real codex, with its placeholders for paths and identities.
type recording struct {
	version, name           string
	stdout, stderr          string
	exit                    int // negative: the signal that ended it
	terminated, interrupted bool
}

func recordings(t *testing.T) []recording {
	t.Helper()
	dirs, err := filepath.Glob("testdata/0.*/*")
	if err != nil || len(dirs) == 0 {
		t.Fatalf("no recordings: %v", err)
	}
	var all []recording
	for _, dir := range dirs {
		exit, err := strconv.Atoi(strings.TrimSpace(content(t, dir, "exit")))
		if err != nil {
			t.Fatal(err)
		}
		cmd := content(t, dir, "cmd")
		all = append(all, recording{
			version: filepath.Base(filepath.Dir(dir)), name: filepath.Base(dir), exit: exit,
			stdout: content(t, dir, "stdout"), stderr: content(t, dir, "stderr"),
			terminated:  strings.Contains(cmd, "sent SIGTERM"),
			interrupted: strings.HasPrefix(filepath.Base(dir), "signal-"),
		})
	}
	return all
}

func content(t *testing.T, dir, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// replay reads the recording as the prober would have. A run that the recorder had to terminate is one that reached its
// deadline; the recordings named after signals are runs that something else terminated.
func (r recording) replay() (probe.Facts, error) {
	e := execprobe.ExitState{Code: r.exit, Stdout: r.stdout, Stderr: r.stderr}
	ctx := context.Context(context.Background())
	if r.exit < 0 {
		e.Code, e.Signal = -1, syscall.Signal(-r.exit)
	}
	if r.terminated && !r.interrupted {
		e.Stopped, ctx = true, overdue{ctx}
	}
	var facts probe.Facts
	l := readCodexLog(e.Stdout, e.Stderr)
	l.Fill(&facts)
	return facts, l.Verdict(ctx, e, "OK")
}

// overdue is a context whose deadline has passed.
type overdue struct{ context.Context }

func (overdue) Err() error { return context.DeadlineExceeded }

// TestRecordings replays every recorded run of codex exec. Look at each changed line of the golden file as a person would:
// is that what was wrong?
func TestRecordings(t *testing.T) {
	var got strings.Builder
	got.WriteString("version\tcase\tclass\twhy\twarnings\tsignals\ttokens\n")
	for _, r := range recordings(t) {
		if isLeftOut(r.name) {
			continue
		}
		facts, err := r.replay()
		tokens := ""
		if facts.Tokens != nil {
			tokens = fmt.Sprintf("%d/%d/%d", facts.Tokens.Input, facts.Tokens.CachedInput, facts.Tokens.Output)
		}
		got.WriteString(strings.Join([]string{r.version, r.name, probe.Classify(probe.Executing, err).String(), redact.Line(why(err), 130),
			strings.Join(facts.Warnings, ","), strings.Join(facts.Signals, ","), tokens}, "\t") + "\n")
	}
	golden := "testdata/golden.tsv"
	if *update {
		if err := os.WriteFile(golden, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got.String(), "\n")); diff != "" {
		t.Errorf("golden.tsv (-want +got), -update rewrites it:\n%s", diff)
	}
}

// TestRecordingsAreAllReplayed: each reason to leave recordings out must apply to some.
func TestRecordingsAreAllReplayed(t *testing.T) {
	all := recordings(t)
	if len(all) < 330 {
		t.Errorf("only %d recordings are there", len(all))
	}
	for _, l := range leftOut {
		n := 0
		for _, r := range all {
			if l.name.MatchString(r.name) {
				n++
			}
		}
		t.Logf("left out: %3d like %s: %s", n, l.name, l.why)
		if n == 0 {
			t.Errorf("no recording is like %s", l.name)
		}
	}
}

// TestRecordedSuccess compares the classes with the index of the recordings: a run is a success only if its turn was
// completed.
func TestRecordedSuccess(t *testing.T) {
	index := make(map[string]string) // version/case -> how its turn ended
	for line := range strings.Lines(content(t, "testdata", "INDEX.tsv")) {
		if f := strings.Split(line, "\t"); len(f) > 6 {
			index[f[0]+"/"+f[1]] = f[6]
		}
	}
	for _, r := range recordings(t) {
		if isLeftOut(r.name) {
			continue
		}
		facts, err := r.replay()
		turn := index[r.version+"/"+r.name]
		if err == nil && turn != "completed" {
			t.Errorf("%s %s is a success, its turn was %s", r.version, r.name, turn)
		}
		if completed := facts.Tokens != nil; completed != (turn == "completed") {
			t.Errorf("%s %s: tokens %v, its turn was %s", r.version, r.name, facts.Tokens, turn)
		}
		for _, w := range facts.Warnings {
			if !slices.Contains(codexWarningNames(), w) {
				t.Errorf("%s %s: warning %s is not on the list", r.version, r.name, w)
			}
		}
	}
}

func TestSignInFromRecordings(t *testing.T) {
	status := func(version, name string) execprobe.ExitState {
		dir := filepath.Join("testdata", version, name)
		exit, _ := strconv.Atoi(strings.TrimSpace(content(t, dir, "exit")))
		return execprobe.ExitState{Code: exit, Stdout: content(t, dir, "stdout"), Stderr: content(t, dir, "stderr")}
	}
	tests := map[string]struct {
		ExitState execprobe.ExitState
		class     probe.Class
	}{
		"nobody, 0.104":   {status("0.104.0", "cfg-login-status-not-logged-in"), probe.ExecNotLoggedIn},
		"nobody, 0.169":   {status("0.169.0", "cfg-login-status-not-logged-in"), probe.ExecNotLoggedIn},
		"ChatGPT":         {status("0.169.0", "chatgpt-login-status"), probe.OK},
		"a key, 0.104":    {execprobe.ExitState{Stderr: "Logged in using an API key - sk-abcde***hijkl\n"}, probe.OK},
		"a key, 0.169":    {execprobe.ExitState{Stderr: "API key configured - sk-abcde***hijkl\nAuthentication is checked when you send a request.\n"}, probe.OK},
		"broken":          {execprobe.ExitState{Code: 1, Stderr: "Error loading configuration: config.toml:1:5: unclosed table\n"}, probe.ExecConfigInvalid},
		"not understood":  {execprobe.ExitState{Code: 2, Stderr: "error: unrecognized subcommand 'status'\n"}, probe.OK},
		"npm's, no node":  {execprobe.ExitState{Code: 127, Stderr: "/usr/bin/env: ‘node’: No such file or directory\n"}, probe.ExecNotFound},
		"npm's, no codex": {execprobe.ExitState{Code: 1, Stderr: "Error: Missing optional dependency @openai/codex-linux-x64.\n"}, probe.ExecNotFound},
	}
	for name, test := range tests {
		err := readSignIn(test.ExitState)
		if got := probe.Classify(probe.Executing, err); got != test.class {
			t.Errorf("%s: got %v (%v), want %v", name, got, err, test.class)
		}
	}
}

// TestFailureMessages holds messages of codex that no recording has: from its error tables, and as services word them.
func TestFailureMessages(t *testing.T) {
	tests := []struct {
		message string
		class   probe.Class
		status  int
	}{
		// the account
		{"Your workspace is out of credits. Ask your workspace owner to refill.", probe.ExecUsageLimit, 0},
		{"You hit your spend cap set in your workspace.", probe.ExecUsageLimit, 0},
		{"You've hit your usage limit for gpt-x. Switch to another model now,", probe.ExecUsageLimit, 0},
		{"To use Codex with your ChatGPT plan, upgrade to Plus: https://u.", probe.ExecUsageLimit, 0},
		{"Your access token could not be refreshed. Please log out.", probe.ExecUnauthorized, 0},
		{"workspace routing discovery unauthorized (401)", probe.ExecUnauthorized, 0},
		{`unexpected status 402 Payment Required: {"error":{"code":402}}, url: u`, probe.ExecUsageLimit, 402},
		{`unexpected status 402 Payment Required: {"detail":{"code":"deactivated_workspace"}}`, probe.ExecUnauthorized, 402},
		{`unexpected status 403 Forbidden: {"error":{"code":"insufficient_quota"}}, url: u`, probe.ExecUsageLimit, 403},
		{"unexpected status 403 Forbidden: You have insufficient permissions., url: u", probe.ExecUnauthorized, 403},
		{"unexpected status 403 Forbidden: Denied, url: u, auth error code: unsupported_country_region_territory",
			probe.HTTPEdgeBlocked, 403},
		// no sign-in arrived: openai/codex#12764, the API without a key, other services
		{"unexpected status 401 Unauthorized: We got your request, but your ChatGPT login did not make it to this service., url: u",
			probe.ExecSignInMissing, 401},
		{"unexpected status 401 Unauthorized: Missing bearer or basic authentication in header, url: u", probe.ExecSignInMissing, 401},
		{`unexpected status 401 Unauthorized: {"error":{"message":"You didn't provide an API key.","code":"invalid_api_key"}}`,
			probe.ExecSignInMissing, 401},
		{"unexpected status 401 Unauthorized: x-api-key header is required", probe.ExecSignInMissing, 401},
		{"unexpected status 401 Unauthorized: No auth credentials found", probe.ExecSignInMissing, 401},
		{"unexpected status 401 Unauthorized: Missing scopes: api.responses.write", probe.ExecUnauthorized, 401},
		{"unexpected status 401 Unauthorized: Your authentication token has expired", probe.ExecUnauthorized, 401},
		{"unexpected status 403 Forbidden: No API key provided, url: u", probe.ExecUnauthorized, 403},
		// the words after the cut are the service's, unless they are codex's
		{cutPrefix + "Rate limit reached for gpt-5.1 in organization org-A.", probe.ExecRateLimited, 0},
		{cutPrefix + "You exceeded your current quota, please check your plan.", probe.ExecUsageLimit, 0},
		{cutPrefix + "The model `gpt-nope` does not exist.", probe.ExecModelRejected, 0},
		{cutPrefix + "This request was flagged for possible risk.", probe.ExecUnexpectedOutput, 0},
		{cutPrefix + "Something went wrong on our side.", probe.ExecOverloaded, 0},
		{cutPrefix + "response.failed event received", probe.ExecOverloaded, 0},
		{cutPrefix + "websocket closed by server before response.completed", probe.ExecStreamCut, 0},
		{cutPrefix + "WebSocket protocol error: Connection reset", probe.ExecStreamCut, 0},
		{cutPrefix + "idle timeout waiting for websocket", probe.ExecStreamCut, 0},
		{cutPrefix + "IO error: Connection reset by peer (os error 104)", probe.ExecNetwork, 0},
		{cutPrefix + "Incomplete response returned, reason: max_output_tokens", probe.ExecUnexpectedOutput, 0},
		// a 400 is a rejected model only if it says so
		{`{"error":{"code":"model_not_found"}}`, probe.ExecModelRejected, 400},
		{`{"error":{"code":"unknown_parameter","message":"Unknown 'model'."}}`, probe.HTTPUnexpectedStatus, 400},
		{`{"detail":"Unsupported parameter: store"}`, probe.HTTPUnexpectedStatus, 400},
		{`{"error":{"code":"invalid_prompt"}}`, probe.ExecUnexpectedOutput, 400},
		{"<html><title>400 Bad Request: no model here is supported</title></html>", probe.HTTPUnexpectedStatus, 400},
		{"", probe.HTTPUnexpectedStatus, 400},
		{"The requested model 'gpt-nope' does not exist.", probe.ExecModelRejected, 0},
		// faults of the service that only the agent's own request sees
		{"unexpected status 403 Forbidden: Unknown error, url: u", probe.HTTPEdgeBlocked, 403},
		{"unexpected status 403 Forbidden: Country, region, or territory not supported", probe.HTTPEdgeBlocked, 403},
		{`unexpected status 404 Not Found: {"detail":"Not Found"}, url: https://h/models`, probe.HTTPUnexpectedStatus, 404},
		{`unexpected status 404 Not Found: The model 'gpt-nope' does not exist, url: u`, probe.ExecModelRejected, 404},
		{"unexpected status 413 Payload Too Large: Too large for model, url: u", probe.HTTPUnexpectedStatus, 413},
		{"unexpected status 426 Upgrade Required: update codex, url: u", probe.HTTPUnexpectedStatus, 426},
		{"unexpected status 451 Unavailable For Legal Reasons: x, url: u", probe.HTTPEdgeBlocked, 451},
		{"unexpected status 407 Proxy Authentication Required: x, url: u", probe.ProxyAuthRequired, 407},
		{"unexpected status 530 <unknown status code>: error code: 1016, url: u", probe.ExecOverloaded, 530},
		{"Policy-restricted capacity is unavailable. Please try again later.", probe.ExecOverloaded, 0},
		{"Error while reading the server response: error decoding response body", probe.ExecStreamCut, 0},
		// never a guess
		{"a sentence of a version that nobody has seen", probe.Unknown, 0},
	}
	for _, test := range tests {
		if got, _ := classOfFailure(test.message); got != test.class {
			t.Errorf("%q: got %v, want %v", test.message, got, test.class)
		}
		if got := httpStatus(test.message); got != test.status {
			t.Errorf("%q: got status %d, want %d", test.message, got, test.status)
		}
	}
}

// TestReasonsAgree compares the class of each message in recorded sessions with the reason code that codex wrote beside
// it. Codex prints the message alone; since 0.155 its session files have both.
func TestReasonsAgree(t *testing.T) {
	n := 0
	for line := range strings.Lines(content(t, "testdata", "reasons.tsv")) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		message, err := strconv.Unquote(f[2])
		if err != nil {
			continue // the head of the table
		}
		message = typographic.Replace(message)
		got, known := classOfFailure(message)
		if !known {
			t.Errorf("%s %s: no class for %q", f[0], f[1], message)
		}
		if want, named := reasonClasses[f[1]]; named && got != want {
			t.Errorf("%s %s: got %v for %q, want %v", f[0], f[1], got, message, want)
		}
		if m := regexp.MustCompile(`"http_status_code":(\d+)`).FindStringSubmatch(f[1]); m != nil {
			if status := strconv.Itoa(httpStatus(message)); status != m[1] {
				t.Errorf("%s %s: got status %s from %q", f[0], f[1], status, message)
			}
		}
		n++
	}
	if n < 14 {
		t.Errorf("only %d messages are there", n)
	}
}

// TestConfigErrorNamesItsFile uses messages of the real programs, for files with that fault.
func TestConfigErrorNamesItsFile(t *testing.T) {
	home := t.TempDir()
	file := filepath.Join(home, "config.toml")
	const config = `model = "gpt"
model_provider = "nope"

[mcp_servers.slow]
command = "sleep"

[features]
network = "x"
[profiles.fast]
approval_policy = "untrusted"
`
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := map[string]string{
		"Error: Model provider `nope` not found\n": file + ":2: Error: Model provider `nope` not found",
		"Error: Fatal error: required MCP servers failed to initialize: slow: timed out\n": file +
			":4: required MCP servers failed to initialize: slow: timed out",
		"Error loading config.toml: invalid type: integer `5`, expected a string\nin `features.network`\n": file +
			":8: Error loading config.toml: invalid type: integer `5`, expected a string in `features.network`",
		"Error: approval_policy = \"untrusted\" is no longer supported; remove this setting\n": file +
			":10: Error: approval_policy = \"untrusted\" is no longer supported; remove this setting",
		// set on the command line
		"Error: legacy `profile = \"x\"` is no longer supported\n": "Error: legacy `profile = \"x\"` is no longer supported",
		"Error loading config.toml:\n" + file + ":1:5: unclosed\n": "Error loading config.toml: " + file + ":1:5: unclosed",
	}
	for stderr, want := range tests {
		l := readCodexLog("", stderr)
		l.configFiles = codexconf.Setup{Home: home, System: codexSystem}.Paths()
		err := l.Verdict(t.Context(), execprobe.ExitState{Code: 1}, "OK")
		if got := probe.Classify(probe.Executing, err); got != probe.ExecConfigInvalid || err.Error() != want {
			t.Errorf("got %v %q, want %q", got, err, want)
		}
	}
	if err := syscall.Mkfifo(filepath.Join(home, "fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	const message = "Error: `model` is wrong"
	if got := codexconf.Locate(message, []string{filepath.Join(home, "fifo")}); got != message {
		t.Errorf("a FIFO has the setting: %q", got)
	}
}

// TestTimeoutQuotesNothingUnrelated: a healthy run writes such lines, too.
func TestTimeoutQuotesNothingUnrelated(t *testing.T) {
	const stdout = `{"type":"thread.started","thread_id":"x"}
{"type":"item.completed","item":{"type":"error","message":"ignoring 1 unrecognized configuration setting"}}
{"type":"turn.started"}
`
	const stderr = "2026-11-27T17:17:01.9Z ERROR rmcp::transport::worker: worker quit\n"
	l := readCodexLog(stdout, stderr)
	err := l.Verdict(overdue{t.Context()}, execprobe.ExitState{Stopped: true}, "OK")
	if want := "no answer before the deadline; codex reported no error and was terminated"; err.Error() != want {
		t.Errorf("got %q, want %q", err, want)
	}
	if err := l.Verdict(t.Context(), execprobe.ExitState{Code: 1}, "OK"); strings.Contains(err.Error(), "rmcp") {
		t.Errorf("got %q", err)
	}
}

// TestQuotedCause: versions from 0.142 name the sandbox's refusal in one line of many, and never in the last.
func TestQuotedCause(t *testing.T) {
	const stdout = `{"type":"thread.started","thread_id":"x"}
{"type":"turn.started"}
{"type":"error","message":"Reconnecting... 2/5 (stream disconnected before completion: Operation not permitted (os error 1))"}
{"type":"item.completed","item":{"id":"item_0","type":"error","message":"Falling back from WebSockets to HTTPS transport. stream disconnected before completion: Operation not permitted (os error 1)"}}
{"type":"error","message":"Connection failed: error sending request"}
{"type":"turn.failed","error":{"message":"Connection failed: error sending request"}}
`
	facts, err := recording{stdout: stdout, exit: 1}.replay()
	if got := probe.Classify(probe.Executing, err); got != probe.ExecNetwork {
		t.Errorf("got %v, want %v", got, probe.ExecNetwork)
	}
	if want := "Operation not permitted (os error 1): Connection failed: error sending request"; err.Error() != want {
		t.Errorf("got %q, want %q", err, want)
	}
	if diff := cmp.Diff([]string{"os error 1"}, facts.Signals); diff != "" {
		t.Errorf("signals -want +got:\n%s", diff)
	}
	if diff := cmp.Diff([]string{"codex_reconnecting", "codex_websocket_fallback"}, facts.Warnings); diff != "" {
		t.Errorf("warnings -want +got:\n%s", diff)
	}
}

// FuzzCodexLog: whatever codex prints, the result is short and printable, and a success has an answer.
func FuzzCodexLog(f *testing.F) {
	for _, name := range []string{"ok-json", "http-403html-json", "tool-wsw-json", "cfg-broken-toml-json"} {
		for _, version := range []string{"0.104.0", "0.169.0"} {
			stdout, _ := os.ReadFile(filepath.Join("testdata", version, name, "stdout"))
			stderr, _ := os.ReadFile(filepath.Join("testdata", version, name, "stderr"))
			f.Add(string(stdout), string(stderr), 1)
		}
	}
	f.Fuzz(func(t *testing.T, stdout, stderr string, exit int) {
		facts, err := recording{stdout: stdout, stderr: stderr, exit: max(0, exit)}.replay()
		if err == nil && (exit > 0 || !strings.Contains(facts.Output, "OK") && len(facts.Output) < probe.WhyLimit) {
			t.Errorf("a success with exit %d and output %q", exit, facts.Output)
		}
		for _, text := range append(facts.Signals, facts.Output, why(err)) {
			if len(text) > probe.WhyLimit+len("…") || strings.ContainsFunc(text, unicode.IsControl) {
				t.Errorf("said %q", text)
			}
		}
	})
}

// why is the text of err as a Result has it.
func why(err error) string {
	if err == nil {
		return ""
	}
	return redact.Quote(err.Error(), probe.WhyLimit)
}
