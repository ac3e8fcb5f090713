package gemini

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

const recordings = "testdata/0.61.0"

// recorded returns how a recorded run ended. A negative exit is a signal; 128 and more are signals that gemini handled.
func recorded(t *testing.T, name string) execprobe.ExitState {
	t.Helper()
	read := func(file string) string {
		text, err := os.ReadFile(filepath.Join(recordings, name, file))
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

// TestRecordings replays every recorded run through the failure table.
func TestRecordings(t *testing.T) {
	dirs, err := os.ReadDir(recordings)
	if err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	got.WriteString("# The class of each recorded run of gemini 0.61.0, its HTTP status and its tokens.\n")
	for _, dir := range dirs {
		e := recorded(t, dir.Name())
		r := readReport(e)
		var facts probe.Facts
		r.fill(&facts)
		class := probe.OK
		if err := r.verdict(t.Context(), e, expect); err != nil {
			class = probe.Classify(probe.Executing, err)
		}
		tokens := "-"
		if facts.Tokens != nil {
			tokens = fmt.Sprintf("%d/%d/%d", facts.Tokens.Input, facts.Tokens.CachedInput, facts.Tokens.Output)
		}
		fmt.Fprintf(&got, "%s\t%v\t%d\t%s\n", dir.Name(), class, facts.Status, tokens)
		if class == probe.Unknown {
			t.Errorf("%s: no class for %+v", dir.Name(), r.Error)
		}
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
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestEndpoint(t *testing.T) {
	settings := func(kind string) map[string]string {
		return map[string]string{"settings.json": `{"security":{"auth":{"selectedType":"` + kind + `"}}}`}
	}
	for name, test := range map[string]struct {
		files        map[string]string
		env          []string
		base, origin string
		mode         agent.Mode
		answer       int
	}{
		"nobody": {base: keyBaseURL, origin: "the default", mode: agent.SignedOut, answer: keyAnswer},
		"a key":  {env: []string{"GEMINI_API_KEY=secret"}, base: keyBaseURL, origin: "the default", mode: agent.APIKey, answer: keyAnswer},
		"a key in .env": {files: map[string]string{".env": "GEMINI_API_KEY=secret\n"}, base: keyBaseURL, origin: "the default",
			mode: agent.APIKey, answer: keyAnswer},
		"a sign-in": {files: map[string]string{"oauth_creds.json": `{"access_token":"secret"}`}, base: loginBaseURL, origin: "the default",
			mode: agent.GoogleSignIn, answer: loginAnswer},
		"a base URL": {env: []string{"GEMINI_API_KEY=secret", "GOOGLE_GEMINI_BASE_URL=http://u:secret@127.0.0.1:4000/"},
			base: "http://127.0.0.1:4000", origin: "GOOGLE_GEMINI_BASE_URL", mode: agent.APIKey},
		"Vertex": {files: settings("vertex-ai"), origin: "settings.json, security.auth.selectedType", mode: agent.ProviderCredentials},
		"settings with comments": {files: map[string]string{"settings.json": "// mine\n{}"}, base: keyBaseURL, origin: "the default",
			mode: agent.SignedOut, answer: keyAnswer},
	} {
		s := setup{dir: t.TempDir(), env: test.env}
		for file, text := range test.files {
			if err := os.WriteFile(filepath.Join(s.dir, file), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		e := s.endpoint()
		base := ""
		if e.BaseURL != nil {
			base = e.BaseURL.String()
		}
		if base != test.base || !strings.HasSuffix(e.Origin(), test.origin) || e.Mode != test.mode || e.Answer != test.answer ||
			strings.Contains(fmt.Sprint(e.Notes, e.Origin(), base), "secret") {
			t.Errorf("%s: %s because of %s, %s, answer %d, notes %q", name, base, e.Origin(), e.Mode, e.Answer, e.Notes)
		}
	}
}
