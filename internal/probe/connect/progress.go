package connect

import (
	"sync"
	"time"

	"netwatchd/internal/probe"
)

// Progress records the phase an attempt is in and the facts it has learned. It is safe for concurrent use: net/http
// reports from its own goroutine that a request was written, and may be late.
type Progress struct {
	mu    sync.Mutex
	facts probe.Facts
	since time.Time // when the current phase began
}

// Enter ends the current phase and begins another. The times of a phase entered twice, as after a redirect, add up.
func (p *Progress) Enter(phase probe.Phase) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.move(phase)
}

// advance enters phase to only from phase from, so that a late report never moves an attempt backwards.
func (p *Progress) advance(from, to probe.Phase) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.facts.Phase == from {
		p.move(to)
	}
}

func (p *Progress) move(phase probe.Phase) {
	now := time.Now()
	if p.facts.Phase != probe.NoPhase {
		p.facts.Phases[p.facts.Phase] += probe.InSeconds(now.Sub(p.since))
	}
	p.facts.Phase, p.since = phase, now
}

func (p *Progress) phase() probe.Phase {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.facts.Phase
}

// Spent returns how long the current phase has lasted.
func (p *Progress) Spent() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return time.Since(p.since)
}

// Learn changes the facts.
func (p *Progress) Learn(change func(*probe.Facts)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change(&p.facts)
}

func (p *Progress) Warn(warnings ...string) {
	p.Learn(func(f *probe.Facts) { f.Warnings = append(f.Warnings, warnings...) })
}

// End ends the last phase and returns the facts. Later calls do not change them.
func (p *Progress) End() probe.Facts {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.move(p.facts.Phase)
	facts := p.facts
	p.facts = probe.Facts{}
	return facts
}
