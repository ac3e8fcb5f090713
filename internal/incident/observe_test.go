package incident

import (
	"testing"
	"time"

	"netwatchd/internal/causes"
	"netwatchd/internal/diagnose"
	"netwatchd/internal/probe"
)

// inside is a run in the sandbox.
func inside(class probe.Class) probe.Result {
	return probe.Result{Spec: probe.Spec{Service: "codex", Kind: probe.KindExec, Vantage: probe.FromSandbox},
		Start: noon, Elapsed: 2, Class: class}
}

func TestBlocked(t *testing.T) {
	onHost := inside(probe.ExecNetwork)
	onHost.Vantage = probe.FromHost
	for name, test := range map[string]struct {
		want  string
		run   probe.Result
		cause causes.Cause
		is    bool
	}{
		"closed as wanted":             {"closed", inside(probe.ExecNetwork), causes.Sandbox, true},
		"nobody wants it open":         {"any", inside(probe.ExecNetwork), causes.Sandbox, true},
		"wanted open: a fault":         {"open", inside(probe.ExecNetwork), causes.Sandbox, false},
		"the service is down":          {"closed", inside(probe.ExecNetwork), causes.Upstream, false},
		"it succeeded":                 {"closed", inside(probe.OK), causes.Sandbox, false},
		"only the run on the host did": {"closed", onHost, causes.Sandbox, false},
	} {
		b := &Backtest{Service: "codex", Want: test.want, Runs: []probe.Result{test.run}}
		b.Status.Cause = test.cause
		if got := b.Blocked(); got != test.is {
			t.Errorf("%s: %v, want %v", name, got, test.is)
		}
	}
}

// An observation is never open, never more severe than info, and shares its IDs with faults.
func TestObserve(t *testing.T) {
	b := NewBook()
	fault, _ := b.Enter(diagnose.Verdict{Service: "codex", Cause: causes.Upstream, Severity: causes.Page}, noon)
	v := diagnose.Verdict{Service: "codex", Cause: causes.Sandbox, Severity: causes.Page, Title: "blocked"}
	at := func(hours time.Duration) time.Time { return noon.Add(hours * time.Hour) }
	first := b.Observe(v, at(0), at(1))
	if first.ID != "20261123-codex-2" || first.IsOpen() || first.Severity != causes.Info || !first.Observation {
		t.Errorf("got %+v", first)
	}
	if b.Latest("codex") != fault || len(b.Open()) != 1 {
		t.Error("the observation replaced the fault")
	}
	if again := b.Observe(v, at(20), at(21)); again != first || !first.Closed.Equal(at(21)) || first.Recurrences != 1 {
		t.Errorf("within a day: %+v, want the first extended", again)
	}
	if later := b.Observe(v, at(46), at(47)); later == first || later.ID != "20261125-codex-1" {
		t.Errorf("a day later: %+v, want another", later)
	}
	ended := b.EndObservation("codex", "opened", at(48))
	if ended == nil || ended.Ended != "opened" || !ended.Closed.Equal(at(48)) || !ended.Causes[0].To.Equal(at(48)) {
		t.Errorf("ended: %+v", ended)
	}
	if b.EndObservation("codex", "opened", at(48)) != nil {
		t.Error("it ended twice")
	}
	if after := b.Observe(v, at(48), at(49)); after == ended {
		t.Error("an observation that has ended was extended")
	}
	if back := b.Observe(v, at(40), at(41)); back.Closed.Before(back.Opened) || !back.Closed.Equal(at(49)) {
		t.Errorf("with the clock set back: %+v", back)
	}
}

// Observations made before the store could be read get free IDs; stored ones are extended.
func TestRestoreObservations(t *testing.T) {
	v := diagnose.Verdict{Service: "codex", Cause: causes.Sandbox}
	earlier := NewBook()
	stored := earlier.Observe(v, noon, noon)
	b := NewBook()
	if changed := b.Restore([]*Incident{stored}, map[string]int{"20261123-codex": 1}); len(changed) != 0 {
		t.Errorf("changed %v", changed)
	}
	if b.Observe(v, noon, noon.Add(time.Hour)) != stored || b.Latest("codex") != nil {
		t.Error("the stored observation was not extended")
	}

	b = NewBook()
	now := b.Observe(v, noon.Add(time.Minute), noon.Add(time.Minute))
	changed := b.Restore([]*Incident{stored}, map[string]int{"20261123-codex": 1})
	if len(changed) != 1 || changed[0] != now || now.ID != "20261123-codex-2" || !b.Holds(now) {
		t.Errorf("changed %v, now %s", changed, now.ID)
	}
}
