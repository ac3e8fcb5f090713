// Package watch schedules probes, groups their results into rounds, and keeps the current verdict on each service.
package watch

import (
	"context"
	"net/netip"
	"time"

	"netwatchd/internal/diagnose"
	"netwatchd/internal/probe"
	"netwatchd/internal/tally"
)

// A Plan is everything to watch.
type Plan struct {
	// Environment is called for every round, so that a resolv.conf rewritten by a VPN is used from the next round on.
	Environment func() Environment
	Services    []Service
	// Notes explain what a user may expect to be watched and is not.
	Notes []string
}

// An Environment is what all services have in common in one round.
type Environment struct {
	Probes      []*probe.Probe   // of this host, its resolvers and the controls
	Nameservers []netip.AddrPort // as resolv.conf lists them now
}

// A Service is what a verdict is about.
type Service struct {
	Name  string
	Tasks []Task

	// NameserverProbes returns the probes that query each nameserver for the service's name. Only rounds run them, with
	// the nameservers of their environment and the service's own probes in the round, which may have nameservers of
	// their own. It may be nil.
	NameserverProbes func(nameservers []netip.AddrPort, round []*probe.Probe) []*probe.Probe

	// Leaves reports whether a result of the environment says nothing about the service: it has controls or nameservers of
	// its own. Nil: every result counts.
	Leaves func(probe.Result) bool

	// DirectProbes are the service's requests, made without the system's nameservers and proxy. Confirming rounds
	// run them, and all rounds while a request fails behind a proxy: if one succeeds, the service is up and this host
	// is sent to the wrong place.
	DirectProbes []*probe.Probe

	// PrefixProbe looks up this network's NAT64 prefixes, when an IPv6 address of the service is probed by itself. It may
	// be nil.
	PrefixProbe *probe.Probe

	// SandboxProbes repeat the service's probes inside the agent's sandbox. Nil: there is none.
	SandboxProbes *SandboxProbes

	// Every is the interval of full rounds while nothing fails. Zero: confirming rounds only.
	Every        time.Duration
	Expect       diagnose.Expect
	Confirmation Confirmation
	// Intermittent says when failures of a probe between successes make the service degraded.
	Intermittent tally.Limits
}

// SandboxProbes run in every confirming round, and in a regular round whenever Interval has passed. The rounds
// between use their last results, for up to two intervals.
type SandboxProbes struct {
	Interval time.Duration
	// Run runs all of the probes. Limit bounds each of them unless it is zero. Run reports false if ctx ended first.
	Run func(ctx context.Context, limit time.Duration) ([]probe.Result, bool)
}

// A Confirmation is how many rounds must agree before the verdict changes: Votes of the last Of rounds must name the
// same cause. The failed attempt that started a confirming round is one more vote for the cause that this round
// names.
type Confirmation struct{ Votes, Of int }

// A Task is a probe and its schedule.
type Task struct {
	*probe.Probe
	Interval time.Duration

	// RoundProbe is the form that rounds run. Nil: rounds do not run the task, and use its last result.
	RoundProbe *probe.Probe
	// AtAddress returns RoundProbe as an attempt at one address of its name, with the role [probe.ServiceAddress].
	// Nil: the probe does not connect to an address.
	AtAddress func(netip.Addr) *probe.Probe
	// Stub is attempted after an attempt of Probe that it may help to explain: see [outcome.NeedsStub]. Rounds use both
	// results together. It may be nil.
	Stub *probe.Probe
	// Builtin is the same run with the agent's own provider, which makes requests that Probe does not make. It takes the
	// place of Probe once in BuiltinEvery, across restarts, and on suspicion: see isBuiltinDue. It may be nil.
	Builtin      *probe.Probe
	BuiltinEvery time.Duration
	// Costly attempts run one at a time and at most Daily times a day. They do not run while the service cannot be
	// reached, and run at ever longer intervals while the account refuses them.
	Costly bool
	Daily  int
	// DailyTokens holds costly attempts back once those of a day have used that many tokens, input and output; 0: no
	// limit.
	DailyTokens int64
	// Status attempts ask an agent about itself, without cost. Rounds run them while there is a doubt about the agent.
	// They do not start while a costly attempt runs.
	Status bool

	isBuiltin bool // Probe is the run with the agent's own provider, in the place of a usual one
}

// has reports whether r is a result of the task: of Probe, or of the runs that take its place or follow it.
func (t Task) has(r probe.Result) bool {
	switch r.Role {
	case probe.OfService:
		return r.Name == t.Name || t.Builtin != nil && r.Name == t.Builtin.Name
	case probe.AgentStub:
		return t.Stub != nil && r.Name == t.Stub.Name
	}
	return false
}

// inRoundsOnly reports whether rounds already run the task as often as it is planned.
func (s *Service) inRoundsOnly(t Task) bool {
	return s.Every > 0 && t.RoundProbe == t.Probe && t.Interval == s.Every
}
