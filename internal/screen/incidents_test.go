package screen

import (
	"strings"
	"testing"
	"time"

	"netwatchd/internal/causes"
	"netwatchd/internal/diagnose"
	"netwatchd/internal/incident"
	"netwatchd/internal/probe"
)

// An observation is not shown as a fault: it has no failed mark, no duration and no cause.
func TestObservations(t *testing.T) {
	b := incident.NewBook()
	v := diagnose.Verdict{Service: "codex", Cause: causes.Sandbox, Title: "codex: the run failed in its sandbox"}
	at := time.Date(2026, 11, 23, 12, 0, 0, 0, time.Local)
	b.Observe(v, at, at)
	i := b.Observe(v, at, at.Add(time.Hour))
	b.EndObservation("codex", "a run inside the sandbox succeeded", at.Add(2*time.Hour))
	var out strings.Builder
	if err := Observations(&out, []*incident.Incident{i}, 3, Options{}); err != nil {
		t.Fatal(err)
	}
	want := `
observations, not faults

– ` + i.ID + `  2026-11-23 12:00:00, seen 2 times, last 2026-11-23 14:00:00
  title    codex: the run failed in its sandbox
  ended    a run inside the sandbox succeeded

and 2 more (--limit=0 lists all)
`
	if got := out.String(); strings.TrimSpace(got) != strings.TrimSpace(want) {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
	out.Reset()
	if err := Observations(&out, nil, 0, Options{}); err != nil || out.Len() > 0 {
		t.Errorf("without any: %q, %v", out.String(), err)
	}
}

// A run against a stub is not one of the runs that are counted.
func TestBacktestRunAgainstAStub(t *testing.T) {
	run := probe.Result{Spec: probe.Spec{Name: "exec", Kind: probe.KindExec}, Class: probe.ExecTimedOut, Elapsed: 90}
	stub := probe.Result{Spec: probe.Spec{Name: "exec/stub", Kind: probe.KindExec, Role: probe.AgentStub}, Class: probe.OK, Elapsed: 0.4}
	for _, test := range []struct {
		n    int
		r    probe.Result
		want string
	}{{3, run, "3 host exec.timed_out 90 s -"}, {0, stub, "- stub ok 400 ms -"}} {
		var out strings.Builder
		if err := BacktestRun(&out, test.n, test.r, diagnose.WantAny, Options{}); err != nil {
			t.Fatal(err)
		}
		if _, got, _ := strings.Cut(strings.Join(strings.Fields(out.String()), " "), " "); got != test.want {
			t.Errorf("got %q, want %q", got, test.want)
		}
	}
}

func TestBacktestNamesReport(t *testing.T) {
	for _, test := range []struct {
		incident *incident.Incident
		want     string
	}{
		{&incident.Incident{ID: "20261123-codex-1", Observation: true}, "observation, not a fault: netwatchd explain 20261123-codex-1\n"},
		{&incident.Incident{ID: "20261123-codex-2"}, "incident: netwatchd explain 20261123-codex-2\n"},
		{nil, ""},
	} {
		var out strings.Builder
		if err := BacktestEnd(&out, Backtest{HostOK: 1, Host: 1, Incident: test.incident}, Options{}); err != nil {
			t.Fatal(err)
		}
		if got := out.String(); !strings.Contains(got, test.want) || strings.Contains(got, "report") != (test.incident != nil) {
			t.Errorf("got %q, want %q", got, test.want)
		}
	}
}
