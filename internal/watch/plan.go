// Package watch runs probes on their schedules, makes rounds of them, and owns what is known.
package watch

import (
	"context"
	"time"

	"netwatchd/internal/diagnose"
	"netwatchd/internal/probe"
)

// A Plan is everything there is to watch.
type Plan struct {
	// Environment returns the attempts that tell of this host, its resolvers and the controls. It is called for every
	// round, so that a resolv.conf rewritten by a VPN counts from the next round on.
	Environment func() []*probe.Probe
	Services    []Service
	// Notes say what is not watched although one would expect it, and why.
	Notes []string
}

// A Service is what a verdict is about.
type Service struct {
	Name  string
	Tasks []Task

	// NameserverProbes returns the attempts about this service that are made in its rounds only: each nameserver asked for its
	// name. It may be nil.
	NameserverProbes func() []*probe.Probe

	// DirectProbes are the service's requests made past the system's nameservers and proxy. They are made on suspicion only: one
	// that gets through shows that the service is there, and that this host is sent elsewhere.
	DirectProbes []*probe.Probe

	// SandboxProbes make the service's own attempts inside the agent's sandbox as well; nil: there is none.
	SandboxProbes *SandboxProbes

	// Every is how often a full round is made while all is well; zero: only on suspicion.
	Every        time.Duration
	Expect       diagnose.Expect
	Confirmation Confirmation
}

// SandboxProbes join every confirming round, and a regular one whenever Interval has passed. In the rounds between, what its
// attempts showed last stands in for them, as long as that is not older than two intervals.
type SandboxProbes struct {
	Interval time.Duration
	// Run makes all of its attempts; limit bounds each of them, if it is not zero. It reports false if ctx ended first.
	Run func(ctx context.Context, limit time.Duration) ([]probe.Result, bool)
}

// A Confirmation is how many rounds must agree before a verdict changes: Votes of the last Of rounds name the same cause. The failed attempt that started
// a confirming round is a vote for what that round says.
type Confirmation struct{ Votes, Of int }

// A Task is a probe and how it is scheduled.
type Task struct {
	*probe.Probe
	Interval time.Duration

	// RoundProbe is the form made in a round; nil keeps the probe out of rounds, and its latest result stands in for it.
	RoundProbe *probe.Probe
	// Costly attempts are made one at a time, within Daily runs a day, not while the service cannot be reached, and at
	// ever longer intervals while the account says no.
	Costly bool
	Daily  int
}

// inRoundsOnly reports whether the service's rounds make the task often enough already.
func (s *Service) inRoundsOnly(t Task) bool {
	return s.Every > 0 && t.RoundProbe == t.Probe && t.Interval == s.Every
}
