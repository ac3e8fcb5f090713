package diagnose

import (
	"netwatchd/internal/causes"
	"netwatchd/internal/probe"
)

// A finding is a cause found in a round, with the results that show it.
type finding struct {
	cause    causes.Cause
	title    string          // to be read after "codex: "; empty: the cause's own
	advice   string          // empty: the cause's own
	evidence []*probe.Result // the decisive one first, then the contrast that proves it; nil ones are left out
	note     string          // a second, smaller sentence
	aside    bool            // the finding is true, but not why the service fails: it is never the main cause
}

// A rule looks for one cause. It returns nil if the round does not show it.
type rule struct {
	cause causes.Cause
	find  func(*groupedRound) *finding
}

// rules are in order of precedence. The first that matches names the cause, and may assume that none before it
// matches. What later ones find is listed beside it, unless the cause hides it.
//
// Inconclusive is in the list three times. Each is a gate: the rules after it apply only if the rung below is
// healthy, so that a failure of the host is never blamed on the agent, nor a failure of the agent on the sandbox.
var rules = []rule{
	{causes.SelfSandboxed, selfSandboxed},
	{causes.LocalPolicy, localPolicy},
	{causes.HostOffline, hostOffline},
	{causes.Proxy, brokenProxy},
	{causes.Resolver, brokenResolver},
	{causes.Interception, interception},
	{causes.Clock, wrongClock},
	{causes.Path, brokenPath},
	{causes.EdgeBlocked, edgeBlocked},
	{causes.Upstream, upstream},
	{causes.UnexpectedAnswer, unexpectedAnswer},
	{causes.Stream, brokenStream},
	{causes.Inconclusive, unexplainedNetwork},
	{causes.Account, account},
	{causes.Agent, brokenAgent},
	{causes.Inconclusive, unexplainedRun},
	{causes.Sandbox, closedSandbox},
	{causes.SandboxOpen, openSandbox},
	{causes.Inconclusive, tooLittleKnown},
	{causes.ResolverDegraded, degradedResolver},
	{causes.IPv6, brokenFamily(6)},
	{causes.IPv4, brokenFamily(4)},
	{causes.Degraded, degraded},
	{causes.Healthy, healthy},
}
