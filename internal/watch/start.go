package watch

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"

	"netwatchd/internal/probe"
)

// A Starter starts attempts and calls back when they end.
type Starter interface {
	// Start starts an attempt of p and reports whether it did; a Starter need not know every kind of probe. If it did, it
	// calls done once with the result, from another goroutine, or not at all once the Starter's context has ended: an
	// attempt that was interrupted is no result.
	Start(p *probe.Probe, done func(probe.Result)) bool
	// Wait waits until nothing is running. It is called after the Starter's context has ended.
	Wait()
}

// goroutines is the Starter for every probe: each attempt has a goroutine of its own.
type goroutines struct {
	ctx     context.Context
	running sync.WaitGroup
	queued  atomic.Int32 // attempts whose goroutine has not started to run
}

func (g *goroutines) Start(p *probe.Probe, done func(probe.Result)) bool {
	g.queued.Add(1)
	g.running.Go(func() {
		// The runtime runs a new goroutine before those whose answer has arrived. In that order the watcher would go
		// on sending while answers wait, and latencies would be reported too high. Yielding once restores fairness.
		runtime.Gosched()
		g.queued.Add(-1)
		if r, ok := probe.Do(g.ctx, p); ok { // else the watcher is stopping
			done(r)
		}
	})
	return true
}

func (g *goroutines) Wait() { g.running.Wait() }
