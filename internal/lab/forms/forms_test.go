package forms

import (
	"bytes"
	"cmp"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"

	gocmp "github.com/google/go-cmp/cmp"

	"netwatchd/internal/lab/parts"
)

var (
	matrix = flag.Bool("matrix", false, "play every fault with every form and version")
	only   = flag.String("codex", "", "the version of codex to run; newest: as make codex-newest installs it")
	update = flag.Bool("update", false, "write docs/forms.md")
)

// atOnce is how many internets run in parallel. Most of a scene is waiting; with more of them the two cores that other
// tests use too are busy with starting programs.
const atOnce = 4

func TestMain(m *testing.M) {
	flag.Set("test.parallel", fmt.Sprint(atOnce))
	parts.Main(m, func(string) error { return nil })
}

// Every form and fault is tried with usual; oldest is that of the incident that started this project.
const (
	oldest = "0.104.0"
	usual  = "0.169.0"
)

// versions are those that this run tries.
func versions() []string {
	switch {
	case *only != "":
		return []string{*only}
	case *matrix:
		return []string{oldest, usual, parts.NewestCodex}
	}
	return []string{oldest, usual}
}

// TestHealthy: without a configuration netwatchd watches where the agent sends its requests, and sends a key nowhere
// else.
func TestHealthy(t *testing.T) {
	t.Parallel()
	for _, version := range versions() {
		for _, f := range forms {
			if version != oldest || f.everyVersion || *matrix {
				t.Run(version+"/"+f.name, func(t *testing.T) {
					t.Parallel()
					healthy(t, f, version)
				})
			}
		}
	}
}

func healthy(t *testing.T, f form, version string) {
	n := newInternet(t)
	keys := n.install(f, version)
	u := n.user(f, version)
	if version == oldest && f.brokenOldest != "" {
		if v, _ := u.verdict("check"); v.Cause != "interception" {
			t.Errorf("%s: %s (%s), want interception", f.brokenOldest, v.Cause, v.Title)
		}
		return
	}
	theirs := u.agent()
	want := []string{f.url(version)}
	if got := urls(turns(theirs)); !slices.Equal(got, want) {
		t.Errorf("the agent's turns went to %v, want %v", got, want)
	}
	var ours []request
	for _, command := range [][]string{{"check"}, runOnce, {"run"}} {
		ours = append(ours, u.watches(want, command...)...)
	}
	for _, key := range keys {
		theirs := hostsWith(theirs, key)
		for _, name := range hostsWith(ours, key) {
			if !slices.Contains(theirs, name) {
				t.Errorf("a key was sent to %s: codex sends it to %v alone", name, theirs)
			}
		}
	}
	// Requests without the proxy are made to compare. They have no credentials.
	for _, r := range ours {
		if f.proxied != r.Proxied && (!f.proxied || strings.Contains(r.text, "Authorization:")) {
			t.Errorf("%s %s: by a proxy: %v, want %v", r.Method, r.URL, r.Proxied, f.proxied)
		}
	}
}

// runOnce is a run of the agent on the host.
var runOnce = []string{"backtest", "-n", "1", "--sandbox=false"}

// watches runs a command of netwatchd, which must find the service healthy where the agent's turns go, and returns the
// requests that it made.
func (u *user) watches(turnsAt []string, command ...string) []request {
	u.t.Helper()
	var v verdict
	if command[0] == "run" {
		var end func()
		v, end = u.daemon()
		end()
	} else {
		var e exit
		if v, e = u.verdict(command...); e.code != 0 {
			u.t.Errorf("%v: exit code %d", command, e.code)
		}
	}
	if v.Cause != "healthy" {
		u.t.Errorf("%v: %s (%s), want healthy: %+v", command, v.Cause, v.Title, v.Evidence)
	}
	ours := u.requests()
	if got := urls(probes(ours)); !slices.Equal(got, turnsAt) {
		u.t.Errorf("%v probes %v, the agent's turns go to %v", command, got, turnsAt)
	}
	if got := urls(turns(ours)); command[0] == "backtest" && !slices.Equal(got, turnsAt) {
		u.t.Errorf("%v: the turns of our run go to %v, those of the agent to %v", command, got, turnsAt)
	}
	return ours
}

// TestFaults injects each fault.
func TestFaults(t *testing.T) {
	t.Parallel()
	said := &outcomes{causes: make(map[[3]string]string)}
	if *matrix {
		t.Cleanup(said.print)
	}
	for _, version := range versions() {
		for _, s := range faults {
			for _, f := range forms {
				want := s.expected(f, version)
				if want.cause == "" || !*matrix && (version == oldest || !slices.Contains(s.everyRun, f.name)) {
					continue
				}
				t.Run(version+"/"+s.name+"/"+f.name, func(t *testing.T) {
					t.Parallel()
					v := inject(t, s, f, version)
					if v.Cause != want.cause || want.class != "" && v.decisive() != want.class {
						t.Errorf("%s by %s (%s), want %s by %s: %+v", v.Cause, v.decisive(), v.Title,
							want.cause, cmp.Or(want.class, "any class"), v.Evidence)
					}
					if !strings.Contains(v.Title, want.says) {
						t.Errorf("the title is %q, want %q in it", v.Title, want.says)
					}
					said.note(version, s, f, v.Cause)
				})
			}
		}
	}
}

// inject returns what is said of a fault.
func inject(t *testing.T, s fault, f form, version string) verdict {
	n := newInternet(t)
	n.install(f, version)
	s.inject(n, f, version)
	command := []string{"check"}
	if s.runs {
		command = runOnce
	}
	if s.waits && !*matrix {
		n.write("/etc/netwatchd/config.yaml", impatient)
	}
	v, e := n.user(f, version).verdict(command...)
	t.Logf("%s by %s, %s, in %v: %s", v.Cause, v.decisive(), v.Severity, e.took, v.Title)
	return v
}

// impatient is the built-in service for a ChatGPT sign-in with less time for a run of the agent. A test that waits for
// the 90 seconds of the default is for -matrix alone.
const impatient = `services:
  - name: codex
    probes:
      - {name: dns, kind: dns, target: chatgpt.com}
      - {name: head, kind: http, target: "https://chatgpt.com/backend-api/codex/responses", method: HEAD,
         expect: {status: [405], headers: {Allow: POST}}}
      - {name: exec, kind: exec, preset: codex, timeout: 15s}
`

// outcomes are the causes that were named, by version, fault and form.
type outcomes struct {
	mu     sync.Mutex
	causes map[[3]string]string
}

func (o *outcomes) note(version string, s fault, f form, cause string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.causes[[3]string{version, s.name, f.name}] = cause
}

func (o *outcomes) print() {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	defer w.Flush()
	for _, version := range versions() {
		if !slices.ContainsFunc(slices.Collect(maps.Keys(o.causes)), func(key [3]string) bool { return key[0] == version }) {
			continue
		}
		fmt.Fprintf(w, "\nCODEX %s", strings.ToUpper(version))
		for _, f := range forms {
			fmt.Fprint(w, "\t", f.name)
		}
		fmt.Fprintln(w)
		for _, s := range faults {
			fmt.Fprint(w, s.name)
			for _, f := range forms {
				fmt.Fprint(w, "\t", cmp.Or(o.causes[[3]string{version, s.name, f.name}], "–"))
			}
			fmt.Fprintln(w)
		}
	}
}

// TestEveryRunHasEach: without -matrix each fault is still tried, and each form.
func TestEveryRunHasEach(t *testing.T) {
	tried := make(map[string]bool)
	for _, s := range faults {
		if len(s.everyRun) == 0 {
			t.Errorf("no form is tried with: %s", s.name)
		}
		for _, name := range s.everyRun {
			i := slices.IndexFunc(forms, func(f form) bool { return f.name == name })
			if i < 0 || s.expected(forms[i], usual).cause == "" {
				t.Errorf("%s: not to be tried with %q", s.name, name)
			}
			tried[name] = true
		}
	}
	for _, f := range forms {
		if !tried[f.name] {
			t.Errorf("no fault is tried with: %s", f.name)
		}
	}
}

// TestDocument compares docs/forms.md with the tables.
func TestDocument(t *testing.T) {
	var text bytes.Buffer
	text.WriteString("# Forms of codex's sign-in\n\n" +
		"Without a configuration, netwatchd watches the endpoint that codex itself uses. For each form below the laboratory\n" +
		"runs the real codex and compares: netwatchd must probe where codex sent its requests, and send a key nowhere else\n" +
		"(`make forms`; `internal/lab/forms`).\n\n" +
		"| form | requests go to |\n|---|---|\n")
	for _, f := range forms {
		fmt.Fprintf(&text, "| %s | `%s`%s |\n", f.name, f.turns, f.remark())
	}
	text.WriteString("\n## Faults\n\nThe cause that is named for each fault, without a configuration. A fault that only a run of the agent shows is found\n" +
		"by the daemon's runs and by `netwatchd backtest`, the others also by `netwatchd check`.\n\n" +
		"| fault | verdict | shown by | otherwise |\n|---|---|---|---|\n")
	for _, s := range faults {
		fmt.Fprintf(&text, "| %s | `%s` | %s | %s |\n", s.name, s.cause, s.shownBy(), strings.Join(s.otherwise(), "; "))
	}
	path := filepath.Join("..", "..", "..", "docs", "forms.md")
	if *update {
		if err := os.WriteFile(path, text.Bytes(), 0o644); err != nil {
			t.Error(err)
		}
	}
	have, err := os.ReadFile(path)
	if err != nil {
		t.Error(err)
	}
	if diff := gocmp.Diff(string(have), text.String()); diff != "" {
		t.Errorf("docs/forms.md is out of date: go test ./internal/lab/forms -run Document -update (-file +tables):\n%s", diff)
	}
}

func (f form) remark() string {
	switch {
	case f.turnsOldest != "":
		return "; codex " + oldest + ": `" + f.turnsOldest + "`"
	case f.brokenOldest != "":
		return "; codex " + f.brokenOldest
	case f.proxied:
		return ", by the proxy"
	}
	return ""
}

func (s fault) shownBy() string {
	switch {
	case s.class != "":
		return "`" + s.class + "`"
	case s.runs:
		return "a run of the agent"
	}
	return ""
}

// otherwise lists the forms for which something else holds.
func (s fault) otherwise() []string {
	var all []string
	if len(s.only) > 0 {
		all = append(all, "only with "+strings.Join(s.only, ", ")+"; elsewhere "+s.elsewhere.String())
	}
	for _, f := range forms {
		if o, ok := s.except[f.name]; ok {
			all = append(all, f.name+": "+o.String())
		}
	}
	return all
}

func (o other) String() string {
	if o.cause == "" {
		return o.why
	}
	return "`" + o.cause + "`, because " + o.why
}
