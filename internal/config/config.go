// Package config loads the configuration file, with every value checked and every default filled in.
package config

import (
	"cmp"
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"time"

	"netwatchd/internal/causes"
	"netwatchd/internal/clientrules"
	"netwatchd/internal/diagnose"
	"netwatchd/internal/probe"
	"netwatchd/internal/tally"
)

// Config is a complete configuration: every default is filled in and every value is valid.
type Config struct {
	Path string // the file it came from; empty for the built-in configuration
	// Assumed is set if the file lists no service. Codex is then watched, as far as it is installed.
	Assumed bool

	Web        Web
	Storage    Storage
	StatusFile string
	Log        Log
	Metrics    Metrics
	Defaults   Defaults
	Resolvers  Resolvers
	Controls   []Control
	Services   []Service
	Push       Push
	Agents     Agents
}

// Agents is what is observed of agents, whether netwatchd runs them or not.
type Agents struct {
	Sessions bool // follow the session files of this user's agents
}

// Web is where the daemon listens.
type Web struct {
	Listen     []string // host:port
	Hosts      []string // names under which the daemon is reached, besides addresses and names that public DNS lacks
	ConfigFile string   // web configuration of exporter-toolkit: TLS, basic auth
	TokenFile  string   // token for requests that change something; empty: one is made, see [Config.TokenFile]
	Profiling  bool     // serve /debug/pprof/
}

// Storage is where history is kept, and for how long.
type Storage struct {
	Path string        // a directory
	Keep time.Duration // how long results and closed incidents are kept
}

// Log is how much is logged, and in which format.
type Log struct {
	Level  string // debug, info, warn, error
	Format string // auto, text, json
}

// Metrics is what is exported.
type Metrics struct {
	ClassicHistograms string // auto, always, never
	RedundantSeries   string // the same
}

// Defaults apply to probes that set no interval or timeout.
type Defaults struct {
	Interval time.Duration
	Timeout  time.Duration
}

// Resolvers lists the nameservers that are compared with each other.
type Resolvers struct {
	System bool             // also look names up with the system resolver, as clients do
	Files  []string         // resolv.conf(5) files; each of their nameservers is queried by itself
	Direct []netip.AddrPort // public nameservers, bypassing the system resolver
}

// A Control is an endpoint unrelated to any service, with a known answer.
type Control struct {
	Name      string
	URL       *url.URL
	Expect    Expect
	Addresses []netip.Addr // also requested at these addresses, without DNS
}

// A Service is what the user depends on: one endpoint and a ladder of probes of it.
type Service struct {
	Resolver string // of the agent's program, as its file shows; empty: not known
	Derived  string // what was derived from the files of its agent, and from which; empty: nothing
	Reach    Reach  // derived too
	Name     string
	Probes   []Probe
	Owner    diagnose.Owner // who runs it
	Advice   string         // what to do about a fault of the service, instead of ours; empty: ours
	// Runbook and StatusPage are URLs for people; empty: none.
	Runbook, StatusPage string
	StatusPageUnasked   bool       // netwatchd does not read the page itself
	Controls            []Control  // instead of the configuration's; empty: those
	Resolvers           *Resolvers // instead of the configuration's; nil: those
	Client              string     // whose rules decide what reaches the service: "glibc", "musl", "go", "bun", "node"; "auto": its agent's, or glibc
	Sandbox             *Sandbox
	// CertificateLeft is how long before its end a certificate makes the service degraded; zero: never.
	CertificateLeft time.Duration
	Late            time.Duration // a slower answer is late; zero: never
	Severity        map[causes.Cause]causes.Severity
	Moves           Moves
	// Intermittent says when failures of a probe between successes make the service degraded.
	Intermittent tally.Limits
}

// Moves is when a verdict changes: when Results of the last Of agree, or after one confirming round.
type Moves struct {
	Results int
	Of      int
}

// A Probe is one configured probe.
type Probe struct {
	Refused     string // what a refused connection means, for people; empty: nothing in particular
	Name        string
	Kind        probe.Kind
	Target      string   // dns: the name to look up
	URL         *url.URL // http, stream: it may contain a key, show it redacted
	Interval    time.Duration
	Timeout     time.Duration    // of the whole attempt, including a stream's hold; shorter than Interval
	Nameservers []netip.AddrPort // used instead of the system resolver; empty: the system resolver
	Expect      Expect

	Types []string // dns: A, AAAA, …

	Method    string // http
	TLS       TLS    // http, stream; as are the next three
	Family    Family
	Proxy     string        // "environment", "none" or a URL
	ProxyFile string        // the file that holds Proxy; empty: none. That URL may contain a password, never show it
	Hold      time.Duration // stream: how long the idle connection is held

	Preset  string // exec: one of Presets, or empty
	Command []string
	Prompt  string
	Codex   Codex // of the agent that is the preset
	Budget  Budget
	Status  Status
}

// Expect is the answer that counts as success. Empty fields are not checked.
type Expect struct {
	Status  []int
	Any     bool // any status that an application answers with; Status is empty then
	Headers []Header
	Body    *regexp.Regexp
	// BodyLimit is how many bytes of the body are searched; zero: DefaultBodyLimit.
	BodyLimit int64
	Answers   []string // dns: exactly these, in any order
	Output    string   // exec: part of the agent's message, or of standard output
}

// String is a summary: "status 405, Allow: POST".
func (e Expect) String() string {
	var all []string
	if e.Any {
		all = append(all, "any answer of the application")
	}
	if len(e.Status) > 0 {
		all = append(all, "status "+strings.Trim(strings.ReplaceAll(fmt.Sprint(e.Status), " ", ","), "[]"))
	}
	for _, h := range e.Headers {
		all = append(all, h.Name+": "+h.Value)
	}
	if e.Body != nil {
		all = append(all, "body "+e.Body.String())
	}
	if len(e.Answers) > 0 {
		all = append(all, "answers "+strings.Join(e.Answers, ","))
	}
	if e.Output != "" {
		all = append(all, "output "+e.Output)
	}
	return strings.Join(all, ", ")
}

// Origin is the file the configuration came from, or "built in".
func (c *Config) Origin() string { return cmp.Or(c.Path, "built in") }

// A Header is expected to contain Value as one of its comma-separated tokens, ignoring case.
type Header struct{ Name, Value string }

// Reach is how the programs that use a service reach it.
type Reach struct {
	clientrules.Client
	Env     []string // name=value, of proxies and certificates, that they read besides the environment
	EnvFile string   // where, for people
}

// TLS is which certificates are trusted.
type TLS struct {
	CAFile string // PEM; empty: the system's
	Extra  string // PEM, trusted in addition; empty: none
	Cert   string // PEM, presented to servers that request a client certificate; empty: none
	Key    string // PEM, its private key: never show what is in it
	Issuer string // expected part of the issuer's name; empty: any
	Name   string // verified instead of the URL's host
}

// Family restricts the addresses a probe uses.
type Family string

const (
	anyFamily Family = "any"
	ipv4      Family = "ipv4"
	ipv6      Family = "ipv6"
)

// Codex is how the agent of a preset is run.
type Codex struct {
	Path     string // the executable; empty: found on the PATH
	Home     string // CODEX_HOME, whose sign-in is used; empty: ~/.codex
	Model    string // empty: the agent's default
	Provider string // codex, "isolated": a provider entry of ours with retries off; "builtin": the agent's own
	BaseURL  string // empty: the one that this user's codex would use

	// BuiltinInterval is how often a run has the agent's own provider although Provider is isolated; zero: never.
	BuiltinInterval time.Duration
}

// Status is how the agent of a run is asked about itself between runs, without tokens.
type Status struct {
	Enabled  bool
	Interval time.Duration
	Timeout  time.Duration
}

// Budget limits runs that cost money.
type Budget struct {
	RunsPerDay   int // zero: no limit
	TokensPerDay int // zero: no limit
}

// Sandbox is how to run a command inside the agent's sandbox, and whether the service should be reachable there.
type Sandbox struct {
	Command []string // wrapper command; empty: the one of the installed codex
	Want    diagnose.Want
	// FollowsAgent: Want is what the agent's own configuration asks for. Until that is known it is WantClosed.
	FollowsAgent bool
	Advice       string // derived: what to do if it is not as the agent's configuration asks for; empty: the usual
	Grant        string // derived: how to let it reach the service; empty: not known
	OwnProxy     bool   // derived: it has a proxy of its own, so that the agent's variables for proxies apply outside only
	Interval     time.Duration
	Timeout      time.Duration
}
