package watch

import (
	"maps"
	"slices"
	"time"

	"netwatchd/internal/causes"
	"netwatchd/internal/diagnose"
	"netwatchd/internal/outcome"
	"netwatchd/internal/probe"
)

// retained is what rounds know without probing it themselves: the last result of each long probe (a held stream, a
// run of the agent) and the last sandbox probes. It decides what of that still counts. It has no clock and does no
// I/O.
type retained struct {
	long map[string]longResult // by the name of the task

	// dropped has the streams that were dropped once and are being held again: the start of the attempt that was
	// dropped.
	dropped map[string]time.Time

	sandboxAt time.Time      // start of the round that the sandbox probes were part of
	sandbox   []probe.Result // only those that a later round may use: see outlastsRound
}

// A longResult is the last result of a long probe.
type longResult struct {
	probe.Result
	// unproven: it failed while something else explained the failure, or before a suspend. It counts until that is
	// over; then the stream is held again. See revalidate.
	unproven bool
	stub     *probe.Result // of the attempt of Task.Stub that followed; nil: there was none
}

// explanation returns the cause that v gives for other failures. If only a run of the agent shows the cause, v explains
// none of them, and the run counts like any other that failed: until the next one.
func explanation(v diagnose.Verdict) causes.Cause {
	if v.Cause.OfNetwork() && !v.ExplainsRuns() {
		return causes.Agent
	}
	return v.Cause
}

// An action is what to do about the result of an attempt that was made outside rounds.
type action int

const (
	confirm action = iota // have suspect decide whether a confirming round is needed
	repeat                // make the attempt once more before anything is concluded from it
	ignore                // the service's verdict explains it
)

// observe records the result of t, made outside rounds, and says what to do about it. Cause is that of the service's
// verdict. If r confirms an earlier drop of the same stream, dropped is when that attempt started; else it is zero.
func (m *retained) observe(t Task, r probe.Result, cause causes.Cause) (do action, dropped time.Time) {
	dropped = m.dropped[t.Name]
	delete(m.dropped, t.Name)
	switch {
	case t.RoundProbe == t.Probe: // rounds make it themselves
	case dropped.IsZero() && m.needsSecondDrop(t, r):
		put(&m.dropped, t.Name, r.Start)
		return repeat, time.Time{}
	case isOfAgent(r) && !r.OK() && cause.OfNetwork():
		// A network fault explains it, so it will say nothing about the agent once the network is back. An earlier
		// success says nothing either.
		delete(m.long, t.Name)
		return ignore, time.Time{}
	default:
		put(&m.long, t.Name, longResult{Result: r, unproven: !r.OK() && cause.OfNetwork()})
	}
	if r.OK() {
		dropped = time.Time{}
	}
	return confirm, dropped
}

// observeStub records the attempt of t.Stub that was made because of the result of t that observe recorded last.
func (m *retained) observeStub(t Task, stub probe.Result) {
	if last, known := m.long[t.Name]; known {
		last.stub = &stub
		m.long[t.Name] = last
	}
}

func put[K comparable, V any](m *map[K]V, key K, value V) {
	if *m == nil {
		*m = make(map[K]V)
	}
	(*m)[key] = value
}

// needsSecondDrop reports whether r is a stream that was dropped while it was held, and no earlier drop of it is
// known that nothing else explains. Such a stream is held once more before the drop counts: a server that restarts
// drops every connection, and so does a link that is down for a moment.
func (m *retained) needsSecondDrop(t Task, r probe.Result) bool {
	last, known := m.long[t.Name]
	return !r.OK() && r.Phase == probe.Streaming && (!known || last.OK() || last.unproven)
}

// roundProbeMayFail reports whether t, which fails, may fail in the form that rounds make too.
func (m *retained) roundProbeMayFail(t Task) bool {
	long, known := m.long[t.Name]
	return !known || !failedWhileHeld(long.Result)
}

// superseded reports whether r is a successful upgrade of a stream that was dropped when it was last held: that an
// upgrade works says nothing about a connection that is held. One that fails does count.
func (m *retained) superseded(r probe.Result) bool {
	long, known := m.long[r.Name]
	return known && failedWhileHeld(long.Result) && sameProbe(long.Result, r) && r.OK() && r.Kind != probe.KindStatus
}

// failedWhileHeld reports whether r failed in a way that only a long attempt can. A failure before that is no better
// than one of the form that rounds make, which is newer.
func failedWhileHeld(r probe.Result) bool { return !r.OK() && r.Phase >= probe.Streaming }

// into returns the results of a round of s that began at begun, with those retained that still count and that the
// round does not have itself.
func (m *retained) into(round []probe.Result, s *Service, begun time.Time, ownSandbox bool) []probe.Result {
	results := slices.DeleteFunc(slices.Clone(round), m.superseded)
	if !ownSandbox && s.SandboxProbes != nil && begun.Sub(m.sandboxAt) <= sandboxIntervals*s.SandboxProbes.Interval {
		results = append(results, m.sandbox...)
	}
	for _, name := range slices.Sorted(maps.Keys(m.long)) {
		last := m.long[name]
		if slices.ContainsFunc(results, func(other probe.Result) bool { return sameProbe(last.Result, other) }) {
			continue
		}
		results = append(results, last.Result)
		if last.stub != nil {
			results = append(results, *last.stub)
		}
	}
	return results
}

// sandboxIntervals is how many intervals the sandbox probes count for: two, so that one missed run (the host was busy
// or suspended) does not change the verdict, and a second one does.
const sandboxIntervals = 2

func sameProbe(a, b probe.Result) bool {
	return a.Role == b.Role && a.Service == b.Service && a.Name == b.Name && a.Vantage == b.Vantage
}

// isOfAgent reports whether r was made by the agent: a run of it, or its report about itself.
func isOfAgent(r probe.Result) bool { return r.Kind == probe.KindExec || r.Kind == probe.KindStatus }

// observeRound forgets each long failure that results supersede: they have a later attempt of the same probe. What an
// agent reports about itself is the same in a round as outside, so the later report replaces the earlier one; but see
// observe. Cause is the one that the results show.
func (m *retained) observeRound(results []probe.Result, cause causes.Cause) {
	for _, r := range results {
		last, known := m.long[r.Name]
		if r.Kind == probe.KindStatus {
			switch {
			case !r.OK() && cause.OfNetwork():
				delete(m.long, r.Name)
			case !known || r.Start.After(last.Start):
				put(&m.long, r.Name, longResult{Result: r})
			}
			continue
		}
		if known && !last.OK() && sameProbe(last.Result, r) && r.Start.After(last.Start) {
			delete(m.long, r.Name)
		}
	}
}

// observeSandbox keeps the sandbox probes among the results of a round for the rounds without any.
func (m *retained) observeSandbox(begun time.Time, results []probe.Result) {
	m.sandboxAt, m.sandbox = begun, nil
	for _, r := range results {
		if r.Vantage == probe.FromSandbox && outlastsRound(r, results) {
			m.sandbox = append(m.sandbox, r)
		}
	}
}

// outlastsRound reports whether sandbox probe r may be compared with later probes from the host. A failure may only
// if it is the sandbox's own, or if the same probe succeeded from the host in the same round: a failure that the host
// shared would look like the sandbox's fault as soon as the host is healthy again.
func outlastsRound(r probe.Result, results []probe.Result) bool {
	switch {
	case r.OK(), r.Role != probe.OfService, r.Class == probe.LocalDenied, r.Class.Layer() == "exec":
		return true
	}
	return slices.ContainsFunc(results, func(other probe.Result) bool {
		return other.OK() && other.Vantage == probe.FromHost && other.Role == r.Role && other.Service == r.Service &&
			other.Name == r.Name
	})
}

// revalidate takes the cause that a round has shown. While that explains the failure of a stream, or of a run of the
// agent, the failure is unproven. Once it does not, an unproven failure is forgotten, and its name is returned: it is
// attempted again at once.
func (m *retained) revalidate(cause causes.Cause) (again []string) {
	for _, name := range slices.Sorted(maps.Keys(m.long)) {
		last := m.long[name]
		switch {
		case last.OK(), isOfAgent(last.Result) && !mayBeService(last.Result):
		case isOfAgent(last.Result) && cause == causes.Stream, // the agent uses streams, too
			!isOfAgent(last.Result) && (cause.OfNetwork() || cause == causes.Inconclusive):
			last.unproven = true
			m.long[name] = last
		case last.unproven:
			delete(m.long, name)
			again = append(again, name)
		}
	}
	return again
}

// mayBeService reports whether r is a run of the agent that the service may have failed.
func mayBeService(r probe.Result) bool {
	return r.Kind == probe.KindExec && !r.OK() &&
		(outcome.NeedsStub(r) || r.Class == probe.ExecOverloaded || r.Class == probe.ExecStreamCut)
}

// explain takes the cause of a new verdict. A network fault explains why runs of the agent failed, so that such
// failures say nothing about the agent, now or once the network is back.
func (m *retained) explain(cause causes.Cause) {
	if cause.OfNetwork() {
		maps.DeleteFunc(m.long, func(_ string, last longResult) bool {
			return !last.OK() && isOfAgent(last.Result)
		})
	}
}

// suspend takes note that the host was suspended: the network may be another one now. Nothing from inside the sandbox
// counts any more, and each stream that failed is held again.
func (m *retained) suspend() {
	m.dropped = nil
	m.sandboxAt, m.sandbox = time.Time{}, nil
	for name, last := range m.long {
		m.long[name] = longResult{last.Result, !last.OK(), last.stub}
	}
}

// replan forgets what is not planned any more.
func (m *retained) replan(s *Service) {
	m.dropped = nil // attempts that are running are discarded
	planned, long := make(map[string]bool, len(s.Tasks)), make(map[string]bool)
	for _, t := range s.Tasks {
		planned[t.Name], long[t.Name] = true, t.RoundProbe != t.Probe
		if t.Builtin != nil {
			long[t.Builtin.Name] = true
		}
	}
	maps.DeleteFunc(m.long, func(name string, _ longResult) bool { return !long[name] })
	m.sandbox = slices.DeleteFunc(m.sandbox, func(r probe.Result) bool {
		return s.SandboxProbes == nil || r.Role == probe.OfService && !planned[r.Name]
	})
}
