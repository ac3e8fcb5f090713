package watch

import (
	"time"

	"netwatchd/internal/probe"
)

// A pendingAttempt is an attempt that has not ended. It is used again for another one: ten thousand a second must not
// produce garbage.
type pendingAttempt struct {
	w      *Watcher
	begun  time.Time
	then   func(r probe.Result, valid bool)
	result probe.Result

	end     func(probe.Result) // ended; a method value is an allocation
	deliver func()             // delivered
}

// maxSpare is how many attempts are kept for the next ones: those that startDue starts in one turn.
const maxSpare = maxQueued

// newPending returns an attempt, one that has ended if there is one.
func (w *Watcher) newPending() *pendingAttempt {
	if last := len(w.spare) - 1; last >= 0 {
		a := w.spare[last]
		w.spare = w.spare[:last]
		return a
	}
	a := &pendingAttempt{w: w}
	a.end, a.deliver = a.ended, a.delivered
	return a
}

// ended passes the result to the owning goroutine.
func (a *pendingAttempt) ended(r probe.Result) {
	a.result = r
	select {
	case a.w.inbox <- a.deliver:
	case <-a.w.ctx.Done():
	}
}

// delivered is called on the owning goroutine.
func (a *pendingAttempt) delivered() {
	w, r, then, valid := a.w, a.result, a.then, a.begun.After(a.w.resumed)
	w.running--
	a.result, a.then = probe.Result{}, nil
	if len(w.spare) < maxSpare {
		w.spare = append(w.spare, a)
	}
	then(r, valid)
}
