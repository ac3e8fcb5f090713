package diagnose

import (
	"net/netip"
	"slices"
	"time"

	"netwatchd/internal/causes"
	"netwatchd/internal/clientrules"
	"netwatchd/internal/probe"
)

// A Round is the attempts made together for one service: its own, and those of the host, the resolvers and the
// controls (see [probe.Role]). Only attempts of one round are compared with each other.
type Round struct {
	Service string
	Results []probe.Result
	Expect  Expect
	// Known are the addresses that the service's name resolved to before this round; empty: not known. They matter only
	// once it does not resolve: see unknownName.
	Known []netip.Addr
	// Counted: someone counts over rounds how the attempts of the service's probes end. Then a failure beside a success of
	// the same probe is no finding by itself: Intermittent has it once it is one.
	Counted      bool
	Intermittent []Intermittent
}

// Intermittent is a probe whose attempts fail and succeed by turns, over several rounds.
type Intermittent struct {
	Probe  string       `json:"probe"`
	Kind   probe.Kind   `json:"kind"`
	Class  probe.Class  `json:"class"`  // of Last
	Failed int          `json:"failed"` // attempts that failed
	Of     int          `json:"of"`     // of this many of the latest ones
	Row    int          `json:"-"`      // how many of the very latest failed in a row
	Last   probe.Result `json:"-"`      // the latest that failed
}

// Expect is what is normal for a service, by its configuration.
type Expect struct {
	Sandbox Want               // whether the agent's sandbox should reach it
	Client  clientrules.Client // whose reach the verdict is about
	Owner   Owner              // who runs the service
	Advice  string             // what to do about a fault of the service; empty: ours
	Profile Profile            // repeated in each verdict
	// CertificateLeft is how long before its end a certificate makes the service degraded; zero: never.
	CertificateLeft time.Duration
	Late            time.Duration // an answer that took longer is late; zero: never
	Severity        map[causes.Cause]causes.Severity

	SandboxAdvice     string // what to do about a sandbox that is not as it should be; empty: the usual
	SelfSandboxAdvice string // what to do if netwatchd itself runs in the agent's sandbox; empty: the usual
}

// A Profile is what people should know of a service whatever its verdict, by its configuration.
type Profile struct {
	Owner      string       `json:"owner,omitempty"`       // us, vendor; empty: not known
	Runbook    string       `json:"runbook,omitempty"`     // URL
	StatusPage string       `json:"status_page,omitempty"` // URL
	Kinds      []probe.Kind `json:"kinds,omitempty"`       // of its probes, each once; empty: not known
}

// Has reports whether the service has a probe of that kind, or may have one.
func (p Profile) Has(k probe.Kind) bool { return len(p.Kinds) == 0 || slices.Contains(p.Kinds, k) }

// Owner is who runs a service.
type Owner uint8

const (
	OwnerUnknown Owner = iota
	Us                 // the people who read the verdict
	Vendor
)

func (o Owner) String() string {
	return [...]string{OwnerUnknown: "", Us: "us", Vendor: "vendor"}[o]
}

// Want is how the agent's sandbox should be.
type Want uint8

const (
	WantAny Want = iota
	WantClosed
	WantOpen
)

func (w Want) String() string {
	return [...]string{WantAny: "any", WantClosed: "closed", WantOpen: "open"}[w]
}

// A Verdict names one cause, with the results that show it.
type Verdict struct {
	Service  string          `json:"service"`
	Cause    causes.Cause    `json:"cause"`
	Severity causes.Severity `json:"severity"`
	Title    string          `json:"title"`
	Note     string          `json:"note,omitempty"` // a second, smaller sentence below the title, or empty
	Advice   string          `json:"advice"`
	Also     []Finding       `json:"also"`     // what else was found, most important first
	Evidence []probe.Result  `json:"evidence"` // the results that show the cause, the decisive one first
	Blocked  []string        `json:"blocked"`  // failed probes above the failing rung: they depend on it
	Missing  []string        `json:"missing"`  // vantages and controls that would tell more
	Profile
	// Intermittent are the probes that fail and succeed by turns, if the service is usable all the same.
	Intermittent []Intermittent `json:"intermittent,omitempty"`
}

// IsIncident reports whether v belongs into an incident: something is broken, or fails again and again.
func (v Verdict) IsIncident() bool { return v.Cause.Fault() || len(v.Intermittent) > 0 }

// Names reports whether c is the cause of v or another of its findings.
func (v Verdict) Names(c causes.Cause) bool {
	return v.Cause == c || slices.ContainsFunc(v.Also, func(f Finding) bool { return f.Cause == c })
}

// ExplainsRuns reports whether v is about what lies between this host and the service, so that a run of the agent would
// show nothing more. It does not if a run itself shows the cause: the edge may refuse only the agent's requests.
func (v Verdict) ExplainsRuns() bool {
	return v.Cause.OfNetwork() && (len(v.Evidence) == 0 || v.Evidence[0].Kind != probe.KindExec)
}

// A Finding is another cause found beside the main one.
type Finding struct {
	Cause causes.Cause `json:"cause"`
	Title string       `json:"title"`
}
