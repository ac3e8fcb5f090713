package watch

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"netwatchd/internal/diagnose"
	"netwatchd/internal/probe"
	"netwatchd/internal/probe/dnsprobe"
)

// An Observer hears of everything, in order, on the watcher's own goroutine: it must return at once.
type Observer interface {
	// Attempted hears of every attempt; interval is how often such attempts are planned, zero for those of suspicion.
	Attempted(r probe.Result, interval time.Duration)
	// Started hears how late an attempt was begun, and how many planned starts before it were missed.
	Started(late time.Duration, missed int)
	// Judged hears of every verdict reached, moved or not; was is the cause that held before.
	Judged(now ServiceStatus, was diagnose.Cause)
	// Resumed hears that the host was away, and how many attempts are under way, which will be discarded for it.
	Resumed(away time.Duration, discarded int)
}

// NopObserver is an observer to embed in one that does not care for everything.
type NopObserver struct{}

func (NopObserver) Attempted(probe.Result, time.Duration) {}
func (NopObserver) Started(time.Duration, int)            {}
func (NopObserver) Judged(ServiceStatus, diagnose.Cause)  {}
func (NopObserver) Resumed(time.Duration, int)            {}

// A Clock tells how long the host was suspended, and by how much its clock was set, since it was last asked.
type Clock interface {
	Jump() (suspended, stepped time.Duration)
}

// Options are what a Watcher needs beside its plan.
type Options struct {
	Version   string
	Observers []Observer
	Clock     Clock       // nil: never away
	Budgets   BudgetStore // nil: what was spent is forgotten at the end
}

// A Watcher runs a plan. One goroutine, in Run, owns everything it knows; all else sends it messages.
type Watcher struct {
	Options
	inbox    chan func()
	stopped  chan struct{}
	attempts sync.WaitGroup
	queued   atomic.Int32    // attempts handed on that have not begun
	ctx      context.Context // of the attempts
	lines    *dnsprobe.Pool  // make those that need no goroutine

	schedule         schedule
	services         []*service
	environment      func() []*probe.Probe
	notes            []string
	envRun           *envRun
	environmentEvery time.Duration               // how often the environment is looked at
	typical          map[seriesKey]time.Duration // how long a good answer to an attempt took last
	costly           bool                        // a costly attempt is under way
	sandboxed        Sandboxed
	underWay         int       // attempts that have not ended; of a twin's, all together are one
	resumed          time.Time // attempts begun before are void
	firstRounds      int       // services with a ladder whose first round is not over
	ready            chan struct{}
}

// ErrStopped says that the watcher is not running any more.
var ErrStopped = errors.New("the watcher has stopped")

// New returns a watcher of plan; Run starts it.
func New(plan Plan, o Options) *Watcher {
	w := &Watcher{
		Options: o,
		// As many as start within one slot of the grid at ten thousand a second, so that none of them waits to be heard.
		inbox:   make(chan func(), 64),
		stopped: make(chan struct{}),
		typical: make(map[seriesKey]time.Duration),
		ready:   make(chan struct{}),
	}
	w.schedule.epoch = time.Now()
	w.adopt(plan)
	w.firstRounds = len(w.ladders())
	return w
}

// Ready is closed after the first full round.
func (w *Watcher) Ready() <-chan struct{} { return w.ready }

// Run watches until ctx ends, then waits for every attempt under way to end. It may be called once.
func (w *Watcher) Run(ctx context.Context) {
	defer close(w.stopped)
	defer w.attempts.Wait()
	w.ctx, w.lines = ctx, dnsprobe.NewPool(ctx)
	defer w.lines.Wait()
	for _, s := range w.ladders() {
		w.startRound(s, false)
	}
	w.readyIfDone()
	timer := time.NewTimer(0)
	defer timer.Stop()
	var armed time.Time
	for {
		now := time.Now()
		w.startDue(now)
		if next, any := w.schedule.next(); any && !next.Equal(armed) {
			if armed = next; !next.After(now) { // there was no room for it
				next = now.Add(grid)
			}
			timer.Reset(time.Until(next))
		}
		var message func()
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
			armed = time.Time{}
		case message = <-w.inbox:
		}
		w.checkClock() // first: what has come in may have been under way while the host was away
		if message != nil {
			message()
			w.drain()
		}
	}
}

// drain hears what else has come in, so that a burst of results costs one turn of the loop.
func (w *Watcher) drain() {
	for range cap(w.inbox) {
		select {
		case message := <-w.inbox:
			message()
		default:
			return
		}
	}
}

// Reload adopts plan: what did not change keeps its schedule, its verdict and its history.
func (w *Watcher) Reload(ctx context.Context, plan Plan) error {
	return w.call(ctx, func() { w.adopt(plan) })
}

// Status says what is known now.
func (w *Watcher) Status(ctx context.Context) (*Status, error) {
	status := &Status{Version: w.Version}
	err := w.call(ctx, func() {
		status.At, status.Sandboxed, status.Notes = time.Now(), w.sandboxed, w.notes
		status.Services = make([]ServiceStatus, len(w.services))
		for i, s := range w.services {
			status.Services[i] = s.status
			status.Services[i].Budget = s.budget(status.At)
		}
	})
	return status, err
}

// Behind is how late the earliest of the starts is that are due. Answers that do not come make no start late: on a slow
// network it stays at zero. A watcher that no longer begins what it has planned gets ever later, or does not answer.
func (w *Watcher) Lag(ctx context.Context) (late time.Duration, err error) {
	err = w.call(ctx, func() {
		if next, any := w.schedule.next(); any {
			late = max(time.Since(next), 0)
		}
	})
	return late, err
}

// ask has the owning goroutine run f, and waits for it.
func (w *Watcher) call(ctx context.Context, f func()) error {
	done := make(chan struct{})
	select {
	case w.inbox <- func() { f(); close(done) }:
	case <-w.stopped:
		return ErrStopped
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-done:
		return nil
	case <-w.stopped:
		return ErrStopped
	case <-ctx.Done():
		return ctx.Err()
	}
}

// attempt makes p's attempt and hands the result to then, on the owning goroutine. Valid is false for an attempt during
// which the host was away: its times mean nothing.
func (w *Watcher) attempt(p *probe.Probe, then func(r probe.Result, valid bool)) {
	begun := time.Now()
	w.underWay++
	ended := func(r probe.Result) {
		w.ended(begun, func(valid bool) { then(r, valid) })
	}
	if w.lines.Start(p, ended) {
		return
	}
	w.queued.Add(1)
	w.attempts.Go(func() {
		// The runtime prefers new goroutines to those whose answer has come: begun in that order, attempts would be sent and
		// sent while the answers to earlier ones grow old. Behind those it is fair.
		runtime.Gosched()
		w.queued.Add(-1)
		if r, ok := probe.Do(w.ctx, p); ok { // else we are stopping
			ended(r)
		}
	})
}

// ended takes what is to be done at the end of an attempt under way to the owning goroutine.
func (w *Watcher) ended(begun time.Time, then func(valid bool)) {
	select {
	case w.inbox <- func() { w.underWay--; then(begun.After(w.resumed)) }:
	case <-w.ctx.Done():
	}
}

// after runs f on the owning goroutine, d from now.
func (w *Watcher) after(d time.Duration, f func()) {
	time.AfterFunc(d, func() {
		select {
		case w.inbox <- f:
		case <-w.stopped:
		}
	})
}

// overdueShare is the part of its interval after which an attempt is no longer begun: after a stall the overdue ones are let go
// by, rather than all begun at once and made late by one another. The next is due soon.
const overdueShare = 4

// maxQueued bounds the attempts that wait for a processor to begin, and those begun in one turn: three times what falls
// on one slot of the grid at ten thousand a second. Without a bound, a daemon that was kept from its work for a second
// begins ten thousand attempts at once, the answers are lost or run out of time in the queue, and a failed attempt costs
// more than a good one: it never recovers.
const maxQueued = 128

func (w *Watcher) startDue(now time.Time) {
	for range maxQueued {
		if w.queued.Load() >= maxQueued {
			return
		}
		e, planned, missed := w.schedule.due(now)
		if e == nil {
			return
		}
		switch {
		case e.running, now.Sub(planned) > e.interval/overdueShare:
			missed++ // no pile-up: an attempt that is not back yet is not overtaken by the next
		default:
			e.start(e)
		}
		for _, o := range w.Observers {
			o.Started(now.Sub(planned), missed)
		}
	}
}

// ladders are the services that are looked at in full rounds.
func (w *Watcher) ladders() []*service {
	var with []*service
	for _, s := range w.services {
		if s.Every > 0 {
			with = append(with, s)
		}
	}
	return with
}

func (w *Watcher) readyIfDone() {
	select {
	case <-w.ready:
	default:
		if w.firstRounds <= 0 {
			close(w.ready)
		}
	}
}

// resumeGrace is how long a host that was away is left to find its network again (DHCP, Wi-Fi association, a VPN): what
// fails meanwhile tells nothing.
const resumeGrace = 10 * time.Second

func (w *Watcher) checkClock() {
	if w.Clock == nil {
		return
	}
	away, _ := w.Clock.Jump()
	if away <= 0 {
		return
	}
	now := time.Now()
	w.resumed = now
	w.schedule.replan(now.Add(resumeGrace))
	for _, s := range w.services {
		s.suspend(w, now)
	}
	for _, o := range w.Observers {
		o.Resumed(away, w.underWay)
	}
	w.after(resumeGrace, func() {
		for _, s := range w.ladders() {
			w.startRound(s, false)
		}
	})
}
