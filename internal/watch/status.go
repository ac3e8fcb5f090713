package watch

import (
	"time"

	"netwatchd/internal/diagnose"
	"netwatchd/internal/probe"
)

// Status is what is known now, for every service: `check --json`, `status --json`, the status file, /api/v1/status.
type Status struct {
	At        time.Time       `json:"at"`
	Version   string          `json:"version"`
	Sandboxed Sandboxed       `json:"sandboxed"`
	Services  []ServiceStatus `json:"services"`
	Notes     []string        `json:"notes,omitempty"`   // what is not watched although one would expect it, and why
	Trouble   []string        `json:"trouble,omitempty"` // what is wrong with netwatchd itself, and what to do
	// Outside is the word of the daemon on the host, for one who cannot see for themselves: a check inside a sandbox has it.
	Outside *Outside `json:"outside,omitempty"`
}

// Outside is what the daemon on the host said last, and how long ago.
type Outside struct {
	Age      probe.Seconds   `json:"age_seconds"`
	Error    string          `json:"error,omitempty"` // why it could not be heard
	Services []ServiceStatus `json:"services"`
}

// Sandboxed says whether this very process is denied the network, and by which signs.
type Sandboxed struct {
	Denied  bool     `json:"denied"`
	Signals []string `json:"signals"`
}

// A ServiceStatus is a verdict that holds, and since when.
type ServiceStatus struct {
	diagnose.Verdict
	Since time.Time     `json:"since"`
	Delay probe.Seconds `json:"delay_seconds"` // from the first failed attempt to the verdict
	// Results are those of the latest round, the host's, the resolvers' and the controls' among them; absent for a
	// service without a ladder.
	Results []probe.Result `json:"results,omitempty"`
	// Budget is how many costly runs are left within the day.
	Budget *int `json:"budget_remaining_runs,omitempty"`
}
