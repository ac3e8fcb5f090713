package record

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"netwatchd/internal/causes"
	"netwatchd/internal/diagnose"
	"netwatchd/internal/diagnose/diagnosetest"
	"netwatchd/internal/incident"
	"netwatchd/internal/probe"
	"netwatchd/internal/snapshot"
	"netwatchd/internal/watch"

	"github.com/google/go-cmp/cmp"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func result(name string, kind probe.Kind, v probe.Vantage, class probe.Class, why string) probe.Result {
	r := probe.Result{Spec: probe.Spec{Service: "codex", Name: name, Kind: kind, Target: "https://chatgpt.com/backend-api/codex/responses", Vantage: v},
		Start: noon, Elapsed: .084, Class: class, Why: why}
	r.Phase = probe.Resolve
	return r
}

// scene is an incident that began at the resolver and moved to the sandbox, with the verdicts of real rounds.
func scene() *incident.Detail {
	b := incident.NewBook()
	var i *incident.Incident
	var verdicts []incident.VerdictChange
	was := causes.Healthy
	for _, round := range []struct {
		after time.Duration
		scene string
	}{{0, "resolver drops"}, {time.Minute, "sandbox closed, wanted open"}, {time.Hour, "nothing wrong"}} {
		at := noon.Add(round.after)
		named := diagnosetest.Named(round.scene).Round
		for n := range named.Results {
			r := &named.Results[n]
			r.Start = at
			if r.Class == probe.LocalDenied {
				r.Why = "socket: operation not permitted"
			}
		}
		s := watch.ServiceStatus{Verdict: diagnose.Of(named), Since: at, Delay: 1.2, Results: named.Results}
		if found, _ := b.Enter(s.Verdict, at); found != nil {
			i = found
		}
		verdicts = append(verdicts, incident.VerdictChange{At: at, Was: was, Incident: i.ID, Status: s})
		was = s.Cause
	}
	i.Notes = []incident.Note{{At: noon.Add(time.Minute), Text: "seen by me"}}

	run := result("exec", probe.KindExec, probe.FromHost, probe.ExecNetwork, "stream disconnected before completion: error sending request for url (https://chatgpt.com/backend-api/codex/responses)")
	run.Warnings = []string{"codex_path_update"}
	again := run
	again.Start, again.Class, again.Why = noon.Add(61*time.Minute), probe.OK, ""
	snap, _ := json.Marshal(snapshot.Snapshot{At: noon, System: "Debian 12", Kernel: "6.6", Arch: "amd64", Programs: []snapshot.Program{{Name: "codex", Version: "0.104.0", Path: "/usr/bin/codex"}},
		Environment: []snapshot.Setting{{Name: "CODEX_SANDBOX_NETWORK_DISABLED", Value: "1"}},
		Agent:       &snapshot.Agent{Home: "/home/me/.codex", Configuration: "sandbox_mode = \"workspace-write\"\n", Features: []string{"shell_tool"}, SignIn: "there"}})
	return &incident.Detail{
		Incident: i,
		Verdicts: verdicts,
		Attempts: []probe.Result{run, again},
		Suspends: []incident.Suspend{{At: noon.Add(30 * time.Minute), Away: 10 * time.Minute}},
		Runs:     []incident.DaemonRun{{Version: "1.4.0", Started: noon.Add(-time.Hour), Seen: noon.Add(time.Minute)}, {Version: "1.4.1", Started: noon.Add(2 * time.Minute), Seen: noon.Add(time.Hour)}},
		Snapshot: snap,
	}
}

// theIncident is the incident that netwatchd was written for: the agent's runs fail in a sandbox that is closed as
// configured, and succeed on the host. Later its user opens the sandbox.
func theIncident() *incident.Detail {
	const url = "https://chatgpt.com/backend-api/codex/responses"
	named := diagnosetest.Named("sandbox closed, wanted open").Round
	named.Expect.Sandbox = diagnose.WantClosed
	for n := range named.Results {
		r := &named.Results[n]
		r.Start = noon.Add(20 * time.Second)
		switch {
		case r.Class == probe.LocalDenied:
			r.Why = "socket: operation not permitted"
		case r.Kind == probe.KindHTTP && r.Role == probe.OfService:
			r.Headers = []string{"Allow: POST"}
		}
	}
	b := &incident.Backtest{Service: "codex", Want: "closed"}
	for n := range 6 {
		run := result("exec", probe.KindExec, probe.FromHost, probe.OK, "")
		run.Target, run.Start, run.Phase, run.Output = "codex exec", noon.Add(time.Duration(n)*3*time.Second), probe.Executing, "OK"
		if n >= 3 {
			run.Vantage, run.Class, run.Output = probe.FromSandbox, probe.ExecNetwork, ""
			run.Why = "stream disconnected before completion: error sending request for url (" + url + ")"
			run.Warnings = []string{"codex_arg0_cleanup", "codex_path_update"}
		}
		b.Runs = append(b.Runs, run)
	}
	named.Results = append(named.Results, b.Runs...)
	b.Status = watch.ServiceStatus{Verdict: diagnose.Of(named), Since: noon, Results: named.Results}

	book := incident.NewBook()
	from, to := b.Span()
	i := book.Observe(b.Verdict(), from, to)
	b.Status.Verdict = b.Verdict()
	d := &incident.Detail{Incident: i, Manual: b.Runs, Verdicts: []incident.VerdictChange{
		{At: to, Was: causes.Sandbox, Incident: i.ID, Status: b.Status}}}
	book.EndObservation("codex", "a run inside the sandbox succeeded", noon.Add(time.Hour))

	host := snapshot.Snapshot{At: noon, LocalTime: "2026-11-23T21:00:00+09:00", Zone: "JST", System: "Ubuntu 24.04", Kernel: "6.6", Arch: "amd64",
		Programs:    []snapshot.Program{{Name: "codex", Version: "0.104.0", Path: "/usr/bin/codex"}, {Name: "node", Version: "v22.22.0", Path: "/usr/bin/node"}},
		Environment: []snapshot.Setting{{Name: "CODEX_MANAGED_BY_NPM", Value: "1"}},
		Sandbox:     &snapshot.Sandbox{Environment: []snapshot.Setting{{Name: "CODEX_SANDBOX_NETWORK_DISABLED", Value: "1"}}},
		Agent: &snapshot.Agent{Home: "/home/me/.codex", Configuration: "projects = '2, names omitted'\n", SignIn: "present",
			Projects: &snapshot.Projects{Trusted: 2},
			Policy: &snapshot.Policy{Change: snapshot.Change{File: "/home/me/.codex/config.toml", Run: "codex -s workspace-write -c sandbox_workspace_write.network_access=true",
				Lines: []string{`sandbox_mode = "workspace-write"`, "[sandbox_workspace_write]", "network_access = true"}}},
			Features: []string{"shell_tool", "unified_exec"},
			Flags:    []snapshot.Flag{{Name: "shell_tool", Stage: "stable", On: true}, {Name: "undo", Stage: "under development"}, {Name: "unified_exec", Stage: "stable", On: true}}}}
	d.Snapshot, _ = json.Marshal(host)
	host.Sandbox = &snapshot.Sandbox{Environment: []snapshot.Setting{}}
	opened := *host.Agent
	opened.Configuration = "sandbox_mode = 'workspace-write'\nprojects = '2, names omitted'\n[sandbox_workspace_write]\nnetwork_access = true\n"
	opened.Policy = &snapshot.Policy{Mode: "workspace-write", Network: true, File: "/home/me/.codex/config.toml"}
	host.Agent = &opened
	d.End, _ = json.Marshal(host)
	return d
}

// The record has, section by section, what the person in the incident wrote by hand.
func TestTheIncident(t *testing.T) {
	r := Of(theIncident())
	r.Scope.Workspace = "/mnt/c/work"
	golden(t, "observation.md", r.Markdown())
	if r.Evidence[0].Result.Name != "policy" || r.Evidence[1].Result.Name != "environment" || !slices.Equal(r.Verdict.Exhibits[:2], []int{1, 2}) {
		t.Errorf("the evidence begins with %+v", r.Evidence[:2])
	}
	if b := r.Backtest; b == nil || b.Host.OK != 3 || b.Host.Runs != 3 || b.Sandbox.OK != 0 || b.Sandbox.Runs != 3 {
		t.Errorf("backtest %+v", b)
	}
	if len(r.Warnings) != 2 || !slices.Equal(r.Warnings[0].Vantages, []string{"sandbox"}) {
		t.Errorf("warnings %+v", r.Warnings)
	}
	manual := 0
	for _, step := range r.Transitions {
		if step.What == "backtest" {
			manual++
		}
	}
	if manual != 6 {
		t.Errorf("%d of 6 runs by hand are in the timeline", manual)
	}
	text, err := r.JSON()
	if err != nil || !strings.Contains(string(text), `"observation": true`) || !strings.Contains(string(text), `"workspace": "/mnt/c/work"`) {
		t.Errorf("%v: %s", err, text)
	}
	r.Scope.Workspace = ""
	without, err := r.JSON()
	if err != nil {
		t.Fatal(err)
	}
	markdown, again, err := WithWorkspace(without, "/mnt/c/work")
	r.Scope.Workspace = "/mnt/c/work"
	if err != nil || markdown != r.Markdown() || string(again) != string(text) {
		t.Errorf("with the workspace: %v\n%s", err, markdown)
	}
	clean, err := r.Redacted()
	if err != nil || clean.Markdown() != r.Markdown() {
		t.Errorf("the record read back differs: %v", err)
	}
}

var update = flag.Bool("update", false, "rewrite the golden files")

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := errors.Join(os.MkdirAll("testdata", 0o755), os.WriteFile(path, []byte(got), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

func TestRecord(t *testing.T) {
	open := scene()
	open.Incident.Closed, open.Attempts, open.Verdicts = nil, open.Attempts[:1], open.Verdicts[:2]
	golden(t, "open.md", Of(open).Markdown())
	r := Of(scene())
	text := r.Markdown()
	golden(t, "closed.md", text)
	for _, want := range []string{
		"# Incident `20261123-codex-1`: resolved after 1 h", "**sandbox** (ticket), 2026-11-23 12:00:00 UTC to 2026-11-23 13:00:00 UTC, lasted 1 h",
		"## 1. What to do", "## 2. Scope", "## 3. Runtime", "codex: `0.104.0` at `/usr/bin/codex`", "`CODEX_SANDBOX_NETWORK_DISABLED=1`",
		"## 4. The agent's configuration", `sandbox_mode = "workspace-write"`, "## 5. Feature flags", "`shell_tool`",
		"## 6. Symptom", "stream disconnected before completion: error sending request for url (https://chatgpt.com/backend-api/codex/responses)",
		"## 7. Verdict and evidence", "| `head` | `ok, status 405`, 84 ms | `local.denied`, 84 ms |", "`socket: operation not permitted`",
		"## 8. Timeline", "healthy → resolver", "resolver → sandbox", "the host was suspended for 10 min", "it did not shut down cleanly", "seen by me",
		"## 9. Backtest", "1 of 1 agent run succeeded", "## 10. Non-blocking warnings", "`codex_path_update`, 2 times, from host", "## 11. What changed when it ended",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in the record", want)
		}
	}
	if t.Failed() {
		t.Log(text)
	}
	for _, numbers := range append([][]int{r.Verdict.Exhibits, r.Backtest.Exhibits, {r.Symptom[0].Exhibit}}, exhibitsOf(r.Transitions)...) {
		for _, n := range numbers {
			if n < 1 || n > len(r.Evidence) || r.Evidence[n-1].Number != n {
				t.Errorf("exhibit %d is not in the record", n)
			}
		}
	}
	if r.Symptom[0].Text != r.Evidence[r.Symptom[0].Exhibit-1].Result.Why {
		t.Errorf("symptom %q is not verbatim", r.Symptom[0].Text)
	}
}

// Results come in as they end; a person reads from the lookup up.
func TestHostBesideSandboxIsInTheOrderOfTheLadder(t *testing.T) {
	scene := scene()
	var round []probe.Result
	for _, kind := range []probe.Kind{probe.KindExec, probe.KindStream, probe.KindHTTP, probe.KindDNS} {
		round = append(round, result(kind.String(), kind, probe.FromSandbox, probe.LocalDenied, ""))
	}
	scene.Verdicts[1].Status.Results = round
	var order []string
	for _, pair := range Of(scene).Beside {
		order = append(order, pair.Probe)
	}
	if want := []string{"dns", "http", "stream", "exec"}; !slices.Equal(order, want) {
		t.Errorf("got %v, want %v", order, want)
	}
}

func exhibitsOf(all []Transition) (numbers [][]int) {
	for _, t := range all {
		numbers = append(numbers, t.Exhibits)
	}
	return numbers
}

func TestJSON(t *testing.T) {
	text, err := Of(scene()).JSON()
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]json.RawMessage
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"id", "service", "causes", "opened", "closed", "notes", "scope", "runtime", "symptom", "verdict", "evidence",
		"host_beside_sandbox", "transitions", "backtest", "warnings", "do"} {
		if len(got[key]) == 0 || string(got[key]) == "null" {
			t.Errorf("%s is %s", key, got[key])
		}
	}
	if !bytes.HasPrefix(text, []byte("{\n  \"id\"")) {
		t.Errorf("a record without secrets lost the order of its fields: %.40s", text)
	}
}

// Nothing is known but the incident: the record says so.
func TestBare(t *testing.T) {
	b := incident.NewBook()
	i, _ := b.Enter(diagnose.Verdict{Service: "codex", Cause: causes.Upstream}, noon)
	r := Of(&incident.Detail{Incident: i})
	if text := r.Markdown(); !strings.Contains(text, "No snapshot was taken") || !strings.Contains(text, "ongoing") {
		t.Error(text)
	}
	text, err := r.JSON()
	if err != nil || !strings.Contains(string(text), `"notes": []`) || !strings.Contains(string(text), `"closed": null`) {
		t.Errorf("%s, %v", text, err)
	}
}

// hostile tries to be markup, to leave its span, to move the cursor, to turn the direction of writing.
const hostile = "`` ``` <script>alert(1)</script> | a | [x](javascript:y) \x1b[2J\x1b]0;title\x07 \r\n## Heading \u202eright \x00 " +
	"Authorization: Bearer Pl4nt3dPl4nt3d https://u:Pl4nt3d@h/ eyJhbGciOiJub25lIn0.eyJPl4nt3d.x sk-Pl4nt3dPl4nt3d"

func TestHostile(t *testing.T) {
	detail := scene()
	detail.Incident.Title, detail.Incident.Notes[0].Text, detail.Incident.Service = hostile, hostile, hostile
	for n := range detail.Verdicts {
		s := &detail.Verdicts[n].Status
		s.Title, s.Advice, s.Missing, s.Blocked = hostile, hostile, []string{hostile}, []string{hostile}
		s.Also = []diagnose.Finding{{Cause: causes.IPv6, Title: hostile}}
		for m := range s.Evidence {
			e := &s.Evidence[m]
			e.Name, e.Target, e.Why, e.Server, e.RCode, e.Peer, e.Proxy, e.RequestID, e.Output = hostile, hostile, hostile, hostile, hostile, hostile, hostile, hostile, hostile
			e.Signals, e.Warnings, e.Answers = []string{hostile}, []string{hostile}, []string{hostile}
		}
	}
	detail.Attempts[0].Why = hostile + strings.Repeat("x", 1<<20)
	snap, _ := json.Marshal(snapshot.Snapshot{System: hostile, Programs: []snapshot.Program{{Name: "codex", Fault: hostile}},
		Environment: []snapshot.Setting{{Name: "HTTPS_PROXY", Value: hostile}}, Agent: &snapshot.Agent{Home: hostile, Configuration: hostile, Features: []string{hostile},
			Flags:  []snapshot.Flag{{Name: hostile, Stage: hostile}},
			Policy: &snapshot.Policy{Mode: hostile, Profile: hostile, File: hostile, Change: snapshot.Change{File: hostile, Lines: []string{hostile}, Run: hostile}}},
		LocalTime: hostile, Zone: hostile, Sandbox: &snapshot.Sandbox{Environment: []snapshot.Setting{{Name: hostile, Value: hostile}}}})
	detail.Snapshot = snap
	detail.End, _ = json.Marshal(snapshot.Snapshot{Kernel: hostile, Environment: []snapshot.Setting{{Name: "x" + hostile, Value: hostile}}})
	manual := detail.Attempts[0]
	manual.Target, manual.Output, manual.Warnings = hostile, hostile, []string{hostile}
	detail.Manual = []probe.Result{manual}
	r := Of(detail)
	r.Scope.Workspace = hostile
	text := r.Markdown()
	asJSON, err := r.JSON()
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(text, "Pl4nt3d") || bytes.Contains(asJSON, []byte("Pl4nt3d")) {
		t.Errorf("a secret is in the record")
		for line := range strings.Lines(text + string(asJSON)) {
			if strings.Contains(line, "Pl4nt3d") {
				t.Logf("%.600q", line)
			}
		}
	}
	if strings.ContainsAny(text, "\x1b\x07\x00\r\u202e") {
		t.Error("a control character is in the record")
	}
	if len(text) > 3<<20 || len(asJSON) > 1<<20 {
		t.Errorf("%d and %d bytes", len(text), len(asJSON))
	}
	fence := ""
	for line := range strings.Lines(text) {
		run := line[:len(line)-len(strings.TrimLeft(line, "`"))]
		switch {
		case fence == "" && len(run) >= 3 && !strings.Contains(strings.TrimPrefix(line, run), "`"):
			fence = run
		case fence != "" && strings.TrimSpace(line) == fence:
			fence = ""
		case fence == "" && strings.HasPrefix(line, "## Heading"):
			t.Errorf("a heading from outside: %q", line)
		case fence == "" && strings.HasPrefix(line, "|") && strings.Count(strings.ReplaceAll(line, `\|`, ""), "|") > 5:
			t.Errorf("a column from outside: %.200q", line)
		}
	}
	if fence != "" {
		t.Error("a block has no end")
	}
}

func TestBundle(t *testing.T) {
	var b bytes.Buffer
	r := Of(scene())
	text, err := r.JSON()
	if err != nil {
		t.Fatal(err)
	}
	bundle := Bundle{ID: r.ID, Markdown: r.Markdown(), JSON: text, More: map[string]string{"version.txt": "1.4.0\n"}}
	if err := bundle.Write(&b, noon); err != nil {
		t.Fatal(err)
	}
	zipped, err := gzip.NewReader(&b)
	if err != nil {
		t.Fatal(err)
	}
	files := make(map[string]string)
	for archive := tar.NewReader(zipped); ; {
		head, err := archive.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		content, _ := io.ReadAll(archive)
		files[head.Name] = string(content)
	}
	const dir = "netwatchd-20261123-codex-1/"
	if len(files) != 3 || files[dir+"incident.md"] != r.Markdown() || files[dir+"version.txt"] != "1.4.0\n" || files[dir+"incident.json"] != string(text) {
		t.Errorf("files %v", files)
	}
}

// The section on the recovery says what ran: probes closed the incident, and whether the agent ran is a fact of its own.
func TestRecoverySaysWhatRan(t *testing.T) {
	d := scene()
	if got := Of(d).Recovery; got == nil || got.Runs != 1 || got.OK != 1 || !slices.Contains(got.Probes, "head") {
		t.Errorf("with a run of the agent: %+v", got)
	}
	d.Attempts = nil
	r := Of(d)
	for _, want := range []string{"successful probes of the service: ", "The agent itself did not run within an hour after it."} {
		if !strings.Contains(r.Markdown(), want) {
			t.Errorf("without a run, %q is missing: %s", want, r.Markdown())
		}
	}
	open := scene()
	open.Incident.Closed, open.Verdicts = nil, open.Verdicts[:2]
	if got := Of(open).Recovery; got != nil {
		t.Errorf("an open incident has recovered: %+v", got)
	}
}

func TestFold(t *testing.T) {
	markdown := Of(scene()).Markdown()
	got := Fold(markdown)
	if !strings.Contains(markdown, "<details>") || strings.Contains(got, "details>") || strings.Contains(got, "shell_tool") ||
		!strings.Contains(got, "1 on (--json has them all, and so has a file)") || !strings.HasSuffix(got, markdown[len(markdown)-40:]) {
		t.Errorf("folded:\n%s", got)
	}
	if got := Fold("<details><summary>broken"); got != "<details><summary>broken" {
		t.Errorf("got %q", got)
	}
}
