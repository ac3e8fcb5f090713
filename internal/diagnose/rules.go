package diagnose

import "netwatchd/internal/probe"

// A finding is a cause that shows in a round, with what shows it.
type finding struct {
	cause    Cause
	title    string          // after "codex: "; empty: the cause's own
	advice   string          // empty: the cause's own
	evidence []*probe.Result // the decisive one first, then the contrast that proves it; nil ones are left out
	aside    bool            // true, but not why the service fails: never the one cause
}

// A rule looks for one cause, and says nothing (nil) if it does not show.
type rule struct {
	cause Cause
	find  func(*groupedRound) *finding
}

// rules in order of precedence: the first that speaks names the cause, and may assume that none before it does. What the
// later ones find stands beside it, unless the cause hides it.
//
// Inconclusive stands in it three times. Each is a gate: what follows speaks of a world in which the rung below it is
// well, so that a failure of the host can never be put down to the agent, nor one of the agent to the sandbox.
var rules = []rule{
	{SelfSandboxed, selfSandboxed},
	{LocalPolicy, localPolicy},
	{HostOffline, hostOffline},
	{Proxy, brokenProxy},
	{Resolver, brokenResolver},
	{Interception, interception},
	{Clock, wrongClock},
	{EdgeBlocked, edgeBlocked},
	{Upstream, upstream},
	{UnexpectedAnswer, unexpectedAnswer},
	{Stream, brokenStream},
	{Inconclusive, unexplainedNetwork},
	{Account, account},
	{Agent, brokenAgent},
	{Inconclusive, unexplainedRun},
	{Sandbox, closedSandbox},
	{SandboxOpen, openSandbox},
	{Inconclusive, tooLittleKnown},
	{ResolverDegraded, degradedResolver},
	{IPv6, brokenFamily(6)},
	{IPv4, brokenFamily(4)},
	{Degraded, degraded},
	{Healthy, healthy},
}
