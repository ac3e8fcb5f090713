package incident

import (
	"encoding/json"
	"fmt"
	"netwatchd/internal/diagnose"
	"netwatchd/internal/probe"
	"netwatchd/internal/watch"
	"time"
)

// ErrNotFound says that there is no incident of that ID.
var ErrNotFound = fmt.Errorf("there is no such incident: netwatchd incidents lists them")

// A Filter says which incidents are wanted; its zero value wants all.
type Filter struct {
	Services []string
	OpenOnly bool
	Limit    int // zero: no bound
	Offset   int
}

// Detail is everything that is kept about one incident.
type Detail struct {
	Incident *Incident
	Verdicts []VerdictChange // those of the incident, and the one that ended it
	Evidence []probe.Result  // the first of each sign, in order of time
	Attempts []probe.Result  // runs of the agent, from before the incident until an hour after it
	Suspends []Suspend
	Runs     []DaemonRun // of the daemon, those that overlap it
	Snapshot json.RawMessage
}

// A VerdictChange is one that moved.
type VerdictChange struct {
	At       time.Time           `json:"at"`
	Was      diagnose.Cause      `json:"was"`
	Incident string              `json:"incident,omitempty"` // it belongs to; empty: none
	Status   watch.ServiceStatus `json:"standing"`
}

// A Suspend is a time for which the host was away; At is when it was back.
type Suspend struct {
	At   time.Time     `json:"at"`
	Away time.Duration `json:"-"`
}

// A DaemonRun is one life of the daemon; it is known by when it started.
type DaemonRun struct {
	Version string    `json:"version"`
	Started time.Time `json:"started"`
	Seen    time.Time `json:"seen"`
	Ended   time.Time `json:"ended,omitzero"` // zero: it still runs, or it was not given the time to say so
}

// An Gap is a span in which nothing was watched.
type Gap struct {
	From, To  time.Time
	Suspended bool // this host was; otherwise netwatchd did not run
}
