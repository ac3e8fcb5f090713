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

// goroutines is the Starter for every probe: each attempt has a goroutine of its own while it runs.
type goroutines struct {
	ctx     context.Context
	running sync.WaitGroup
	queued  atomic.Int32 // attempts whose goroutine has not started to run
	idle    chan func()  // an idle goroutine takes the next attempt
	resting atomic.Int32 // how many are idle
}

// maxResting is how many goroutines wait for another attempt. Their stacks have grown to what an attempt needs (8 KB,
// over TLS 32 KB), which costs a new goroutine a tenth of an HTTP probe's CPU time. At three thousand a second, fewer
// than these run at a time.
const maxResting = 16

func (g *goroutines) Start(p *probe.Probe, done func(probe.Result)) bool {
	g.queued.Add(1)
	g.running.Add(1)
	attempt := func() {
		// The runtime runs a new goroutine before those whose answer has arrived. In that order the watcher would go
		// on sending while answers wait, and latencies would be reported too high. Yielding once restores fairness.
		runtime.Gosched()
		g.queued.Add(-1)
		probe.Run(g.ctx, p, func(r probe.Result, ok bool) {
			defer g.running.Done()
			if ok { // else the watcher is stopping
				done(r)
			}
		})
	}
	select {
	case g.idle <- attempt:
	default:
		go g.work(attempt)
	}
	return true
}

// work makes an attempt, and then those that come while it is idle.
func (g *goroutines) work(attempt func()) {
	for {
		attempt()
		if g.resting.Add(1) > maxResting {
			g.resting.Add(-1)
			return
		}
		select {
		case attempt = <-g.idle:
			g.resting.Add(-1)
		case <-g.ctx.Done():
			return
		}
	}
}

func (g *goroutines) Wait() { g.running.Wait() }
