package incident

import (
	"encoding/json"
	"slices"
	"time"

	"netwatchd/internal/causes"
	"netwatchd/internal/diagnose"
	"netwatchd/internal/probe"
	"netwatchd/internal/watch"
)

// observeWithin is how long after an observation was last seen the same finding extends it: a person who meets it in
// the evening returns to it in the morning.
const observeWithin = 24 * time.Hour

// Observe enters a finding of a backtest that is not a fault, seen between two times. It extends the latest one if
// that has the same cause, was last seen within observeWithin and has not ended; otherwise it begins one.
func (b *Book) Observe(v diagnose.Verdict, from, to time.Time) *Incident {
	return b.observe(seen{service: v.Service}, v, from, to)
}

func (b *Book) observe(key seen, v diagnose.Verdict, from, to time.Time) *Incident {
	from, to = truncate(from), truncate(to)
	i := b.observed[key]
	if i != nil && i.Ended == "" && i.Cause() == v.Cause && to.Sub(*i.Closed).Abs() <= observeWithin {
		i.Recurrences++
		i.seenUntil(to)
		i.Title = v.Title
		return i
	}
	i = &Incident{Service: v.Service, Opened: from, Day: dayOf(from), Observation: true, Severity: causes.Info,
		Title: v.Title, Causes: []Span{{Cause: v.Cause, From: from}}}
	b.AssignID(i)
	i.seenUntil(to)
	b.observed[key] = i
	return i
}

// seenUntil sets when an observation was last seen.
func (i *Incident) seenUntil(at time.Time) {
	if i.Closed != nil {
		at = later(at, *i.Closed)
	}
	at = later(at, i.Opened)
	i.Closed, i.Causes[len(i.Causes)-1].To = &at, new(at)
}

// Observed returns the service's latest observation of a backtest if it can still be extended or ended at a time; nil:
// there is none.
func (b *Book) Observed(service string, at time.Time) *Incident {
	i := b.observed[seen{service: service}]
	if i == nil || i.Ended != "" || at.Sub(*i.Closed).Abs() > observeWithin {
		return nil
	}
	return i
}

// EndObservation ends the service's observation of a backtest for the reason why, and returns it; nil if there is
// none to end.
func (b *Book) EndObservation(service, why string, at time.Time) *Incident {
	i := b.Observed(service, at)
	if i != nil {
		i.Ended = why
		i.seenUntil(truncate(at))
	}
	return i
}

// A Backtest is a series of runs of the agent that a person started by hand, and the round of probes made after them.
type Backtest struct {
	Service  string              `json:"service"`
	Want     string              `json:"want"` // the configured state of the sandbox: any, closed or open
	Runs     []probe.Result      `json:"runs"`
	Status   watch.ServiceStatus `json:"status"`             // the verdict on the runs and the round, with both in Results
	Snapshot json.RawMessage     `json:"snapshot,omitempty"` // of this host, for the record
}

// observedTitle is the title of an observation: what happened to the user first, then why it is no fault.
const observedTitle = "the agent's run failed in its sandbox, which has no network"

// Blocked reports whether a run failed because of a sandbox that is closed and is not wanted open: that is an
// observation, not a fault.
func (b *Backtest) Blocked() bool {
	if b.Want == diagnose.WantOpen.String() || !b.ran(func(r probe.Result) bool { return !r.OK() }) {
		return false
	}
	isSandbox := func(f diagnose.Finding) bool { return f.Cause == causes.Sandbox }
	return b.Status.Cause == causes.Sandbox || slices.ContainsFunc(b.Status.Also, isSandbox)
}

// Passed reports whether a run inside the sandbox succeeded.
func (b *Backtest) Passed() bool { return b.ran(probe.Result.OK) }

func (b *Backtest) ran(match func(probe.Result) bool) bool {
	return slices.ContainsFunc(b.Runs, func(r probe.Result) bool { return r.Vantage == probe.FromSandbox && match(r) })
}

// Span returns when the first run started and the last one ended.
func (b *Backtest) Span() (from, to time.Time) {
	for _, r := range b.Runs {
		if from.IsZero() || r.Start.Before(from) {
			from = r.Start
		}
		if end := r.Start.Add(r.Elapsed.Duration()); end.After(to) {
			to = end
		}
	}
	return from, to
}

// Verdict returns the verdict of the observation that a blocked backtest is.
func (b *Backtest) Verdict() diagnose.Verdict {
	v := b.Status.Verdict
	v.Service, v.Cause, v.Severity, v.Title = b.Service, causes.Sandbox, causes.Info, observedTitle
	if b.Want == diagnose.WantClosed.String() {
		v.Title += ", as configured"
	}
	return v
}
