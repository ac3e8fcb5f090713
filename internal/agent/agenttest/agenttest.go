// Package agenttest replays recorded runs of agents.
package agenttest

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"netwatchd/internal/agent"
	"netwatchd/internal/probe"
	"netwatchd/internal/probe/execprobe"
)

var update = flag.Bool("update", false, "write testdata/golden.tsv")

// Recorded returns how the run in a directory ended. A negative exit is a signal; 128 and more are signals that the
// agent handled.
func Recorded(t *testing.T, dir string) execprobe.ExitState {
	t.Helper()
	read := func(file string) string {
		text, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		return string(text)
	}
	code, err := strconv.Atoi(strings.TrimSpace(read("exit")))
	if err != nil {
		t.Fatal(err)
	}
	e := execprobe.ExitState{Code: code, Stdout: read("stdout"), Stderr: read("stderr")}
	if code < 0 {
		e.Code, e.Signal = -1, syscall.Signal(-code)
	}
	return e
}

// Replay judges the recorded runs in the directories of testdata/VERSION and compares their classes, HTTP statuses and
// tokens with testdata/golden.tsv.
func Replay[R agent.Report](t *testing.T, name, version string, read func(execprobe.ExitState) R) {
	t.Helper()
	recordings := filepath.Join("testdata", version)
	dirs, err := os.ReadDir(recordings)
	if err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	fmt.Fprintf(&got, "# The class of each recorded run of %s %s, its HTTP status and its tokens.\n", name, version)
	for _, dir := range dirs {
		if strings.HasPrefix(dir.Name(), "auth-status-") { // not a run
			continue
		}
		e := Recorded(t, filepath.Join(recordings, dir.Name()))
		var facts probe.Facts
		report := read(e)
		report.Fill(&facts)
		err := report.Verdict(t.Context(), e, agent.Expect)
		class := probe.OK
		if err != nil {
			class = probe.Classify(probe.Executing, err)
		}
		tokens := "-"
		if facts.Tokens != nil {
			tokens = fmt.Sprintf("%d/%d/%d", facts.Tokens.Input, facts.Tokens.CachedInput, facts.Tokens.Output)
		}
		fmt.Fprintf(&got, "%s\t%v\t%d\t%s\n", dir.Name(), class, facts.Status, tokens)
		if class == probe.Unknown {
			t.Errorf("%s: no class for %v", dir.Name(), err)
		}
	}
	golden := "testdata/golden.tsv"
	if *update {
		if err := os.WriteFile(golden, []byte(got.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
