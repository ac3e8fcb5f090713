package probe

import (
	"sync"
	"time"
)

// progress is what an attempt has learned so far and the phase it is in. It is safe for concurrent use: net/http reports
// that a request was written from a goroutine of its own, which may be late.
type progress struct {
	mu    sync.Mutex
	facts Facts
	since time.Time // when the present phase began
}

// enter ends the present phase and begins another. A phase entered twice, as by a redirect, adds up.
func (p *progress) enter(phase Phase) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.move(phase)
}

// advance enters phase only from the one before it, so that a late report never moves an attempt backwards.
func (p *progress) advance(from, to Phase) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.facts.Phase == from {
		p.move(to)
	}
}

func (p *progress) move(phase Phase) {
	now := time.Now()
	if p.facts.Phase != NoPhase {
		p.facts.Phases[p.facts.Phase] += InSeconds(now.Sub(p.since))
	}
	p.facts.Phase, p.since = phase, now
}

func (p *progress) phase() Phase {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.facts.Phase
}

// spent is how long the present phase has lasted.
func (p *progress) spent() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return time.Since(p.since)
}

// learn changes the facts.
func (p *progress) learn(change func(*Facts)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change(&p.facts)
}

func (p *progress) warn(warnings ...string) {
	p.learn(func(f *Facts) { f.Warnings = append(f.Warnings, warnings...) })
}

// end closes the last phase and returns the facts. Nothing that comes later changes them.
func (p *progress) end() Facts {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.move(p.facts.Phase)
	facts := p.facts
	p.facts = Facts{}
	return facts
}
