package probe

import (
	"encoding/json"
	"math"
	"time"

	"netwatchd/internal/enum"
)

// Kind is what a probe does.
type Kind uint8

const (
	KindHost   Kind = iota // a check of this host; sends nothing
	KindDNS                // looks up a name
	KindHTTP               // makes one request
	KindStream             // upgrades to a WebSocket and holds it
	KindExec               // runs a command
	KindStatus             // asks an agent about itself, without tokens
)

var kindNames = []string{KindHost: "host", KindDNS: "dns", KindHTTP: "http", KindStream: "stream", KindExec: "exec",
	KindStatus: "status"}

func (k Kind) String() string                { return enum.String(kindNames, k, "kind") }
func (k Kind) MarshalText() ([]byte, error)  { return []byte(k.String()), nil }
func (k *Kind) UnmarshalText(b []byte) error { return enum.Parse(kindNames, k, b, "kind") }

// Vantage is where an attempt is made from.
type Vantage uint8

const (
	FromHost    Vantage = iota
	FromSandbox         // the same attempt inside the agent's sandbox
	Direct              // bypassing the system's resolver or proxy
)

var vantageNames = []string{FromHost: "host", FromSandbox: "sandbox", Direct: "direct"}

func (v Vantage) String() string                { return enum.String(vantageNames, v, "vantage") }
func (v Vantage) MarshalText() ([]byte, error)  { return []byte(v.String()), nil }
func (v *Vantage) UnmarshalText(b []byte) error { return enum.Parse(vantageNames, v, b, "vantage") }

// Role is an attempt's part in a round.
type Role uint8

const (
	OfService           Role = iota // a probe from the configuration
	OfHost                          // rung 0: this host
	ResolverAsksControl             // one nameserver, queried for a control's name
	ResolverAsksService             // one nameserver, queried for the service's name
	ResolverAsksCanary              // one nameserver, queried for a random name that must not exist
	ControlByName                   // a control reached by its name
	ControlByAddress                // a control reached by its address, without a resolver
	ServiceAddress                  // a probe of the service at one address of its name
	AgentStub                       // a run of the agent against a stub of its service on this host
	ResolvedAsClient                // the service's name, looked up as the programs that use the service do
	ResolverAsksPrefix              // the NAT64 prefixes of this network (RFC 7050)
)

var roleNames = []string{OfService: "service", OfHost: "host", ResolverAsksControl: "resolver.control",
	ResolverAsksService: "resolver.service", ResolverAsksCanary: "resolver.canary",
	ControlByName: "control.name", ControlByAddress: "control.address", ServiceAddress: "service.address",
	AgentStub: "agent.stub", ResolvedAsClient: "resolver.client", ResolverAsksPrefix: "resolver.prefix"}

func (r Role) String() string                { return enum.String(roleNames, r, "role") }
func (r Role) MarshalText() ([]byte, error)  { return []byte(r.String()), nil }
func (r *Role) UnmarshalText(b []byte) error { return enum.Parse(roleNames, r, b, "role") }

// Phase is where an attempt ended.
type Phase uint8

const (
	NoPhase Phase = iota
	Resolve
	Connect
	Handshake // "tls"
	Request
	Response
	Streaming // "stream"
	Executing // "exec"
)

var phaseNames = []string{NoPhase: "", Resolve: "resolve", Connect: "connect", Handshake: "tls", Request: "request",
	Response: "response", Streaming: "stream", Executing: "exec"}

// AllPhases lists every phase an attempt can be in, in their order.
func AllPhases() []Phase {
	return []Phase{Resolve, Connect, Handshake, Request, Response, Streaming, Executing}
}

func (p Phase) String() string                { return enum.String(phaseNames, p, "phase") }
func (p Phase) MarshalText() ([]byte, error)  { return []byte(p.String()), nil }
func (p *Phase) UnmarshalText(b []byte) error { return enum.Parse(phaseNames, p, b, "phase") }

// Seconds is a duration in seconds, the unit of Prometheus.
type Seconds float64

// InSeconds converts to seconds, rounded to microseconds: below that, a probe measures the scheduler.
func InSeconds(d time.Duration) Seconds {
	return Seconds(math.Round(float64(d)/float64(time.Microsecond)) / 1e6)
}

// Duration converts back.
func (s Seconds) Duration() time.Duration { return time.Duration(float64(s) * float64(time.Second)) }

// Phases holds how long each phase took; a phase that was not entered is zero.
type Phases [Executing + 1]Seconds

// MarshalJSON writes the phases entered, by name.
func (p Phases) MarshalJSON() ([]byte, error) {
	entered := make(map[string]Seconds)
	for _, phase := range AllPhases() {
		if p[phase] > 0 {
			entered[phase.String()] = p[phase]
		}
	}
	return json.Marshal(entered)
}

// UnmarshalJSON reads what MarshalJSON writes.
func (p *Phases) UnmarshalJSON(b []byte) error {
	var entered map[Phase]Seconds
	if err := json.Unmarshal(b, &entered); err != nil {
		return err
	}
	for phase, took := range entered {
		p[phase] = took
	}
	return nil
}

// The names of the host checks, as the diagnosis refers to them.
const (
	CheckSandbox    = "sandbox"
	CheckLink       = "link"
	CheckRoute      = "route"
	CheckResolvConf = "resolv_conf"
)
