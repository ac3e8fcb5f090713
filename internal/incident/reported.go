package incident

import (
	"fmt"
	"slices"
	"time"

	"netwatchd/internal/causes"
	"netwatchd/internal/diagnose"
	"netwatchd/internal/probe"
)

// Reported is one event that the session files of an agent show. It has nothing that a user or a model wrote.
type Reported struct {
	Service string
	Agent   string
	At      time.Time
	Class   probe.Class // OK: a turn succeeded
	Retry   bool        // the agent tries again
	Denied  bool        // a command of the agent wanted the network, and its sandbox denied it
	Network string      // what the policy of the turn allows commands: "denied", "allowed"; empty: not known
}

// A Report sums up the failures of one class that the session files of an agent show.
type Report struct {
	Agent   string      `json:"agent"`
	Class   probe.Class `json:"class"`
	Count   int         `json:"count"`             // turns that failed, or commands that were denied
	Retries int         `json:"retries,omitempty"` // requests that were made again
	Network string      `json:"network,omitempty"` // the policy of the latest turn
	First   time.Time   `json:"first"`
	Last    time.Time   `json:"last"`
}

const (
	// burst is how many turns fail within burstWithin before that alone opens an incident: one is a glitch that a person
	// repeats by hand, and so is a second one. After three the person stops working and asks why.
	burst       = 3
	burstWithin = 10 * time.Minute

	// quietAfter is how long no turn must fail before an incident that only the agent reports is closed.
	quietAfter = 10 * time.Minute

	// reportedLimit bounds the events that are remembered of one service.
	reportedLimit = 100
)

// Report enters what an agent has reported. It returns the service's open incident, which then has it too; nil: there
// is none. The next call of [Book.Burst] may open one.
func (b *Book) Report(r Reported) *Incident {
	r.At = truncate(r.At)
	if r.Class == probe.OK {
		return b.succeeded(r)
	}
	recent := slices.DeleteFunc(b.reported[r.Service], func(old Reported) bool {
		return r.At.Sub(old.At).Abs() > burstWithin
	})
	b.reported[r.Service] = append(recent[max(0, len(recent)-reportedLimit+1):], r)
	i := b.latest[r.Service]
	if i == nil || !i.IsOpen() {
		return nil
	}
	i.add(r)
	return i
}

// succeeded enters a turn that succeeded. It ends an incident that only the agent reports.
func (b *Book) succeeded(r Reported) *Incident {
	delete(b.reported, r.Service)
	i := b.latest[r.Service]
	if i == nil || !i.IsOpen() || !i.ByAgent {
		return nil
	}
	i.close(r.At)
	return i
}

// Burst opens an incident of the service that v is about if its agent has failed again and again and v is no fault. It
// returns that incident; nil: there is none.
func (b *Book) Burst(v diagnose.Verdict, at time.Time) *Incident {
	at = truncate(at)
	if i := b.latest[v.Service]; i != nil && i.IsOpen() {
		return nil
	}
	failed := slices.DeleteFunc(slices.Clone(b.reported[v.Service]), func(r Reported) bool {
		return r.Retry || at.Sub(r.At).Abs() > burstWithin
	})
	if len(failed) < burst {
		return nil
	}
	last := failed[len(failed)-1]
	i := b.open(byAgent(v, last), at)
	i.ByAgent = true
	return i
}

// byAgent returns the verdict of an incident that only the agent reports, beside v. It notifies nobody: whoever uses
// the agent knows.
func byAgent(v diagnose.Verdict, last Reported) diagnose.Verdict {
	cause := causes.Inconclusive
	switch last.Class {
	case probe.ExecUsageLimit, probe.ExecUnauthorized, probe.ExecRateLimited,
		probe.ExecNotLoggedIn, probe.ExecSignInMissing:
		cause = causes.Account
	}
	v.Cause, v.Severity = cause, causes.Info
	v.Title = fmt.Sprintf("%s reports that its turns fail (%v), while netwatchd finds: %s", last.Agent, last.Class, v.Title)
	return v
}

// isQuiet reports whether an incident that only the agent reports may be closed.
func (i *Incident) isQuiet(at time.Time) bool {
	for _, r := range i.Reports {
		if at.Sub(r.Last).Abs() < quietAfter {
			return false
		}
	}
	return true
}

// add adds an event to the reports of i.
func (i *Incident) add(r Reported) {
	n := slices.IndexFunc(i.Reports, func(old Report) bool { return old.Agent == r.Agent && old.Class == r.Class })
	if n < 0 {
		n = len(i.Reports)
		i.Reports = append(i.Reports, Report{Agent: r.Agent, Class: r.Class, First: r.At, Last: r.At})
	}
	report := &i.Reports[n]
	if r.Retry {
		report.Retries++
	} else {
		report.Count++
	}
	if r.Network != "" {
		report.Network = r.Network
	}
	report.Last = later(report.Last, r.At)
}

// addRecent adds what the agent reported before i was opened: its failure may have been the first sign.
func (b *Book) addRecent(i *Incident, at time.Time) {
	for _, r := range b.reported[i.Service] {
		if at.Sub(r.At).Abs() <= burstWithin {
			i.add(r)
		}
	}
}

// deniedTitle is the title of the observation that a command of the agent makes.
const deniedTitle = "a command of the agent wanted the network, and its sandbox denied it"

// ObserveDenied enters a command that wanted the network, and the sandbox denied it. It returns the observation, and
// the verdict that it shows.
func (b *Book) ObserveDenied(r Reported) (*Incident, diagnose.Verdict) {
	v := diagnose.NotReady(r.Service, causes.Sandbox)
	v.Severity, v.Title = causes.Info, deniedTitle
	v.Evidence = []probe.Result{{
		Spec: probe.Spec{Service: r.Service, Name: "sessions", Kind: probe.KindExec, Target: r.Agent,
			Vantage: probe.FromSandbox, Role: probe.OfService},
		Start: truncate(r.At), Facts: probe.Facts{Phase: probe.Executing}, Class: probe.LocalDenied,
		Why: "a command could not reach the network, and the policy of its turn denies it, as the agent's session file shows",
	}}
	i := b.observe(seen{r.Service, true}, v, r.At, r.At)
	r.At = truncate(r.At)
	i.add(r)
	return i, v
}
