// Package probe defines a probe, an attempt and its result: where it was made (Vantage), where it ended (Phase) and how
// (Class).
//
// Do makes an attempt; Classify is the only place that turns an error into a [Class]. The probers of each kind are in
// the packages below this one.
package probe

import (
	"context"
	"slices"
	"time"
)

// A Prober makes one attempt at one target. It obeys ctx, starts no goroutine that outlives the call, and returns a nil
// error only if it saw exactly what it expected. The facts are filled in either case: what was learned
// before a failure is evidence too.
type Prober interface {
	Probe(ctx context.Context) (Facts, error)
}

// Spec describes an attempt: its service, kind, target and vantage.
type Spec struct {
	Service string  `json:"service"`
	Name    string  `json:"probe"`
	Kind    Kind    `json:"kind"`
	Target  string  `json:"target"`
	Vantage Vantage `json:"vantage"`
	Role    Role    `json:"role,omitzero"`

	// Timeout bounds the attempt; zero means that the prober bounds itself.
	Timeout time.Duration `json:"-"`
}

// StubName returns the name of the attempts with the role [AgentStub] that belong to the run with that name.
func StubName(run string) string { return run + "/stub" }

// BuiltinName returns the name of the attempts of the run with that name that use the agent's own provider.
func BuiltinName(run string) string { return run + "/builtin" }

// Facts are what an attempt learned, whether it succeeded or not.
type Facts struct {
	Phase  Phase  `json:"phase"`  // the last phase entered
	Phases Phases `json:"phases"` // how long each phase took, the last one included

	Server    string   `json:"server,omitempty"`     // the nameserver queried, "host:port"
	RCode     string   `json:"rcode,omitempty"`      // its answer's response code, as in RFC 8914's registry: "NXDOMAIN"
	Question  string   `json:"question,omitempty"`   // of a client's lookup: the question that decides it, "example.com AAAA"
	AnswersTo string   `json:"answers_to,omitempty"` // another question, which that answer is about
	Answers   []string `json:"answers,omitempty"`    // the addresses or records it gave
	FullName  string   `json:"full_name,omitempty"`  // whose answers these are, if a search domain was appended
	Peer      string   `json:"peer,omitempty"`       // the remote address, "ip:port"
	Route     *Route   `json:"route,omitempty"`      // to the peer; looked up for controls and after a failure
	Proxy     string   `json:"proxy,omitempty"`      // the proxy in between, without its credentials
	ProxyFrom string   `json:"proxy_from,omitempty"` // the variable that names it: "HTTPS_PROXY", "HTTPS_PROXY in ~/.codex/.env"
	Status    int      `json:"status,omitempty"`     // the HTTP status
	// Headers are those that the probe expects, as the server sent them ("Allow: POST"), and the schemes that a proxy
	// offers ("Proxy-Authenticate: Negotiate, NTLM").
	Headers   []string  `json:"headers,omitempty"`
	TLS       *TLS      `json:"tls,omitempty"`        // the session and its certificate, verified or not
	RequestID string    `json:"request_id,omitempty"` // x-request-id or cf-ray, for the operator of the service
	Refusal   *Refusal  `json:"refusal,omitempty"`    // why the service or its edge refused this client, in its own words
	Date      time.Time `json:"date,omitzero"`        // the answer's Date header: the server's clock
	Signals   []string  `json:"signals,omitempty"`    // of a host check, or in a command's output: "os error 1"
	Exit      *int      `json:"exit,omitempty"`       // a command's exit code; -1 for a signal
	Output    string    `json:"output,omitempty"`     // what a command or a server printed, shortened
	// LeftProcesses names the processes that outlived a command and were killed: "sleep (pid 4711)".
	LeftProcesses []string     `json:"left_processes,omitempty"`
	Tokens        *TokensSpent `json:"tokens,omitempty"`   // what an agent's run cost
	Requests      int          `json:"requests,omitempty"` // of an agent's run: as it reports, or else one
	CostUSD       *float64     `json:"cost_usd,omitempty"` // what an agent's run cost, in US dollars, as it reports
	Warnings      []string     `json:"warnings,omitempty"` // what was odd but did not fail the attempt, from a closed list of names
	// Notes say what is odd about the settings that led there, in sentences without a full stop.
	Notes []string `json:"notes,omitempty"`
}

// Route is how packets to an address leave this host.
type Route struct {
	Interface string `json:"interface,omitempty"`
	Tunnel    bool   `json:"tunnel,omitempty"`  // the interface is a tunnel: a tun device, WireGuard, PPP
	Own       bool   `json:"own,omitempty"`     // the address is one of this host
	OnLink    bool   `json:"on_link,omitempty"` // it is in a prefix of the interface, so that no router is in between
}

// TLS describes a session and the server's certificate.
type TLS struct {
	Version  string    `json:"version,omitempty"` // "TLS 1.3"
	Cipher   string    `json:"cipher,omitempty"`  // the cipher suite, if current clients refuse it by default
	Subject  string    `json:"subject,omitempty"`
	Issuer   string    `json:"issuer,omitempty"`
	NotAfter time.Time `json:"not_after,omitzero"`
	// ValidUntil is when the chain that verifies ends, if one of its issuers ends before the certificate.
	ValidUntil time.Time `json:"valid_until,omitzero"`
	// ExpiredLink is an expired certificate in the chain without which no trusted root is reached: "CN=R3 (issued by
	// CN=DST Root CA X3), expired on 2021-09-30".
	ExpiredLink string `json:"expired_link,omitempty"`
}

// End returns when the session's chain of certificates ends; zero if that is not known.
func (t *TLS) End() time.Time {
	switch {
	case t == nil:
		return time.Time{}
	case !t.ValidUntil.IsZero():
		return t.ValidUntil
	}
	return t.NotAfter
}

// Refusal is what the body of a refusal says about its reason.
type Refusal struct {
	Code     string `json:"code,omitempty"`     // "unsupported_country_region_territory"; Cloudflare's "1020"
	Location bool   `json:"location,omitempty"` // it is about the country or region that the client's address is in
	Country  string `json:"country,omitempty"`  // that country, if it is named
}

// TokensSpent is the price of one run of an agent, in tokens.
type TokensSpent struct {
	Input       int64 `json:"input"`
	CachedInput int64 `json:"cached_input"`
	Output      int64 `json:"output"`
}

// Add adds what another run has spent.
func (t *TokensSpent) Add(u TokensSpent) {
	t.Input += u.Input
	t.CachedInput += u.CachedInput
	t.Output += u.Output
}

// A Result is an attempt and its end. It is plain data, stored and shown as it is.
type Result struct {
	Spec
	Start   time.Time `json:"start"`
	Elapsed Seconds   `json:"elapsed_seconds"`
	Class   Class     `json:"class"`
	Why     string    `json:"why"` // the error, for people; empty if there is none
	Facts
}

// Warned reports whether the attempt has the warning of that name.
func (r Result) Warned(name string) bool { return slices.Contains(r.Warnings, name) }

// OK reports whether the attempt saw exactly what it expected.
func (r Result) OK() bool { return r.Class == OK }
