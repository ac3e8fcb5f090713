package incident

import (
	"encoding/json"
	"errors"
	"time"

	"netwatchd/internal/causes"
	"netwatchd/internal/probe"
	"netwatchd/internal/watch"
)

// ErrNotFound means that no incident has the ID.
var ErrNotFound = errors.New("no such incident: 'netwatchd incidents' lists them")

// A Filter selects incidents; its zero value selects all.
type Filter struct {
	Services []string
	OpenOnly bool // an observation is never open
	Kind     Kind
	Limit    int // zero: no limit
	Offset   int
}

// Kind selects faults or observations.
type Kind uint8

// The values of Kind.
const (
	AnyKind Kind = iota
	Faults
	Observations
)

// Has reports whether i is of kind k.
func (k Kind) Has(i *Incident) bool { return k == AnyKind || i.Observation == (k == Observations) }

// Detail is everything that is stored about one incident.
type Detail struct {
	Incident *Incident
	Verdicts []VerdictChange // those of the incident, and the one that closed it
	Evidence []probe.Result  // the first result with each signature, in order of time
	Attempts []probe.Result  // the daemon's runs of the agent, from an hour before the incident to an hour after it
	Manual   []probe.Result  // runs of the agent that a person made with backtest, in the same span
	Suspends []Suspend
	Runs     []DaemonRun     // those that overlap the incident
	Snapshot json.RawMessage // of this host when the incident began
	End      json.RawMessage // of this host when it closed; the latest, if it recurred
}

// A VerdictChange is a new verdict of a service and the cause it replaced.
type VerdictChange struct {
	At       time.Time
	Was      causes.Cause
	Incident string // the incident's ID; empty: none
	Status   watch.ServiceStatus
}

// A Suspend is a span during which the host was suspended; At is its end.
type Suspend struct {
	At   time.Time
	Away time.Duration
}

// A DaemonRun is one run of the daemon, identified by its start.
type DaemonRun struct {
	Version string
	Started time.Time
	Seen    time.Time
	Ended   time.Time // zero: still running, or killed
}

// A Gap is a span without monitoring.
type Gap struct {
	From, To  time.Time
	Suspended bool // the host was suspended; otherwise netwatchd did not run
}
