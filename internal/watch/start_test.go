package watch

import (
	"context"
	"testing"
	"testing/synctest"

	"netwatchd/internal/probe"
)

// released is a prober whose attempts end when the channel is closed.
type released chan struct{}

func (r released) Probe(context.Context) (probe.Facts, error) {
	<-r
	return probe.Facts{Phase: probe.Response}, nil
}

// Goroutines whose attempt has ended make others, a few of them, until the watcher stops.
func TestGoroutinesRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		g := &goroutines{ctx: ctx, idle: make(chan func())}
		ended := 0
		start := func(n int) {
			t.Helper()
			p := &probe.Probe{Prober: make(released)}
			results := make(chan probe.Result, n)
			for range n {
				g.Start(p, func(r probe.Result) { results <- r })
			}
			synctest.Wait()
			if got := g.queued.Load(); got != 0 {
				t.Errorf("%d attempts are queued, want none", got)
			}
			close(p.Prober.(released))
			g.Wait()
			for range n {
				if r := <-results; !r.OK() {
					t.Errorf("got %v, want ok", r.Class)
				}
				ended++
			}
			synctest.Wait()
		}
		start(2)
		if got := g.resting.Load(); got != 2 {
			t.Errorf("%d goroutines rest after two attempts, want 2", got)
		}
		start(3 * maxResting)
		start(2)
		if got := g.resting.Load(); got != maxResting {
			t.Errorf("%d goroutines rest, want %d", got, maxResting)
		}
		if want := 3*maxResting + 4; ended != want {
			t.Errorf("%d attempts ended, want %d", ended, want)
		}
		cancel() // all end: otherwise the bubble would not
	})
}
