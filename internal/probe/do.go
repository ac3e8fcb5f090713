package probe

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"netwatchd/internal/panics"
	"netwatchd/internal/redact"
)

// A Probe is a prober and the description of its attempts. It is safe for concurrent use if its Prober is.
type Probe struct {
	Spec
	Prober

	hung atomic.Bool // an attempt has outlived its deadline and has not returned
}

// grace is how long after its deadline an attempt may take to return before it is abandoned.
const (
	grace = 4 * time.Second // a lookup or a request returns at once
	// An attempt that has processes terminates them, waits two seconds, kills them, reads their output and looks for
	// what they left behind in /proc. On two cores with a load of 20 this took six seconds (codex 0.169.0).
	graceOfProcesses = 30 * time.Second
)

func (p *Probe) grace() time.Duration {
	if p.Kind == KindExec || p.Kind == KindStatus || p.Vantage == FromSandbox {
		return graceOfProcesses
	}
	return grace
}

var errHung = errors.New("the prober ignored its deadline and is still running")

// Do makes one attempt: it sets the deadline, survives a prober that panics or hangs, and classifies the end. It
// reports false if ctx ended first, because a cancelled attempt has no result.
//
// A prober that hangs costs one goroutine: until it returns, further attempts end as Internal without starting.
func Do(ctx context.Context, p *Probe) (r Result, ok bool) {
	ended := make(chan struct{})
	go Run(ctx, p, func(result Result, made bool) {
		r, ok = result, made
		close(ended)
	})
	<-ended
	return r, ok
}

// Run is [Do] on the calling goroutine. It calls done once, with what Do returns. If the prober hangs, done is called
// from another goroutine, and Run returns when the prober does.
func Run(ctx context.Context, p *Probe, done func(r Result, ok bool)) {
	start := time.Now()
	if p.hung.Load() {
		done(p.Conclude(start, time.Since(start), Facts{}, Fail(Internal, errHung)), ctx.Err() == nil)
		return
	}
	limited := ctx
	if p.Timeout > 0 {
		var cancel context.CancelFunc
		limited, cancel = context.WithTimeout(ctx, p.Timeout)
		defer cancel()
	}
	var isOver atomic.Bool // done is called once
	end := func(facts Facts, err error) bool {
		if !isOver.CompareAndSwap(false, true) {
			return false
		}
		if ctx.Err() != nil {
			done(Result{}, false)
		} else {
			done(p.Conclude(start, time.Since(start), facts, err), true)
		}
		return true
	}
	defer p.abandonLate(limited, func() bool { return end(Facts{}, Fail(Internal, errHung)) })()
	if facts, err := Guard(func() (Facts, error) { return p.Probe(limited) }); !end(facts, err) {
		p.hung.Store(false)
	}
}

// abandonLate calls abandon when the grace after the end of ctx is over, unless stop was called before. Abandon reports
// whether the attempt was still running.
func (p *Probe) abandonLate(ctx context.Context, abandon func() bool) (stop func()) {
	var late atomic.Pointer[time.Timer]
	unwatch := context.AfterFunc(ctx, func() {
		late.Store(time.AfterFunc(p.grace(), func() {
			p.hung.Store(true)
			if !abandon() { // it returned just before hung was set
				p.hung.Store(false)
			}
		}))
	})
	return func() {
		unwatch()
		if timer := late.Load(); timer != nil {
			timer.Stop()
		}
	}
}

// Conclude returns the result of an attempt that began at start and took that long.
func (p *Probe) Conclude(start time.Time, took time.Duration, facts Facts, err error) Result {
	return Result{
		Spec: p.Spec, Start: start, Elapsed: InSeconds(took), Facts: facts,
		Class: Classify(facts.Phase, err), Why: p.why(err),
	}
}

// Guard makes an attempt and turns a panic into an error, so that one buggy prober does not end the monitoring of
// everything else.
func Guard(attempt func() (Facts, error)) (facts Facts, err error) {
	defer func() {
		if p, ok := errors.AsType[*panics.Error](err); ok {
			err = Fail(Internal, fmt.Errorf("the prober panicked: %v\n%s", p.Value, p.Stack))
		}
	}()
	defer panics.Recover(panics.Probe, &err)
	return attempt()
}

// WhyLimit bounds the text of an error to two lines of a terminal, so that no result holds a server's page or a stack.
const WhyLimit = 300

func (p *Probe) why(err error) string {
	switch {
	case err == nil:
		return ""
	case p.Kind == KindDNS: // holds no secrets, and may fail ten thousand times a second
		return redact.Line(err.Error(), WhyLimit)
	}
	return redact.Quote(err.Error(), WhyLimit)
}
