package screen

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/charmbracelet/x/ansi"
	"github.com/google/go-cmp/cmp"

	"netwatchd/internal/causes"
	"netwatchd/internal/diagnose"
	"netwatchd/internal/doctor"
	"netwatchd/internal/incident"
	"netwatchd/internal/probe"
	"netwatchd/internal/spending"
	"netwatchd/internal/watch"
)

var update = flag.Bool("update", false, "rewrite the golden files")

type scene struct {
	name string
	show func(*bytes.Buffer, Options) error
}

func check(s ...watch.ServiceStatus) func(*bytes.Buffer, Options) error {
	return func(b *bytes.Buffer, o Options) error { return Check(b, status(s...), o) }
}

func statusOf(s ...watch.ServiceStatus) func(*bytes.Buffer, Options) error {
	return func(b *bytes.Buffer, o Options) error {
		o.Now = noon.Add(4 * time.Second)
		return Status(b, status(s...), o)
	}
}

func inside(local watch.Sandboxed, host *watch.Status, age time.Duration, err error) func(*bytes.Buffer, Options) error {
	return func(b *bytes.Buffer, o Options) error {
		return Inside(b, &watch.Status{Sandboxed: local}, host, age, err, o)
	}
}

// insideWithProxy is a sandbox with network access only through its own proxy.
func insideWithProxy(r probe.Result) func(*bytes.Buffer, Options) error {
	r.Proxy = "http://127.0.0.1:39389"
	local := status(watch.ServiceStatus{Verdict: diagnose.Verdict{Service: "codex"}, Results: []probe.Result{r}})
	local.Sandboxed = watch.Sandboxed{Denied: true, Signals: []string{"socket_unix_eperm", "only_loopback", "env_proxy_active"}}
	return func(b *bytes.Buffer, o Options) error {
		return Inside(b, local, status(healthyClosed()), 3*time.Second, nil, o)
	}
}

func doctorOf(all ...doctor.Finding) func(*bytes.Buffer, Options) error {
	return func(b *bytes.Buffer, o Options) error { return Doctor(b, doctor.Report{Findings: all}, o) }
}

func result(r probe.Result) func(*bytes.Buffer, Options) error {
	return func(b *bytes.Buffer, o Options) error { return Result(b, r, o) }
}

// top is a screen of height lines, with an hour of a probe that was fast, slow, not run, half failing and down.
func top(s watch.ServiceStatus, height int) func(*bytes.Buffer, Options) error {
	scene := &Scene{Status: status(s), From: "http://127.0.0.1:19405", Service: s.Service, More: 7}
	for _, r := range s.Results {
		if r.Role == probe.OfService {
			scene.Latest = append(scene.Latest, r)
		}
	}
	steps := make([]Step, Hour)
	for n := range steps {
		switch {
		case n < 20:
			steps[n] = Step{2, 0, probe.Seconds(.01 + float64(n%3)*.001)}
		case n < 40:
			steps[n] = Step{2, 0, probe.Seconds(n) * .002}
		case n >= 45 && n < 55:
			steps[n] = Step{2, 1, .01}
		case n >= 55:
			steps[n] = Step{2, 2, 0}
		}
	}
	for _, r := range scene.Latest {
		scene.Traces = append(scene.Traces, Trace{r.Name, r.Vantage, steps})
	}
	b := incident.NewBook()
	for n, cause := range []causes.Cause{causes.Resolver, causes.Upstream, causes.Healthy, causes.Upstream} {
		i, _ := b.Enter(diagnose.Verdict{Service: s.Service, Cause: cause}, noon.Add(time.Duration(n-4)*time.Hour))
		if cause != causes.Upstream {
			scene.Incidents = append([]*incident.Incident{i}, scene.Incidents...)
		}
	}
	scene.Incidents[0] = b.Latest(s.Service)
	return func(b *bytes.Buffer, o Options) error { return topOf(b, scene, height, o) }
}

func topOf(b *bytes.Buffer, s *Scene, height int, o Options) error {
	o.Now = noon.Add(4 * time.Second)
	b.WriteString(Top(s, height, o) + "\n")
	if lines := strings.Count(b.String(), "\n"); lines != height {
		return fmt.Errorf("%d lines, want %d", lines, height)
	}
	return nil
}

func verbose(show func(*bytes.Buffer, Options) error) func(*bytes.Buffer, Options) error {
	return func(b *bytes.Buffer, o Options) error {
		o.Verbose = true
		return show(b, o)
	}
}

var denied = watch.Sandboxed{Denied: true, Signals: []string{
	"socket_inet_eperm", "socket_inet6_eperm", "env_network_disabled", "ancestor_codex_sandbox", "seccomp_filter", "no_new_privs"}}

func scenes() []scene {
	renamed := diagnosedAs("registry", "nothing wrong")
	return []scene{
		{"doctor-well", doctorOf(wellInstalled...)},
		{"doctor-faults", doctorOf(badlyInstalled...)},
		{"check-healthy", check(healthy())},
		{"check-healthy-verbose", verbose(check(healthyClosed()))},
		{"check-healthy-closed", check(healthyClosed())},
		{"check-sandbox", check(sandboxed())},
		{"check-resolver", check(resolver())},
		{"check-upstream", check(upstream())},
		{"check-edge-blocked", check(edgeBlocked())},
		{"check-offline", check(offline())},
		{"check-account", check(accountRefused())},
		{"check-starting", check(starting())},
		{"check-inconclusive", check(unsure())},
		{"check-hostile", check(hostile())},
		{"check-two", check(healthyClosed(), renamed)},
		{"check-one-of-two", check(diagnosedAs("claude", "nothing wrong"), upstream())},
		{"check-offline-three", check(offline(), diagnosedAs("claude", "no default route"), diagnosedAs("gemini", "no default route"))},
		{"check-none", check()},
		{"check-no-codex", func(b *bytes.Buffer, o Options) error {
			s := status(healthy())
			s.Notes = []string{"codex was not found on the PATH: agent runs and the agent's sandbox are not monitored"}
			return Check(b, s, o)
		}},
		{"status-upstream", statusOf(upstream())},
		{"status-healthy", statusOf(healthyClosed())},
		{"status-many", statusOf(many(40)...)},
		{"status-offline-four", statusOf(offline(), diagnosedAs("claude", "no default route"), diagnosedAs("gemini", "no default route"),
			diagnosedAs("shop", "nothing wrong"))},
		{"top-upstream", top(upstream(), 24)},
		{"top-sandbox", top(sandboxed(), 24)},
		{"top-closed", top(healthyClosed(), 24)},
		{"top-low", top(resolver(), 12)},
		{"top-many", func(b *bytes.Buffer, o Options) error {
			return topOf(b, &Scene{Status: status(many(40)...), Service: "shop7"}, 24, o)
		}},
		{"top-offline-two", func(b *bytes.Buffer, o Options) error {
			two := status(offline(), diagnosedAs("claude", "no default route"), diagnosedAs("shop", "nothing wrong"))
			return topOf(b, &Scene{Status: two}, 24, o)
		}},
		{"top-hostile", top(hostile(), 24)},
		{"top-trouble", func(b *bytes.Buffer, o Options) error {
			s := &Scene{Status: status(healthyClosed()), From: "http://127.0.0.1:19405", Trouble: "No daemon responds at http://127.0.0.1:19405: connect: connection refused. Shown is the status file, written 12 s ago."}
			s.Status.Trouble = []string{"history cannot be written; probing continues: store: database or disk is full; free space on its disk"}
			return topOf(b, s, 24, o)
		}},
		{"top-nothing", func(b *bytes.Buffer, o Options) error {
			return topOf(b, &Scene{From: "http://127.0.0.1:19405", Trouble: "No daemon responds."}, 24, o)
		}},
		{"inside-fine", inside(denied, status(healthyClosed()), 6*time.Second, nil)},
		{"inside-trouble", inside(denied, status(upstream()), 8*time.Second, nil)},
		{"inside-stale", inside(denied, status(healthyClosed()), 7*time.Minute, nil)},
		{"inside-absent", inside(denied, nil, 0, &fs.PathError{Op: "open", Path: "/run/netwatchd/status.json", Err: fs.ErrNotExist})},
		{"inside-unreadable", inside(denied, nil, 0, errors.New("/run/netwatchd/status.json: not a status: unexpected end of JSON input"))},
		{"inside-proxy-refuses", insideWithProxy(refusedByProxy())},
		{"inside-proxy-passes", insideWithProxy(head("nothing wrong"))},
		{"inside-open", inside(watch.Sandboxed{}, status(healthy()), time.Second, nil)},
		{"result-ok", result(head("nothing wrong"))},
		{"result-refused", result(head("service refuses its port"))},
		{"result-agent", result(accountRefused().Evidence[0])},
	}
}

// TestVerboseHasEveryAttempt shows each result of a round by its name and class, and no cross for a sandbox that is
// closed as configured.
func TestVerboseHasEveryAttempt(t *testing.T) {
	for _, s := range []watch.ServiceStatus{healthyClosed(), upstream(), sandboxed()} {
		var b bytes.Buffer
		if err := Check(&b, status(s), Options{Verbose: true}); err != nil {
			t.Fatal(err)
		}
		_, attempts, _ := strings.Cut(b.String(), "\n  attempts\n")
		if n := strings.Count(attempts, "\n  ✓ ") + strings.Count(attempts, "\n  ✗ ") + strings.Count(attempts, "\n  – "); n+1 != len(s.Results) {
			t.Errorf("%v: %d attempts are shown, want %d:\n%s", s.Cause, n+1, len(s.Results), attempts)
		}
		if s.Cause == causes.Healthy && strings.Contains(b.String(), "✗") {
			t.Errorf("a cross on a healthy screen:\n%s", b.String())
		}
	}
}

// TestBacktestOfAClosedSandbox shows no failure: the runs inside are denied, as configured.
func TestBacktestOfAClosedSandbox(t *testing.T) {
	run := probe.Result{Spec: probe.Spec{Name: "exec", Kind: probe.KindExec, Vantage: probe.FromSandbox}, Class: probe.ExecNetwork}
	for want, mark := range map[diagnose.Want]string{diagnose.WantClosed: "– 2", diagnose.WantOpen: "✗ 2"} {
		var b bytes.Buffer
		if err := BacktestRun(&b, 2, run, want, Options{}); err != nil || !strings.HasPrefix(b.String(), mark) {
			t.Errorf("want %v: %v, %q", want, err, b.String())
		}
	}
}

// colored are the scenes whose colors are pinned, with readable names for them.
var colored = []string{"check-upstream", "top-sandbox"}

func TestScreens(t *testing.T) {
	for _, s := range scenes() {
		t.Run(s.name, func(t *testing.T) {
			text := s.print(t, Options{})
			golden(t, s.name, text)
			fits(t, text, Options{})
			inColor := s.print(t, Options{Color: true})
			if diff := cmp.Diff(text, ansi.Strip(inColor)); diff != "" {
				t.Errorf("color changes the text (-plain +colored):\n%s", diff)
			}
			if slices.Contains(colored, s.name) {
				golden(t, s.name+"-color", colorNames.Replace(inColor))
			}
			for suffix, o := range map[string]Options{"-narrow": {Width: 50}, "-ascii": {ASCII: true}} {
				text := s.print(t, o)
				fits(t, text, o)
				if s.name == "check-sandbox" {
					golden(t, s.name+suffix, text)
				}
			}
		})
	}
}

func (s scene) print(t *testing.T, o Options) string {
	t.Helper()
	var b bytes.Buffer
	if err := s.show(&b, o); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

var colorNames = strings.NewReplacer(string(faint), "<faint>", string(bold), "<bold>", string(red), "<red>", string(green), "<green>",
	string(amber), "<amber>", "\x1b[0m", "</>")

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("differs from %s; look at it and run with -update (-want +got):\n%s", path, diff)
	}
}

// fits holds for every screen: no line is wider than the terminal unless it is one long word, everything fits on one screen,
// no control character gets through, and no line ends in blanks.
func fits(t *testing.T, text string, o Options) {
	t.Helper()
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if len(lines) > 24 && o.width() >= usualWidth && !strings.Contains(text, "\n  attempts\n") { // -v prints all
		t.Errorf("got %d lines, want a screen of 24", len(lines))
	}
	for _, line := range lines {
		if n := ansi.StringWidth(line); n > o.width() && len(strings.Fields(line)) > 2 {
			t.Errorf("got %d columns, want at most %d: %q", n, o.width(), line)
		}
		if strings.TrimRight(line, " ") != line {
			t.Errorf("blanks at the end of %q", line)
		}
		for _, r := range line {
			if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || o.ASCII && r > unicode.MaxASCII {
				t.Errorf("got %U in %q", r, line)
			}
		}
	}
}

func TestWidthsAreInColumns(t *testing.T) {
	p := &printer{}
	for _, test := range []struct {
		text  string
		width int
		want  string
	}{
		{"reachable", 9, "reachable"},
		{"reachable", 8, "reachab…"},
		{"服务不可用", 10, "服务不可用"}, // two columns each
		{"服务不可用", 9, "服务不可…"},
		{"服务不可用", 8, "服务不…"},
		{"e\u0301te\u0301", 3, "e\u0301te\u0301"}, // accents take no column
	} {
		if got := p.truncate(test.text, test.width); got != test.want {
			t.Errorf("%q in %d columns: got %q, want %q", test.text, test.width, got, test.want)
		}
	}
	if got := pad("服务", 6); got != "服务  " {
		t.Errorf("padded to %q", got)
	}
	if diff := cmp.Diff([]string{"服务", "不可用"}, wrap("服务 不可用", 10)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestEveryCauseHasAMark(t *testing.T) {
	for c := range causes.All() {
		s := healthy()
		s.Cause = c
		var b bytes.Buffer
		if err := Check(&b, status(s), Options{}); err != nil {
			t.Fatal(err)
		}
		if want := "(" + c.String() + ")"; !strings.Contains(b.String(), want) {
			t.Errorf("%v: got\n%s\nwant %s in it", c, b.String(), want)
		}
		if saysOK := strings.HasPrefix(b.String(), "✓"); saysOK != (c == causes.Healthy) {
			t.Errorf("%v: the first mark says ok: %v", c, saysOK)
		}
	}
}

func TestOptionsFor(t *testing.T) {
	file, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for _, test := range []struct {
		env  map[string]string
		want Options
	}{
		{nil, Options{}},
		{map[string]string{"LANG": "de_DE.UTF-8"}, Options{}},
		{map[string]string{"LANG": "C.utf8"}, Options{}},
		{map[string]string{"LANG": "C"}, Options{ASCII: true}},
		{map[string]string{"LANG": "de_DE.UTF-8", "LC_ALL": "POSIX"}, Options{ASCII: true}},
	} {
		got := For(file, func(k string) string { return test.env[k] })
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%v (-want +got):\n%s", test.env, diff)
		}
	}
}

// Attempts that succeeded equally fast have no error in common.
func TestOnlyFailuresHaveTheSameError(t *testing.T) {
	fast := probe.Result{Class: probe.OK, Elapsed: 0.084}
	failed := probe.Result{Class: probe.TCPRefused, Why: "connection refused"}
	for r, want := range map[*probe.Result]bool{&fast: false, &failed: true} {
		p := &printer{Options: Options{Width: 80}}
		p.evidence([]probe.Result{*r, *r})
		if got := strings.Contains(p.String(), "same error"); got != want {
			t.Errorf("%v twice: same error printed %v, want %v:\n%s", r.Class, got, want, p.String())
		}
	}
}

// Of several successes the same one is shown each time, whatever the order in which they arrive.
func TestTheAnswerShown(t *testing.T) {
	spec := func(name string, kind probe.Kind) probe.Spec {
		return probe.Spec{Service: "codex", Name: name, Kind: kind}
	}
	dns := probe.Result{Spec: spec("dns", probe.KindDNS), Class: probe.OK}
	head := probe.Result{Spec: spec("head", probe.KindHTTP), Class: probe.OK, Facts: probe.Facts{Status: 405}}
	routing := probe.Result{Spec: spec("routing", probe.KindHTTP), Class: probe.OK, Facts: probe.Facts{Status: 401}}
	for _, results := range [][]probe.Result{{routing, dns, head}, {head, routing, dns}, {dns, routing, head}} {
		if got := answer(watch.ServiceStatus{Results: results}); !strings.HasPrefix(got, "405 in") {
			t.Errorf("got %q, want that of head", got)
		}
	}
}

// TestUsage: the requests, tokens and cost of a day are shown with -v, each only if a run reported it.
func TestUsage(t *testing.T) {
	s := healthyClosed()
	for want, usage := range map[string]*spending.Sum{
		"":                           {},
		"used 1 request in 24 hours": {Runs: 1, Requests: 1},
		"used 2 requests, 1000 tokens, $0.2500 in 24 hours": {Runs: 2, Requests: 2,
			Tokens: &probe.TokensSpent{Input: 900, CachedInput: 500, Output: 100}, CostUSD: new(0.25)},
	} {
		s.Usage, s.BudgetTokens = usage, new(int64(4000))
		for _, verbose := range []bool{false, true} {
			var b bytes.Buffer
			if err := Status(&b, status(s), Options{Verbose: verbose}); err != nil {
				t.Fatal(err)
			}
			text := strings.Join(strings.Fields(b.String()), " ")
			if got := strings.Contains(text, " in 24 hours"); got != (verbose && want != "") || verbose && !strings.Contains(text, want) ||
				strings.Contains(text, "4000 tokens left today") != verbose {
				t.Errorf("verbose %t, want %q:\n%s", verbose, want, b.String())
			}
		}
	}
}
