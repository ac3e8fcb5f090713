package watch

import (
	"time"

	"netwatchd/internal/diagnose"
	"netwatchd/internal/overview"
	"netwatchd/internal/probe"
	"netwatchd/internal/spending"
	"netwatchd/internal/vendorpage"
)

// Status is what is known now, for every service: `check --json`, `status --json`, the status file, /api/v1/status.
type Status struct {
	At        time.Time       `json:"at"`
	Version   string          `json:"version"`
	PID       int             `json:"pid,omitempty"` // of the daemon, in its own PID namespace; 0: this is not a daemon's
	Sandboxed Sandboxed       `json:"sandboxed"`
	Services  []ServiceStatus `json:"services"`
	Notes     []string        `json:"notes,omitempty"`   // what a user may expect to be watched and is not, and why
	Trouble   []string        `json:"trouble,omitempty"` // what is wrong with netwatchd itself, and what to do about it
	Storage   string          `json:"storage,omitempty"` // the directory of the daemon's store; empty: there is none
	// Outside is the status of the daemon on the host, added by a check that runs inside a sandbox.
	Outside *Outside `json:"outside,omitempty"`
	// HostFaults are the faults of this host that several services suffer from. Overview finds them, also in a status
	// without them.
	HostFaults []overview.HostFault `json:"host_faults,omitempty"`
}

// Overview sums up services, in their order.
func Overview(services []ServiceStatus) overview.Overview {
	all := make([]overview.Service, len(services))
	for i := range services {
		all[i] = services[i].ForOverview()
	}
	return overview.Of(all)
}

// ForOverview returns s in the form that an overview takes.
func (s *ServiceStatus) ForOverview() overview.Service {
	return overview.Service{Verdict: &s.Verdict, Results: s.Results}
}

// Outside is the last status that the daemon on the host reported, and its age.
type Outside struct {
	Age      probe.Seconds   `json:"age_seconds"`
	Error    string          `json:"error,omitempty"` // why there is no status
	Services []ServiceStatus `json:"services"`
}

// Sandboxed says whether this process is denied the network, and by which signals that is known.
type Sandboxed struct {
	Denied  bool     `json:"denied"`
	Signals []string `json:"signals"`
}

// A ServiceStatus is the current verdict on a service, and since when it holds.
type ServiceStatus struct {
	diagnose.Verdict
	Since time.Time     `json:"since"`
	Delay probe.Seconds `json:"delay_seconds"` // from the first failed attempt to the verdict
	// Results are those of the latest round, including those of the host, the resolvers and the controls. A service
	// without full rounds has none.
	Results []probe.Result `json:"results,omitempty"`
	// Budget is how many costly runs are left for the day.
	Budget *int `json:"budget_remaining_runs,omitempty"`
	// BudgetTokens is how many tokens are left for the day.
	BudgetTokens *int64 `json:"budget_remaining_tokens,omitempty"`
	// Usage is what costly runs have used within the last day; nil: the service has none.
	Usage *spending.Sum `json:"usage_last_day,omitempty"`
	// StatusPageReport is what the vendor's status page says while the verdict stands: hearsay, never its cause.
	StatusPageReport *vendorpage.Report `json:"status_page_report,omitempty"`
}
