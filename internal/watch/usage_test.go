package watch

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"netwatchd/internal/probe"
)

// withTokens is a service whose runs may use that many tokens a day, and use a thousand each.
func withTokens(world *world, daily int64) Plan {
	world.used = probe.Facts{Requests: 2, Tokens: &probe.TokensSpent{Input: 900, CachedInput: 500, Output: 100}, CostUSD: new(0.25)}
	s := world.withExec(0, 10*time.Minute)
	s.Tasks[len(s.Tasks)-1].DailyTokens = daily
	return world.plan(s)
}

// TestTokensOfADay: a run that starts below the budget may go beyond it, and a day later runs start again.
func TestTokensOfADay(t *testing.T) {
	t.Parallel()
	world := newWorld()
	watching(t, withTokens(world, 2500), Options{}, func(t *testing.T, w *Watcher) {
		time.Sleep(23 * time.Hour)
		if got := len(world.starts("exec")); got != 3 {
			t.Errorf("runs in a day: got %d, want 3", got)
		}
		s := serviceStatus(t, w)
		if u := s.Usage; u == nil || u.Runs != 3 || u.Requests != 6 || u.Total() != 3000 || u.CostUSD == nil || *u.CostUSD != 0.75 {
			t.Errorf("got %+v", u)
		}
		if s.BudgetTokens == nil || *s.BudgetTokens != 0 || s.Budget != nil {
			t.Errorf("left: %v tokens, %v runs", s.BudgetTokens, s.Budget)
		}
		time.Sleep(3 * time.Hour)
		if got := len(world.starts("exec")); got <= 3 {
			t.Errorf("runs after a day: got %d in all", got)
		}
	})
}

// TestNothingReported: what no run reports is absent, and no budget in tokens ends.
func TestNothingReported(t *testing.T) {
	world := newWorld()
	plan := withTokens(world, 1)
	world.used = probe.Facts{}
	watching(t, plan, Options{}, func(t *testing.T, w *Watcher) {
		time.Sleep(time.Hour)
		u := serviceStatus(t, w).Usage
		if u == nil || u.Runs < 5 || u.Tokens != nil || u.CostUSD != nil {
			t.Errorf("got %+v", u)
		}
	})
}

func TestRestartKeepsTheTokens(t *testing.T) {
	kept := make(memory)
	world := newWorld()
	plan := withTokens(world, 2500)
	synctest.Test(t, func(t *testing.T) {
		for range 4 {
			ctx, stop := context.WithTimeout(t.Context(), 30*time.Minute)
			New(plan, Options{Memory: kept}).Run(ctx)
			stop()
		}
	})
	if got := len(world.starts("exec")); got != 3 {
		t.Errorf("runs in four lives of half an hour: got %d, want 3", got)
	}
}
