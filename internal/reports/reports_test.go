package reports

import (
	"context"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"netwatchd/internal/incident"
	"netwatchd/internal/probe"
	"netwatchd/internal/sessions"
)

func TestHandle(t *testing.T) {
	var suspected []string
	var recorded []incident.Reported
	codex, other := sessions.Home{Agent: "codex", Dir: "/a"}, sessions.Home{Agent: "claude", Dir: "/b"}
	r := New(Options{
		Sources: func() []Source { return []Source{{codex, "first"}, {codex, "second"}, {other, ""}} },
		Suspect: func(_ context.Context, service string) error { suspected = append(suspected, service); return nil },
		Record:  func(e incident.Reported) { recorded = append(recorded, e) },
	})
	now := time.Now()
	r.now = func() time.Time { return now }
	if homes := r.homes(); len(homes) != 2 {
		t.Errorf("homes %v, want each once", homes)
	}
	handle := func(h sessions.Home, k sessions.Kind, c probe.Class) {
		r.handle(t.Context(), h, sessions.Event{At: now, Kind: k, Class: c, Network: sessions.NetworkDenied})
	}
	handle(codex, sessions.Turn, probe.OK)
	handle(codex, sessions.Denied, probe.LocalDenied)
	handle(other, sessions.Turn, probe.ExecNetwork)
	if len(suspected) != 0 {
		t.Errorf("%v are suspected without a failure of theirs", suspected)
	}
	handle(codex, sessions.Retry, probe.ExecStreamCut)
	handle(codex, sessions.Turn, probe.Unknown)
	now = now.Add(suspectEvery)
	handle(codex, sessions.Turn, probe.Unknown)
	if len(suspected) != 2 || suspected[0] != "first" {
		t.Errorf("suspected %v, want the first service at once and again after %v", suspected, suspectEvery)
	}
	want := incident.Reported{Service: "first", Agent: "codex", At: now, Class: probe.Unknown, Network: "denied"}
	if len(recorded) != 5 || recorded[4] != want || !recorded[1].Denied || !recorded[2].Retry {
		t.Errorf("recorded %+v", recorded)
	}
	for class, n := range map[probe.Class]float64{probe.OK: 1, probe.LocalDenied: 1, probe.Unknown: 2} {
		if got := r.events[series{"codex", class}]; got != n {
			t.Errorf("%v: %v, want %v", class, got, n)
		}
	}
}

// A limit disappears when it begins again.
func TestLimits(t *testing.T) {
	r := New(Options{})
	now := time.Now()
	r.now = func() time.Time { return now }
	r.Count("codex", sessions.Event{Kind: sessions.Limits, Limits: []sessions.Limit{
		{Window: "primary", Used: 0.9, Resets: now.Add(time.Hour)}, {Window: "secondary", Used: 0.1, Resets: now.Add(time.Minute)}}})
	if n := collected(r); n != 2 {
		t.Errorf("%d limits, want 2", n)
	}
	now = now.Add(2 * time.Minute)
	if n := collected(r); n != 1 {
		t.Errorf("%d limits after one has begun again, want 1", n)
	}
}

func collected(r *Reporter) int {
	out := make(chan prometheus.Metric, 10)
	r.Collect(out)
	return len(out)
}
