// Package causes lists whose fault it can be, and what is known of each cause before anything is measured.
package causes

import (
	"iter"

	"netwatchd/internal/enum"
)

// Cause is whose fault it is: a closed list, in order of precedence: each cause is named only if none before it holds.
// The names are a contract (the `cause` label, JSON, the store, alert rules).
type Cause uint8

// The zero Cause is Inconclusive: a forgotten assignment must never look healthy.
const (
	Inconclusive Cause = iota

	// Not ready.
	Starting
	Suspended

	// This host.
	SelfSandboxed
	LocalPolicy
	HostOffline
	Proxy
	Resolver
	Interception
	Clock

	// The network path to the service.
	Path

	// The service.
	EdgeBlocked
	Upstream
	UnexpectedAnswer
	Stream

	// The agent.
	Account
	Agent
	Sandbox
	SandboxOpen

	// Works, but.
	ResolverDegraded
	IPv6
	IPv4
	Degraded
	Healthy
)

var causeNames = []string{
	Inconclusive: "inconclusive", Starting: "starting", Suspended: "suspended", SelfSandboxed: "self_sandboxed",
	LocalPolicy: "local_policy", HostOffline: "host_offline", Proxy: "proxy", Resolver: "resolver",
	Interception: "interception", Clock: "clock", Path: "path", EdgeBlocked: "edge_blocked", Upstream: "upstream",
	UnexpectedAnswer: "unexpected_answer", Stream: "stream", Account: "account", Agent: "agent", Sandbox: "sandbox",
	SandboxOpen: "sandbox_open", ResolverDegraded: "resolver_degraded", IPv6: "ipv6", IPv4: "ipv4",
	Degraded: "degraded", Healthy: "healthy",
}

func (c Cause) String() string               { return enum.String(causeNames, c, "cause") }
func (c Cause) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

func (c *Cause) UnmarshalText(text []byte) error { return enum.Parse(causeNames, c, text, "cause") }

// Causes lists every cause, in order of precedence, Inconclusive last.
func All() iter.Seq[Cause] {
	return func(yield func(Cause) bool) {
		for c := Starting; c <= Healthy; c++ {
			if !yield(c) {
				return
			}
		}
		yield(Inconclusive)
	}
}

// Severity is what a cause asks of people.
type Severity uint8

const (
	None   Severity = iota // nothing to do
	Info                   // worth knowing
	Ticket                 // someone should look, in working hours
	Page                   // wake someone
)

var severityNames = []string{None: "none", Info: "info", Ticket: "ticket", Page: "page"}

func (s Severity) String() string               { return enum.String(severityNames, s, "severity") }
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

func (s *Severity) UnmarshalText(text []byte) error {
	return enum.Parse(severityNames, s, text, "severity")
}
