package spending

import (
	"testing"
	"time"

	"netwatchd/internal/probe"
)

// TestRestored: a damaged store neither blocks the runs nor hides what is whole.
func TestRestored(t *testing.T) {
	now := time.Now()
	runs := Restored([]Run{{At: now.Add(-25 * time.Hour), Tokens: &probe.TokensSpent{Input: 1}},
		{At: now, Tokens: &probe.TokensSpent{Input: -5}}, {At: now.Add(100 * time.Hour), Tokens: &probe.TokensSpent{Input: 7}},
		{At: now, CostUSD: new(-1.0)}, {At: now, Requests: -1}}, now)
	if s := Of(nil, runs, now); s.Total() != 7 || s.CostUSD != nil || s.Requests != 0 {
		t.Errorf("got %+v", s)
	}
	if s := Of(nil, runs, now.Add(24*time.Hour)); s.Total() != 0 {
		t.Errorf("a day later: got %+v", s)
	}
	if got := len(Restored(make([]Run, 100_000), now)); got != limit {
		t.Errorf("%d runs of a damaged store are kept", got)
	}
}

// TestAdd: what is older than a day goes, and a run that reports nothing is not kept.
func TestAdd(t *testing.T) {
	now := time.Now()
	old := []Run{{At: now.Add(-24 * time.Hour), Requests: 1}, {At: now.Add(-time.Hour), Requests: 1}}
	if got := Add(old, probe.Result{}, now); len(got) != 1 {
		t.Errorf("got %+v", got)
	}
	r := probe.Result{}
	r.Requests = 2
	if got := Of([]time.Time{now.Add(-25 * time.Hour), now}, Add(nil, r, now), now); got.Requests != 2 || got.Runs != 1 || got.String() != "2 requests in 24 hours" {
		t.Errorf("got %+v", got)
	}
}
