// Package config reads the configuration file: strict, checked, complete.
package config

import (
	"cmp"
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"time"

	"netwatchd/internal/diagnose"
	"netwatchd/internal/probe"
)

// Config is a configuration, complete: every default stands in it, every value has been checked.
type Config struct {
	Path string // the file it came from; empty for the built-in one
	// Assumed is set if nobody named a service: then Codex is watched, as far as it is there.
	Assumed bool

	Web        Web
	Storage    Storage
	StatusFile string
	Log        Log
	Defaults   Defaults
	Resolvers  Resolvers
	Controls   []Control
	Services   []Service
	Push       Push
}

// Web says where the daemon listens.
type Web struct {
	Listen     []string // host:port
	ConfigFile string   // exporter-toolkit's web configuration: TLS, basic auth
	Profiling  bool     // serve /debug/pprof/
}

// Storage says where history is kept, and for how long.
type Storage struct {
	Path string        // a directory
	Keep time.Duration // how long results and closed incidents are kept
}

// Log says how much is logged, and as what.
type Log struct {
	Level  string // debug, info, warn, error
	Format string // auto, text, json
}

// Defaults stand in where a probe names none of its own.
type Defaults struct {
	Interval time.Duration
	Timeout  time.Duration
}

// Resolvers says which nameservers are held against each other.
type Resolvers struct {
	System bool             // look names up as the client would, too
	Files  []string         // resolv.conf(5) files whose nameservers are asked one by one
	Direct []netip.AddrPort // asked past the system's own
}

// A Control is an endpoint unrelated to every service whose right answer is known.
type Control struct {
	Name      string
	URL       *url.URL
	Expect    Expect
	Addresses []netip.Addr // reached by address too, past every resolver
}

// A Service is what the user depends on: one endpoint and a ladder of checks on it.
type Service struct {
	Name     string
	Probes   []Probe
	Sandbox  *Sandbox
	Late     time.Duration // an answer that took longer is late; zero: never
	Severity map[diagnose.Cause]diagnose.Severity
	Moves    Moves
}

// Moves says when a verdict moves: on Results out of the last Of, or on one confirming round.
type Moves struct {
	Results int
	Of      int
}

// A Probe is one check.
type Probe struct {
	Name        string
	Kind        probe.Kind
	Target      string // dns: a name; http, stream: a URL; exec: empty
	Interval    time.Duration
	Timeout     time.Duration    // of the whole attempt, a stream's hold included; under Interval
	Nameservers []netip.AddrPort // asked instead of the system's; empty: the system's
	Expect      Expect

	Types []string // dns: A, AAAA, …

	Method    string // http
	TLS       TLS    // http, stream, as the next three
	Family    Family
	Proxy     string        // "environment", "none" or a URL
	ProxyFile string        // where Proxy was read from, if it was: that URL may hold a password and is never shown
	Hold      time.Duration // stream: how long the connection is held idle

	Preset  string // exec: "codex" or empty
	Command []string
	Prompt  string
	Codex   Codex
	Budget  Budget
}

// Expect is the one answer that counts as success. An empty field expects nothing of its kind.
type Expect struct {
	Status  []int
	Headers []Header
	Body    *regexp.Regexp
	Answers []string // dns: exactly these, in any order
	Output  string   // exec: in the agent's message, or on standard output
}

// String says what is expected in a few words: "status 405, Allow: POST".
func (e Expect) String() string {
	var all []string
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

// Origin says where the configuration came from.
func (c *Config) Origin() string { return cmp.Or(c.Path, "built in") }

// A Header must hold Value as one of the tokens of its list, whatever the case.
type Header struct{ Name, Value string }

// TLS says which certificates are trusted.
type TLS struct {
	CAFile string // PEM; empty: the system's
	Issuer string // part of the issuer's name that must be there; empty: any
	Name   string // verified instead of the URL's host
}

// Family restricts the addresses a probe uses.
type Family string

const (
	AnyFamily Family = "any"
	IPv4      Family = "ipv4"
	IPv6      Family = "ipv6"
)

// Codex says how the agent's preset is run.
type Codex struct {
	Path     string // the executable; empty: found on the PATH
	Home     string // the user's CODEX_HOME, whose sign-in is linked; empty: ~/.codex
	Model    string // empty: the agent's default
	Provider string // "isolated": our own provider entry with retries off; "builtin": the agent's own
	BaseURL  string // of the isolated provider
}

// Budget bounds what costs money.
type Budget struct{ RunsPerDay int } // zero: no bound

// Sandbox says how to run a command inside the agent's sandbox, and whether it should reach the service.
type Sandbox struct {
	Command  []string // empty: the codex that is installed knows its own
	Want     diagnose.Want
	Interval time.Duration
	Timeout  time.Duration
}
