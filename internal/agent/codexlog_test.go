package agent

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

	"netwatchd/internal/probe"
	"netwatchd/internal/probe/execprobe"
	"netwatchd/internal/redact"
)

var update = flag.Bool("update", false, "rewrite golden files")

// leftOut says which recordings are not runs of `codex exec --json`, and so not replayed.
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
	version, name          string
	stdout, stderr         string
	exit                   int // negative: the signal that ended it
	toldToEnd, interrupted bool
}

func recordings(t *testing.T) []recording {
	t.Helper()
	dirs, err := filepath.Glob("testdata/codex/0.*/*")
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
			toldToEnd:   strings.Contains(cmd, "sent SIGTERM"),
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

// replay reads the recording as the prober would have: a run told to end because it had not ended by itself is one whose
// time was over; the recordings of signals are runs somebody else ended.
func (r recording) replay() (probe.Facts, error) {
	e := execprobe.ExitState{Code: r.exit, Stdout: r.stdout, Stderr: r.stderr}
	ctx := context.Context(context.Background())
	if r.exit < 0 {
		e.Code, e.Signal = -1, syscall.Signal(-r.exit)
	}
	if r.toldToEnd && !r.interrupted {
		e.Stopped, ctx = true, overdue{ctx}
	}
	var facts probe.Facts
	l := readCodexLog(e.Stdout, e.Stderr)
	l.fill(&facts)
	return facts, l.verdict(ctx, e, "OK")
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
	golden := "testdata/codex/golden.tsv"
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

// TestRecordingsAreAllReplayed: whoever adds a reason to leave recordings out must have some.
func TestRecordingsAreAllReplayed(t *testing.T) {
	all := recordings(t)
	if len(all) < 280 {
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

// TestRecordedSuccess holds the classifier against what the recordings' index knows: a run is a success only if its turn
// was completed.
func TestRecordedSuccess(t *testing.T) {
	index := make(map[string]string) // version/case -> how its turn ended
	for line := range strings.Lines(content(t, "testdata/codex", "INDEX.tsv")) {
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
		dir := filepath.Join("testdata/codex", version, name)
		exit, _ := strconv.Atoi(strings.TrimSpace(content(t, dir, "exit")))
		return execprobe.ExitState{Code: exit, Stdout: content(t, dir, "stdout"), Stderr: content(t, dir, "stderr")}
	}
	tests := map[string]struct {
		ExitState execprobe.ExitState
		class     probe.Class
		withKey   bool
	}{
		"nobody, 0.104":   {status("0.104.0", "cfg-login-status-not-logged-in"), probe.ExecNotLoggedIn, false},
		"nobody, 0.169":   {status("0.169.0", "cfg-login-status-not-logged-in"), probe.ExecNotLoggedIn, false},
		"ChatGPT":         {status("0.169.0", "chatgpt-login-status"), probe.OK, false},
		"a key, 0.104":    {execprobe.ExitState{Stderr: "Logged in using an API key - sk-abcde***hijkl\n"}, probe.OK, true},
		"a key, 0.169":    {execprobe.ExitState{Stderr: "API key configured - sk-abcde***hijkl\nAuthentication is checked when you send a request.\n"}, probe.OK, true},
		"broken":          {execprobe.ExitState{Code: 1, Stderr: "Error loading configuration: config.toml:1:5: unclosed table\n"}, probe.ExecConfigInvalid, false},
		"not understood":  {execprobe.ExitState{Code: 2, Stderr: "error: unrecognized subcommand 'status'\n"}, probe.OK, false},
		"npm's, no node":  {execprobe.ExitState{Code: 127, Stderr: "/usr/bin/env: ‘node’: No such file or directory\n"}, probe.ExecNotFound, false},
		"npm's, no codex": {execprobe.ExitState{Code: 1, Stderr: "Error: Missing optional dependency @openai/codex-linux-x64.\n"}, probe.ExecNotFound, false},
	}
	for name, test := range tests {
		withKey, err := readSignIn(test.ExitState)
		if got := probe.Classify(probe.Executing, err); got != test.class || withKey != test.withKey {
			t.Errorf("%s: got %v, key %v (%v), want %v, key %v", name, got, withKey, err, test.class, test.withKey)
		}
	}
}

// TestCauseThatSlipsThrough: versions from 0.142 name the sandbox's refusal in one line of many, and never in the last.
func TestCauseThatSlipsThrough(t *testing.T) {
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

// FuzzCodexLog: whatever codex prints, what is said about it is short and printable, and a success has an answer.
func FuzzCodexLog(f *testing.F) {
	for _, name := range []string{"ok-json", "http-403html-json", "tool-wsw-json", "cfg-broken-toml-json"} {
		for _, version := range []string{"0.104.0", "0.169.0"} {
			stdout, _ := os.ReadFile(filepath.Join("testdata/codex", version, name, "stdout"))
			stderr, _ := os.ReadFile(filepath.Join("testdata/codex", version, name, "stderr"))
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
