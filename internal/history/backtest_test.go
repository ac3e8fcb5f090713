package history

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"netwatchd/internal/causes"
	"netwatchd/internal/diagnose"
	"netwatchd/internal/incident"
	"netwatchd/internal/probe"
	"netwatchd/internal/store"
	"netwatchd/internal/watch"
)

// backtest returns a backtest of codex: a run on the host succeeded, one inside ended with class.
func backtest(inside probe.Class) *incident.Backtest {
	onHost := probe.Result{Spec: probe.Spec{Service: "codex", Name: "exec", Kind: probe.KindExec, Target: "codex exec"},
		Start: time.Now().Add(-2 * time.Second), Elapsed: 1, Class: probe.OK}
	inSandbox := onHost
	inSandbox.Start, inSandbox.Vantage, inSandbox.Class = onHost.Start.Add(time.Second), probe.FromSandbox, inside
	if inside != probe.OK {
		inSandbox.Why = "stream disconnected before completion; api_key=Pl4nt3d"
	}
	b := &incident.Backtest{Service: "codex", Want: "closed", Runs: []probe.Result{onHost, inSandbox},
		Snapshot: json.RawMessage(`{"kernel":"6.6","api_key":"Pl4nt3d"}`)}
	b.Status = watch.ServiceStatus{Verdict: diagnose.NotReady("codex", causes.Healthy), Since: time.Now(), Results: b.Runs}
	if inside != probe.OK {
		b.Status.Cause, b.Status.Evidence = causes.Sandbox, []probe.Result{inSandbox, onHost}
	}
	return b
}

// A backtest in a closed sandbox leaves an observation, with or without a daemon, and a record without secrets.
func TestBacktest(t *testing.T) {
	dir := t.TempDir()
	first, err := WriteBacktest(t.Context(), dir, backtest(probe.ExecNetwork))
	if err != nil || first == nil || !first.Observation {
		t.Fatalf("got %+v, %v; want an observation", first, err)
	}
	l := live(t, dir)
	if _, err := WriteBacktest(t.Context(), dir, backtest(probe.ExecNetwork)); err == nil || !strings.Contains(err.Error(), "another netwatchd") {
		t.Errorf("beside a daemon: %v", err)
	}
	again := l.RecordBacktest(t.Context(), backtest(probe.ExecNetwork))
	if again == nil || again.ID != first.ID || again.Recurrences != 1 {
		t.Errorf("got %+v, want %s extended", again, first.ID)
	}
	// It is stored when RecordBacktest returns.
	s, err := store.OpenToRead(dir)
	if err != nil {
		t.Fatal(err)
	}
	detail, err := s.Detail(t.Context(), first.ID)
	if err != nil || len(detail.Manual) != 4 || len(detail.Attempts) != 0 || len(detail.Verdicts) != 2 || len(detail.End) == 0 {
		t.Errorf("stored %+v, %v", detail, err)
	}
	s.Close()
	ended := l.RecordBacktest(t.Context(), backtest(probe.OK))
	if ended == nil || ended.ID != first.ID || ended.Ended != endedByRun {
		t.Errorf("got %+v, want %s ended", ended, first.ID)
	}
	if i := l.RecordBacktest(t.Context(), backtest(probe.OK)); i != nil {
		t.Errorf("got %+v, want nothing: there is no observation, and no fault", i)
	}
	l.stop()
	wants(t, dir, "codex-1 sandbox")
	if h, err := store.Check(t.Context(), dir); err != nil || len(h.Faults) > 0 {
		t.Errorf("%+v, %v", h, err)
	}
	for _, name := range []string{store.File, store.File + "-wal"} {
		if raw, _ := os.ReadFile(filepath.Join(dir, name)); bytes.Contains(raw, []byte("Pl4nt3d")) {
			t.Errorf("a secret is in %s", name)
		}
	}
}

// While a fault is open, its record shows the runs.
func TestBacktestDuringFault(t *testing.T) {
	l := live(t, t.TempDir())
	judged(l, "codex", causes.Upstream, causes.Healthy)
	b := backtest(probe.ExecNetwork)
	b.Status.Cause = causes.Upstream
	i := l.RecordBacktest(t.Context(), b)
	if i == nil || i.Observation || i.Cause() != causes.Upstream {
		t.Fatalf("got %+v, want the open fault", i)
	}
	r, err := l.Record(t.Context(), i.ID)
	if err != nil {
		t.Fatal(err)
	}
	text, _ := r.JSON()
	if !strings.Contains(string(text), "stream disconnected before completion") || bytes.Contains(text, []byte("Pl4nt3d")) {
		t.Errorf("record: %s", text)
	}
}

// A probe inside the sandbox that reaches the service ends the observation; an older result does not.
func TestObservationEnds(t *testing.T) {
	dir := t.TempDir()
	l := live(t, dir)
	o := l.RecordBacktest(t.Context(), backtest(probe.ExecNetwork))
	inside := probe.Result{Spec: probe.Spec{Service: "codex", Name: "head", Kind: probe.KindHTTP, Vantage: probe.FromSandbox},
		Start: o.Closed.Add(-time.Minute), Class: probe.OK}
	s := watch.ServiceStatus{Verdict: diagnose.NotReady("codex", causes.Healthy), Since: time.Now()}
	ended := func() string {
		found, _, err := l.Incidents(t.Context(), incident.Filter{Kind: incident.Observations})
		if err != nil || len(found) != 1 {
			t.Fatalf("observations %v, %v", found, err)
		}
		return found[0].Ended
	}
	s.Results = []probe.Result{inside}
	l.Judged(s, causes.Healthy)
	if got := ended(); got != "" {
		t.Errorf("an older result ended it: %s", got)
	}
	inside.Start = time.Now()
	s.Results = []probe.Result{inside}
	l.Judged(s, causes.Healthy)
	if got := ended(); got != endedByProbe {
		t.Errorf("it ended because %q, want %q", got, endedByProbe)
	}
}

// Without a store, the observation is kept in memory and written later.
func TestBacktestWithoutStore(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, store.File)
	edit(t, path, "CREATE TABLE theirs (a); PRAGMA user_version = 1") // another program's
	l := live(t, dir)
	written := make(chan *incident.Incident)
	go func() { written <- l.RecordBacktest(t.Context(), backtest(probe.ExecNetwork)) }()
	eventually(t, func() error {
		if found, _, _ := l.Incidents(t.Context(), incident.Filter{Kind: incident.Observations}); len(found) != 1 {
			return errors.New("no observation in memory")
		}
		return nil
	})
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if i := <-written; i == nil {
		t.Error("no observation")
	}
	wants(t, dir, "codex-1 sandbox")
}
