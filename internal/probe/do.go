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
func Do(ctx context.Context, p *Probe) (Result, bool) {
	start := time.Now()
	facts, err := p.attempt(ctx)
	if ctx.Err() != nil {
		return Result{}, false
	}
	return p.Conclude(start, time.Since(start), facts, err), true
}

// Conclude returns the result of an attempt that began at start and took that long.
func (p *Probe) Conclude(start time.Time, took time.Duration, facts Facts, err error) Result {
	return Result{
		Spec: p.Spec, Start: start, Elapsed: InSeconds(took), Facts: facts,
		Class: Classify(facts.Phase, err), Why: p.why(err),
	}
}

func (p *Probe) attempt(ctx context.Context) (Facts, error) {
	if p.hung.Load() {
		return Facts{}, Fail(Internal, errHung)
	}
	if p.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, p.Timeout)
		defer cancel()
	}
	return p.guarded(ctx)
}

func (p *Probe) guarded(ctx context.Context) (Facts, error) {
	type end struct {
		facts Facts
		err   error
	}
	ended := make(chan end, 1)
	go func() {
		facts, err := Guard(func() (Facts, error) { return p.Probe(ctx) })
		ended <- end{facts, err}
		p.hung.Store(false)
	}()
	select {
	case e := <-ended:
		return e.facts, e.err
	case <-ctx.Done():
	}
	late := time.NewTimer(p.grace())
	defer late.Stop()
	select {
	case e := <-ended:
		return e.facts, e.err
	case <-late.C:
		p.hung.Store(true)
		select { // it may have returned just before hung was set
		case e := <-ended:
			p.hung.Store(false)
			return e.facts, e.err
		default:
			return Facts{}, Fail(Internal, errHung)
		}
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
