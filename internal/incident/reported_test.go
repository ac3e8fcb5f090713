package incident

import (
	"testing"
	"time"

	"netwatchd/internal/causes"
	"netwatchd/internal/diagnose"
	"netwatchd/internal/probe"
)

func healthy() diagnose.Verdict { return diagnose.NotReady("codex", causes.Healthy) }

func cut(after time.Duration) Reported {
	return Reported{Service: "codex", Agent: "codex", At: noon.Add(after), Class: probe.ExecStreamCut, Network: "denied"}
}

// Three turns that fail open an incident while every verdict is healthy. It notifies nobody, stays open while turns
// fail, and closes ten minutes after the last.
func TestBurst(t *testing.T) {
	b := NewBook()
	for n := range 3 {
		at := noon.Add(time.Duration(n) * time.Minute)
		if i := b.Burst(healthy(), at); i != nil {
			t.Fatalf("after %d failures: %+v", n, i)
		}
		retry := cut(time.Duration(n) * time.Minute)
		retry.Retry = true
		if i := b.Report(retry); i != nil {
			t.Fatal("a report without an open incident changed one")
		}
		b.Report(cut(time.Duration(n) * time.Minute))
	}
	i := b.Burst(healthy(), noon.Add(2*time.Minute))
	if i == nil || !i.ByAgent || i.Severity != causes.Info || i.Observation || i.Cause() != causes.Inconclusive {
		t.Fatalf("after three failures: %+v", i)
	}
	want := Report{Agent: "codex", Class: probe.ExecStreamCut, Count: 3, Retries: 3, Network: "denied", First: noon, Last: noon.Add(2 * time.Minute)}
	if len(i.Reports) != 1 || i.Reports[0] != want {
		t.Errorf("reports %+v, want %+v", i.Reports, want)
	}
	if b.Burst(healthy(), noon.Add(2*time.Minute)) != nil {
		t.Error("it was opened twice")
	}
	if got := b.Report(cut(5 * time.Minute)); got != i || i.Reports[0].Count != 4 {
		t.Errorf("a fourth failure: %+v", got)
	}
	b.Enter(healthy(), noon.Add(14*time.Minute))
	if !i.IsOpen() {
		t.Error("it was closed nine minutes after the last failure")
	}
	b.Enter(healthy(), noon.Add(15*time.Minute))
	if i.IsOpen() {
		t.Error("it is open ten minutes after the last failure")
	}
	if b.Burst(healthy(), noon.Add(15*time.Minute)) != nil {
		t.Error("what it had opened another incident")
	}
}

func TestATurnThatSucceedsEndsTheBurst(t *testing.T) {
	b := NewBook()
	ok := Reported{Service: "codex", Agent: "codex", At: noon.Add(3 * time.Minute), Class: probe.OK}
	for n := range 3 {
		b.Report(cut(time.Duration(n) * time.Minute))
	}
	i := b.Burst(healthy(), noon.Add(2*time.Minute))
	if got := b.Report(ok); got != i || i.IsOpen() {
		t.Errorf("got %+v, want it closed", got)
	}
	b.Report(cut(4 * time.Minute))
	b.Report(cut(5 * time.Minute))
	b.Report(ok)
	b.Report(cut(6 * time.Minute))
	if b.Burst(healthy(), noon.Add(6*time.Minute)) != nil {
		t.Error("failures before a success count")
	}
}

// A fault that the probes show takes the incident over, with what the agent reported before it.
func TestAFaultTakesOver(t *testing.T) {
	upstream := diagnose.Verdict{Service: "codex", Cause: causes.Upstream, Severity: causes.Page, Title: "down"}
	b := NewBook()
	b.Report(cut(0))
	i, changed := b.Enter(upstream, noon.Add(time.Second))
	if !changed || len(i.Reports) != 1 || i.Reports[0].Count != 1 || i.ByAgent {
		t.Errorf("got %+v, want the first sign in it", i)
	}
	b.Enter(healthy(), noon.Add(time.Minute))
	if i.IsOpen() {
		t.Error("a fault that recovered is open")
	}

	b = NewBook()
	for range 3 {
		r := cut(0)
		r.Class = probe.ExecUsageLimit
		b.Report(r)
	}
	i = b.Burst(healthy(), noon)
	if i.Cause() != causes.Account {
		t.Errorf("a usage limit is %v", i.Cause())
	}
	if got, _ := b.Enter(upstream, noon.Add(time.Second)); got != i || i.ByAgent || i.Severity != causes.Page {
		t.Errorf("got %+v, want the same incident", got)
	}
	b.Enter(healthy(), noon.Add(2*time.Second))
	if i.IsOpen() {
		t.Error("it is open although the service recovered")
	}
	clone := i.Clone()
	clone.Reports[0].Count = 99
	if i.Reports[0].Count == 99 {
		t.Error("a clone shares the reports")
	}
}

func TestObserveDenied(t *testing.T) {
	b := NewBook()
	denied := Reported{Service: "codex", Agent: "codex", At: noon, Class: probe.LocalDenied, Denied: true, Network: "denied"}
	i, v := b.ObserveDenied(denied)
	if !i.Observation || i.IsOpen() || i.Cause() != causes.Sandbox || i.Severity != causes.Info || len(v.Evidence) != 1 {
		t.Errorf("got %+v, %+v", i, v)
	}
	denied.At = noon.Add(time.Hour)
	if again, _ := b.ObserveDenied(denied); again != i || i.Recurrences != 1 || i.Reports[0].Count != 2 {
		t.Errorf("got %+v, want the first extended", again)
	}

	// A backtest has a record of its own, and what ends that does not end this one.
	blocked := diagnose.Verdict{Service: "codex", Cause: causes.Sandbox}
	backtest := b.Observe(blocked, noon, noon)
	if backtest == i || b.EndObservation("codex", "opened", noon) != backtest || i.Ended != "" {
		t.Errorf("the backtest is %+v", backtest)
	}
	restored := NewBook()
	restored.Restore([]*Incident{i.Clone(), backtest.Clone()}, nil)
	denied.At = noon.Add(2 * time.Hour)
	if again, _ := restored.ObserveDenied(denied); again.ID != i.ID || again.Recurrences != 2 {
		t.Errorf("after a restart: %+v, want %s extended", again, i.ID)
	}
}

// What is remembered of a service is bounded.
func TestReportsAreBounded(t *testing.T) {
	b := NewBook()
	for n := range 10 * reportedLimit {
		b.Report(cut(time.Duration(n) * time.Millisecond))
	}
	if n := len(b.reported["codex"]); n > reportedLimit {
		t.Errorf("%d events are remembered", n)
	}
	b.Report(cut(time.Hour))
	if n := len(b.reported["codex"]); n != 1 {
		t.Errorf("%d events are remembered, want the recent one", n)
	}
}
