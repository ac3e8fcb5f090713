package watch

import (
	"slices"
	"time"

	"netwatchd/internal/diagnose"
	"netwatchd/internal/probe"
)

// confirmTimeout is how long a confirming round may take: with the moment it takes to judge it stays under the two seconds in
// which a cause is promised, and a lost SYN is still sent again once (after 1 s, RFC 6298).
const confirmTimeout = 1800 * time.Millisecond

// slowFactor spares an attempt whose good answers are slow from being cut off by confirmTimeout: on a line with 600 ms of
// delay a TLS handshake and its answer take 2.4 s in the best of times.
const slowFactor = 4

// A round is attempts being made together for one service.
type round struct {
	service    *service
	confirming bool
	begun      time.Time
	pending    int // attempts not back yet
	results    []probe.Result
	sandbox    sandboxProgress
	ended      bool // judged for good; results are what it was judged by
	void       bool // the host was away, or the service is no longer watched
}

// startRound makes a round for s; a confirming one answers a suspicion, and is impatient.
func (w *Watcher) startRound(s *service, confirming bool) {
	if s.roundUnderWay(confirming) {
		return
	}
	rd := &round{service: s, confirming: confirming, begun: time.Now()}
	s.rounds, s.lastRound = append(s.rounds, rd), rd.begun
	probes := s.roundProbes(confirming)
	if confirming {
		probes = append(probes, s.DirectProbes...)
	}
	if s.NameserverProbes != nil {
		probes = append(probes, s.NameserverProbes()...)
	}
	rd.pending = len(probes) + 1 // and the environment
	for _, p := range probes {
		w.attempt(w.forRound(p, confirming), func(r probe.Result, valid bool) {
			w.roundResult(rd, r, valid)
		})
	}
	if s.startsSandbox(confirming, rd.begun) {
		w.startSandbox(rd)
	}
	w.joinEnvironment(rd)
	if confirming || rd.sandbox == sandboxRunning {
		w.after(confirmTimeout, func() { w.cutRound(rd) })
	}
}

// cutRound is called when confirmTimeout is over: a confirming round is judged by what it has, and no round waits for its twin any
// more. A sandbox's wrapper that hangs must not keep the host's verdict, nor the rounds after this one.
func (w *Watcher) cutRound(rd *round) {
	if rd.sandbox == sandboxRunning {
		rd.sandbox = sandboxLate
		w.endIfDone(rd)
	}
	if rd.confirming {
		w.judge(rd, false)
	}
}

// endIfDone judges rd for good when all it waits for has come back.
func (w *Watcher) endIfDone(rd *round) {
	if rd.pending == 0 && rd.sandbox != sandboxRunning && !rd.ended {
		w.judge(rd, true)
	}
}

func (w *Watcher) roundResult(rd *round, r probe.Result, valid bool) {
	rd.pending--
	if valid && !rd.void {
		w.report(r, rd.service.intervalOf(r))
		rd.results = append(rd.results, r)
		if r.Role == probe.OfService && !rd.confirming {
			w.suspect(rd.service, r)
		}
	}
	w.endIfDone(rd)
}

// heard tells the observers of r, and remembers how long a good answer took.
func (w *Watcher) report(r probe.Result, interval time.Duration) {
	if r.OK() {
		w.typical[seriesKeyOf(r.Spec)] = r.Elapsed.Duration()
	}
	if r.Role == probe.OfHost && r.Name == probe.LookSandbox && r.Vantage == probe.FromHost {
		w.sandboxed = sandboxed([]probe.Result{r})
	}
	for _, o := range w.Observers {
		o.Attempted(r, interval)
	}
}

// A seriesKey is a series of attempts that usually take as long as one another.
type seriesKey struct {
	service, name string
	vantage       probe.Vantage
}

func seriesKeyOf(s probe.Spec) seriesKey { return seriesKey{s.Service, s.Name, s.Vantage} }

// forRound is p with no more time than confirmTimeout allows, if the round is a confirming one.
func (w *Watcher) forRound(p *probe.Probe, confirming bool) *probe.Probe {
	if !confirming {
		return p
	}
	return withTimeout(max(confirmTimeout, slowFactor*w.typical[seriesKeyOf(p.Spec)]), p)
}

// within is p with no more time than limit. A stream is never forRound: it takes more round trips than all else, and how long
// it usually takes is not known, since that of a long one has its hold in it.
func withTimeout(limit time.Duration, p *probe.Probe) *probe.Probe {
	if p.Kind == probe.KindStream || p.Timeout > 0 && p.Timeout <= limit {
		return p
	}
	spec := p.Spec
	spec.Timeout = limit
	return &probe.Probe{Spec: spec, Prober: p.Prober}
}

// An envRun is one look at the host, its resolvers and the controls, shared by the rounds of the same moment.
type envRun struct {
	begun      time.Time
	confirming bool
	pending    int
	results    []probe.Result
	rounds     []*round
}

// sameRound is how far apart attempts may begin and still be held against each other. It also bounds how often the
// controls are asked when many services fail at once: twice a second.
const sameRound = 500 * time.Millisecond

func (w *Watcher) joinEnvironment(rd *round) {
	e := w.envRun
	// A suspicion is not held against controls that were asked before it: they may have been cut off with the service.
	if e == nil || time.Since(e.begun) > sameRound || rd.confirming && !e.confirming {
		e = w.startEnvironment(rd.confirming)
	}
	if e.pending == 0 {
		w.environmentEnded(rd, e)
		return
	}
	e.rounds = append(e.rounds, rd)
}

func (w *Watcher) startEnvironment(confirming bool) *envRun {
	probes := w.environment()
	e := &envRun{begun: time.Now(), confirming: confirming, pending: len(probes)}
	w.envRun = e
	for _, p := range probes {
		w.attempt(w.forRound(p, confirming), func(r probe.Result, valid bool) { w.environmentResult(e, r, valid) })
	}
	return e
}

func (w *Watcher) environmentResult(e *envRun, r probe.Result, valid bool) {
	e.pending--
	if valid {
		w.report(r, w.environmentEvery)
		e.results = append(e.results, r)
	}
	if e.pending == 0 {
		rounds := e.rounds
		e.rounds = nil // from here on the results are each round's probes
		for _, rd := range rounds {
			w.environmentEnded(rd, e)
		}
	}
}

func (w *Watcher) environmentEnded(rd *round, e *envRun) {
	rd.results = append(rd.results, e.results...)
	rd.pending--
	w.endIfDone(rd)
}

// resultsSoFar is what the round knows: its own results, those of the environment that have come in, and the latest of the
// probes that are too costly to be repeated in it, or are due only now and then.
func (rd *round) resultsSoFar(e *envRun) []probe.Result {
	results := slices.Clone(rd.results)
	if e != nil && slices.Contains(e.rounds, rd) {
		results = append(results, e.results...)
	}
	return rd.service.retained.into(results, &rd.service.Service, rd.begun, rd.sandbox == sandboxDone)
}

// judge names the cause behind the round. Before its end only a definite cause counts: what has not come back yet could
// still change an uncertain one.
func (w *Watcher) judge(rd *round, ended bool) {
	s := rd.service
	if rd.void || !ended && rd.pending == 0 {
		return
	}
	if ended {
		rd.ended = true
		s.rounds = slices.DeleteFunc(s.rounds, func(other *round) bool { return other == rd })
	}
	verdict, results := s.judge(rd.resultsSoFar(w.envRun))
	if ended {
		if again := s.retained.revalidate(verdict.Cause); len(again) > 0 {
			w.startNow(s, func(t Task) bool { return slices.Contains(again, t.Name) })
			verdict, results = s.judge(rd.resultsSoFar(w.envRun))
		}
		rd.results = results
	}
	if !ended && (!verdict.Cause.Fault() || verdict.Cause == diagnose.Inconclusive || verdict.Cause == diagnose.Stream) {
		return // Stream too: it stands on plain requests being answered
	}
	w.applyVerdict(rd, verdict, results, ended)
}

// judge names the cause behind results, and returns those that tell of it: while it stands between this host and the
// service costly attempts wait, so that they are blocked, and what they showed before says nothing.
func (s *Service) judge(results []probe.Result) (diagnose.Verdict, []probe.Result) {
	v := diagnose.Of(diagnose.Round{Service: s.Name, Results: results, Expect: s.Expect})
	if !v.Cause.OfNetwork() {
		return v, results
	}
	for _, t := range s.Tasks {
		if !t.Costly {
			continue
		}
		results = slices.DeleteFunc(slices.Clone(results), func(r probe.Result) bool { return r.Role == probe.OfService && r.Name == t.Name })
		if !slices.Contains(v.Blocked, t.Name) {
			v.Blocked = append(v.Blocked, t.Name)
		}
	}
	return v, results
}
