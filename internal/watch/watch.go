package watch

import (
	"context"
	"errors"
	"time"

	"netwatchd/internal/causes"
	"netwatchd/internal/probe"
)

// An Observer is notified of everything that happens, in order, on the watcher's goroutine. Its methods must return at
// once.
type Observer interface {
	// Attempted is called for every attempt, except those at single addresses of a service. Interval is how often such
	// attempts are planned; zero if they are made in confirming rounds only.
	Attempted(r probe.Result, interval time.Duration)
	// Started is called for every planned start, with its delay and the number of starts that were missed.
	Started(late time.Duration, missed int)
	// Judged is called after every verdict, changed or not. Was is the previous cause.
	Judged(now ServiceStatus, was causes.Cause)
	// Resumed is called after the host was suspended. Discarded is how many attempts were running; their results are
	// dropped.
	Resumed(suspended time.Duration, discarded int)
}

// NopObserver does nothing. Embed it in an observer that needs only some of the methods.
type NopObserver struct{}

func (NopObserver) Attempted(probe.Result, time.Duration) {}
func (NopObserver) Started(time.Duration, int)            {}
func (NopObserver) Judged(ServiceStatus, causes.Cause)    {}
func (NopObserver) Resumed(time.Duration, int)            {}

// A Clock reports how long the host was suspended, and by how much its clock was set, since the last call.
type Clock interface {
	Jump() (suspended, stepped time.Duration)
}

// Options are what a Watcher needs in addition to its plan.
type Options struct {
	Version   string
	Observers []Observer
	Clock     Clock  // nil: suspends are not noticed
	Memory    Memory // nil: what services know is forgotten when the watcher stops

	// Ongoing returns the fault of a service that has not ended, and since when it holds, from an earlier run of the
	// daemon. If the first verdict is the same, it is no change and keeps that time. Nil: a fault begins with the watcher.
	Ongoing func(service string) (cause causes.Cause, since time.Time, open bool)

	// Pool returns a Starter for the probes that need no goroutine each, until ctx ends. Nil: every attempt has one.
	Pool func(ctx context.Context) Starter
}

// A Watcher runs a plan. The goroutine of Run owns all state; every other goroutine sends it messages.
type Watcher struct {
	Options
	inbox      chan func()
	stopped    chan struct{}
	ctx        context.Context // of the attempts
	goroutines goroutines
	starters   []Starter // the first that knows a probe starts it; goroutines, the last, knows all

	schedule         schedule
	services         []*service
	environment      func() Environment
	notes            []string
	envRun           *envRun
	environmentEvery time.Duration               // how often the environment is probed
	slow             map[seriesKey]time.Duration // see noteSlow
	costly           bool                        // a costly attempt is running
	afterRun         []func()                    // what starts when it has ended
	sandboxed        Sandboxed
	spare            []*pendingAttempt // that have ended, for the next ones
	running          int               // attempts that have not ended; one start of a sandbox counts as one
	resumed          time.Time         // attempts that began before this are discarded
	firstRounds      int               // services with full rounds whose first round has not ended
	ready            chan struct{}
}

// ErrStopped is returned by the methods of a Watcher that has stopped.
var ErrStopped = errors.New("the watcher has stopped")

// New returns a watcher of plan. Run starts it.
func New(plan Plan, o Options) *Watcher {
	w := &Watcher{
		Options: o,
		// Ten thousand attempts a second are about a hundred for each slot of the grid: all of them fit.
		inbox:   make(chan func(), 128),
		stopped: make(chan struct{}),
		slow:    make(map[seriesKey]time.Duration),
		ready:   make(chan struct{}),
	}
	w.goroutines.idle = make(chan func())
	w.schedule.epoch = time.Now()
	w.adopt(plan)
	w.firstRounds = len(w.ladders())
	return w
}

// Ready is closed after the first full round of every service.
func (w *Watcher) Ready() <-chan struct{} { return w.ready }

// Run watches until ctx ends, then waits for every running attempt. It may be called once.
func (w *Watcher) Run(ctx context.Context) {
	defer close(w.stopped)
	w.ctx, w.goroutines.ctx = ctx, ctx
	if w.Pool != nil {
		w.starters = append(w.starters, w.Pool(ctx))
	}
	w.starters = append(w.starters, &w.goroutines)
	for _, s := range w.starters {
		defer s.Wait()
	}
	defer w.keepAll()
	for _, s := range w.ladders() {
		w.startRound(s, false)
		w.startNow(s, func(t *Task) bool { return t.Status }) // its first slot may be minutes away
	}
	w.readyIfDone()
	timer := time.NewTimer(0)
	defer timer.Stop()
	var beat <-chan time.Time
	if w.Clock != nil {
		ticker := time.NewTicker(heartbeat)
		defer ticker.Stop()
		beat = ticker.C
	}
	var armed time.Time
	for {
		now := time.Now()
		w.startDue(now)
		if next, any := w.schedule.next(); any && !next.Equal(armed) {
			if armed = next; !next.After(now) { // it is due, but too many attempts are queued
				next = now.Add(queueRetry)
			}
			timer.Reset(time.Until(next))
		}
		var message func()
		waits := time.Now()
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
			armed = time.Time{}
		case <-beat:
		case message = <-w.inbox:
		}
		w.checkClock(time.Since(waits)) // first: the message may be from an attempt that ran while the host was suspended
		if message != nil {
			message()
			w.drain()
		}
	}
}

// drain handles the other messages that are there, so that a burst of results costs one turn of the loop.
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

// Reload replaces the plan. What did not change keeps its schedule, its verdict and its history.
func (w *Watcher) Reload(ctx context.Context, plan Plan) error {
	return w.call(ctx, func() { w.adopt(plan) })
}

// Suspect starts a confirming round of a service at once, because something outside the plan has seen it fail.
func (w *Watcher) Suspect(ctx context.Context, service string) error {
	return w.call(ctx, func() {
		for _, s := range w.services {
			// After a suspend a round starts anyway, once the network has had the time to come back.
			if s.Name == service && time.Since(w.resumed) > resumeGrace {
				w.startRound(s, true)
			}
		}
	})
}

// Status returns what is known now.
func (w *Watcher) Status(ctx context.Context) (*Status, error) {
	status := &Status{Version: w.Version}
	err := w.call(ctx, func() {
		status.At, status.Sandboxed, status.Notes = time.Now(), w.sandboxed, w.notes
		status.Services = make([]ServiceStatus, len(w.services))
		for i, s := range w.services {
			status.Services[i] = s.status
			status.Services[i].Budget, status.Services[i].BudgetTokens = s.budget(status.At), s.tokensLeft(status.At)
			status.Services[i].Usage = s.usage(status.At)
		}
	})
	status.HostFaults = Overview(status.Services).HostFaults
	return status, err
}

// Lag returns how late the most overdue start is. A slow network does not make starts late: the lag stays at zero. If
// the watcher no longer starts what is planned, the lag grows, or Lag does not return before ctx ends.
func (w *Watcher) Lag(ctx context.Context) (late time.Duration, err error) {
	err = w.call(ctx, func() {
		if next, any := w.schedule.next(); any {
			late = max(time.Since(next), 0)
		}
	})
	return late, err
}

// call runs f on the owning goroutine and waits for it.
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

// attempt runs p once and calls then with the result, on the owning goroutine. Valid is false if the host was
// suspended meanwhile: then the times mean nothing.
func (w *Watcher) attempt(p *probe.Probe, then func(r probe.Result, valid bool)) {
	a := w.newPending()
	a.begun, a.then = time.Now(), then
	w.running++
	for _, s := range w.starters {
		if s.Start(p, a.end) {
			return
		}
	}
}

// ended has the owning goroutine call then, at the end of an attempt that began at begun.
func (w *Watcher) ended(begun time.Time, then func(valid bool)) {
	select {
	case w.inbox <- func() { w.running--; then(begun.After(w.resumed)) }:
	case <-w.ctx.Done():
	}
}

// after runs f on the owning goroutine after d.
func (w *Watcher) after(d time.Duration, f func()) {
	time.AfterFunc(d, func() {
		select {
		case w.inbox <- f:
		case <-w.stopped:
		}
	})
}

// overdueShare sets when a start is skipped: if it is late by more than this part (a quarter) of its interval. After
// a stall the overdue starts are skipped, because starting all of them at once would make each late. The next ones
// are due soon.
const overdueShare = 4

// maxQueued bounds the attempts that wait for a processor, and those started in one turn: three times what one slot
// of the grid has at ten thousand a second. Without a bound, a daemon that stalled for a second starts ten thousand
// attempts at once. Their answers are dropped or time out in the queue, and because a failed attempt costs more than
// a good one, the daemon never recovers.
const maxQueued = 320

// queueRetry is how long the watcher waits for a queue of maxQueued attempts to become shorter: an HTTP attempt takes
// 50 µs at least before it first waits, so that a quarter of the queue is done by then.
const queueRetry = 4 * time.Millisecond

func (w *Watcher) startDue(now time.Time) {
	for range maxQueued {
		if w.goroutines.queued.Load() >= maxQueued {
			return
		}
		e, planned, missed := w.schedule.due(now)
		if e == nil {
			return
		}
		switch {
		case e.running, now.Sub(planned) > e.interval/overdueShare:
			missed++ // also while the last attempt still runs: attempts of one task never overlap
		default:
			e.start()
		}
		for _, o := range w.Observers {
			o.Started(now.Sub(planned), missed)
		}
	}
}

// ladders returns the services that have full rounds.
func (w *Watcher) ladders() []*service {
	var ladders []*service
	for _, s := range w.services {
		if s.Every > 0 {
			ladders = append(ladders, s)
		}
	}
	return ladders
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

// resumeGrace is how long a resumed host has to get its network back (DHCP, Wi-Fi association, a VPN). Failures
// before that mean nothing.
const resumeGrace = 10 * time.Second

// heartbeat is the longest time that the watcher waits, so that it notices when it was stopped. A second costs 0.002 %
// of a core.
const heartbeat = time.Second

// minStop is how long the watcher must have been kept from running to count as suspended. Somebody stopped it (SIGSTOP,
// docker pause, the freezer of a cgroup): all clocks went on, every attempt is past its timeout, and its peers may have
// gone. A busy machine also keeps a process waiting, but not for ten seconds; after less, the confirming round finds
// that nothing is wrong.
const minStop = 10 * time.Second

// checkClock resumes the watcher if the host was suspended, or if this process was stopped. It has waited that long for
// what woke it.
func (w *Watcher) checkClock(waited time.Duration) {
	if w.Clock == nil {
		return
	}
	suspended, _ := w.Clock.Jump()
	if waited-heartbeat >= minStop {
		suspended = max(suspended, waited)
	}
	if suspended <= 0 {
		return
	}
	now := time.Now()
	w.resumed = now
	w.schedule.replan(now.Add(resumeGrace))
	for _, s := range w.services {
		s.suspend(w, now)
	}
	for _, o := range w.Observers {
		o.Resumed(suspended, w.running)
	}
	w.after(resumeGrace, func() {
		for _, s := range w.ladders() {
			w.startRound(s, false)
		}
	})
}
