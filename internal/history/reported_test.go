package history

import (
	"slices"
	"strings"
	"testing"
	"time"

	"netwatchd/internal/causes"
	"netwatchd/internal/incident"
	"netwatchd/internal/probe"
)

func reported(class probe.Class) incident.Reported {
	return incident.Reported{Service: "codex", Agent: "codex", At: time.Now(), Class: class, Network: "denied"}
}

// A burst opens an incident that survives a restart, and whose report has the counts and the verdict of that moment.
func TestAgentReports(t *testing.T) {
	dir := t.TempDir()
	l := live(t, dir)
	for range 3 {
		l.AgentReported(reported(probe.ExecStreamCut))
	}
	judged(l, "codex", causes.Healthy, causes.Healthy)
	l.stop()
	l = live(t, dir)
	l.AgentReported(reported(probe.ExecStreamCut))
	judged(l, "codex", causes.Healthy, causes.Healthy)
	l.stop()
	l = live(t, dir)
	found, _, err := l.Incidents(t.Context(), incident.Filter{OpenOnly: true})
	if err != nil || len(found) != 1 || !found[0].ByAgent || found[0].Severity != causes.Info {
		t.Fatalf("got %+v, %v; want one incident", found, err)
	}
	r, err := l.Record(t.Context(), found[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	text := r.Markdown()
	for _, want := range []string{"What the agent itself reported", "| `codex` | `exec.stream_cut` | 4 |", "healthy"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in the report:\n%s", want, text)
		}
	}
	l.AgentReported(reported(probe.OK))
	if found, _, _ := l.Incidents(t.Context(), incident.Filter{OpenOnly: true}); len(found) != 0 {
		t.Errorf("after a turn that succeeded: %+v", found)
	}
}

// A command that its sandbox denied is an observation with its own report, however often it is tried.
func TestDeniedCommands(t *testing.T) {
	dir := t.TempDir()
	l := live(t, dir)
	for range 20 {
		r := reported(probe.LocalDenied)
		r.Denied = true
		l.AgentReported(r)
	}
	judged(l, "codex", causes.Healthy, causes.Healthy)
	if i := l.RecordBacktest(t.Context(), backtest(probe.ExecNetwork)); i == nil || !i.Observation {
		t.Errorf("a backtest: %+v", i)
	}
	l.stop() // so that it is written
	l = live(t, dir)
	r := reported(probe.LocalDenied)
	r.Denied = true
	l.AgentReported(r)
	l.stop()
	l = live(t, dir)
	found, _, err := l.Incidents(t.Context(), incident.Filter{})
	found = slices.DeleteFunc(found, func(i *incident.Incident) bool { return len(i.Reports) == 0 })
	if err != nil || len(found) != 1 || !found[0].Observation || found[0].Cause() != causes.Sandbox {
		t.Fatalf("got %+v, %v; want one observation", found, err)
	}
	report, err := l.Record(t.Context(), found[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	verdicts := 0
	for _, transition := range report.Transitions {
		if transition.What == "verdict" {
			verdicts++
		}
	}
	if verdicts != 1 || len(report.Evidence) == 0 || report.Reports[0].Count != 21 {
		t.Errorf("%d verdicts, %d exhibits, %+v", verdicts, len(report.Evidence), report.Reports)
	}
	if text := report.Markdown(); !strings.Contains(text, "a command of the agent wanted the network, and its sandbox denied it") {
		t.Errorf("the report:\n%s", text)
	}
}
