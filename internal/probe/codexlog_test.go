package probe

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
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
func (r recording) replay() (Facts, error) {
	e := ending{exit: r.exit, stdout: r.stdout, stderr: r.stderr}
	ctx := context.Context(context.Background())
	if r.exit < 0 {
		e.exit, e.signal = -1, syscall.Signal(-r.exit)
	}
	if r.toldToEnd && !r.interrupted {
		e.stopped, ctx = true, overdue{ctx}
	}
	var facts Facts
	l := readCodexLog(e.stdout, e.stderr)
	l.fill(&facts)
	return facts, l.verdict(ctx, e, "OK")
}

// overdue is a context whose deadline has passed.
type overdue struct{ context.Context }

func (overdue) Err() error { return context.DeadlineExceeded }

// TestRecordings replays every recorded run of codex exec. Look at each changed line of the golden file as a person would:
// is that what was wrong?
func TestRecordings(t *testing.T) {
	got := "version\tcase\tclass\twhy\twarnings\tsignals\ttokens\n"
	for _, r := range recordings(t) {
		if isLeftOut(r.name) {
			continue
		}
		facts, err := r.replay()
		tokens := ""
		if facts.Tokens != nil {
			tokens = fmt.Sprintf("%d/%d/%d", facts.Tokens.Input, facts.Tokens.CachedInput, facts.Tokens.Output)
		}
		got += strings.Join([]string{r.version, r.name, Classify(Executing, err).String(), Shorten(why(err), 130),
			strings.Join(facts.Warnings, ","), strings.Join(facts.Signals, ","), tokens}, "\t") + "\n"
	}
	golden := "testdata/codex/golden.tsv"
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
		t.Errorf("golden.tsv (-want +got), -update rewrites it:\n%s", diff)
	}
}
