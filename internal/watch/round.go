package watch

import (
	"net/netip"
	"slices"
	"time"

	"netwatchd/internal/causes"
	"netwatchd/internal/diagnose"
	"netwatchd/internal/probe"
)

// confirmTimeout is how long a confirming round may take. It leaves time to judge the round within the two seconds in
// which a cause is promised, and is long enough for a lost SYN to be sent again once (after 1 s, RFC 6298).
const confirmTimeout = 1800 * time.Millisecond

// slowFactor gives an attempt that is always slow more than confirmTimeout: this many times what its last success
// took. On a link with a delay of 600 ms, a TLS handshake and its answer take 2.4 s at best.
const slowFactor = 4

// A round is a set of attempts made together for one service.
type round struct {
	service    *service
	confirming bool
	begun      time.Time
	pending    int // attempts that have not ended; the environment counts as one
	addresses  int // of pending: requests at single addresses of the service
	results    []probe.Result
	asking     []*probe.Probe // of results, what agents report about themselves
	sandbox    sandboxProgress
	ended      bool // judged for the last time, by results
	void       bool // the host was suspended, or the service is no longer watched
}

// failsBehindProxy reports whether a request of the service failed last, and a proxy made its connection. Only the same
// request without the proxy tells the two apart, so every round needs it until the fault is over.
func (s *service) failsBehindProxy() bool {
	return slices.ContainsFunc(s.Tasks, func(t Task) bool {
		latest, known := s.latest[probeKey{t.Name, t.Vantage}]
		return known && latest.proxied && latest.class != probe.OK
	})
}

// startRound starts a round for s. A confirming round follows a suspicion: it has more probes and less time.
func (w *Watcher) startRound(s *service, confirming bool) {
	if s.roundRunning(confirming) {
		return
	}
	rd := &round{service: s, confirming: confirming, begun: time.Now()}
	s.rounds, s.lastRound = append(s.rounds, rd), rd.begun
	e := w.environmentFor(rd)
	probes := s.roundProbes(confirming)
	if s.NameserverProbes != nil {
		probes = append(probes, s.NameserverProbes(e.nameservers, probes)...)
	}
	if confirming && !w.costly { // see Task.Status
		rd.asking = s.doubtedStatus()
		probes = append(probes, rd.asking...)
	}
	if confirming || s.failsBehindProxy() {
		probes = append(probes, s.DirectProbes...)
	}
	atAddresses := s.addressProbes(confirming)
	probes = append(probes, atAddresses...)
	for _, p := range atAddresses {
		if p.Kind == probe.KindHTTP { // a stream has a longer timeout, and only decides whether streams work
			rd.addresses++
		}
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
	w.joinEnvironment(rd, e)
	if confirming || rd.sandbox == sandboxRunning {
		w.after(confirmTimeout, func() { w.cutRound(rd) })
	}
}

// cutRound is called after confirmTimeout: a confirming round is judged by the results it has, and no round waits
// longer for its sandbox probes. A sandbox wrapper that hangs must delay neither the verdict nor later rounds.
func (w *Watcher) cutRound(rd *round) {
	if rd.sandbox == sandboxRunning {
		rd.sandbox = sandboxLate
		w.endIfDone(rd)
	}
	if rd.confirming {
		w.judge(rd, false)
	}
}

// endIfDone judges rd for the last time once everything it waits for has ended.
func (w *Watcher) endIfDone(rd *round) {
	if rd.pending == 0 && rd.sandbox != sandboxRunning && !rd.ended {
		w.judge(rd, true)
	}
}

func (w *Watcher) roundResult(rd *round, r probe.Result, valid bool) {
	rd.pending--
	if r.Role == probe.ServiceAddress && r.Kind == probe.KindHTTP {
		rd.addresses--
	}
	if valid && !rd.void {
		w.report(r, rd.service.intervalOf(r))
		rd.results = append(rd.results, r)
		rd.service.countInRound(r)
		if r.Role == probe.OfService && !rd.confirming {
			w.suspect(rd.service, r)
		}
	}
	w.endIfDone(rd)
}

// report passes r to the observers, and records how long a success took. An attempt at a single address only helps
// to judge its round: counted, it would look like another attempt of the probe.
func (w *Watcher) report(r probe.Result, interval time.Duration) {
	if r.Role == probe.ServiceAddress {
		return
	}
	if r.OK() {
		w.noteSlow(r)
	}
	if r.Role == probe.OfHost && r.Name == probe.CheckSandbox && r.Vantage == probe.FromHost {
		w.sandboxed = sandboxed([]probe.Result{r})
	}
	for _, o := range w.Observers {
		o.Attempted(r, interval)
	}
}

// noteSlow records how long r took, which has succeeded, if a confirming round must give the next one more time for it.
// Few attempts are that slow, so that ten thousand probes need no memory for it.
func (w *Watcher) noteSlow(r probe.Result) {
	if took := r.Elapsed.Duration(); slowFactor*took > confirmTimeout {
		w.slow[seriesKeyOf(r.Spec)] = took
	} else if len(w.slow) > 0 {
		delete(w.slow, seriesKeyOf(r.Spec))
	}
}

// A seriesKey names attempts that take about equally long when they succeed.
type seriesKey struct {
	service, name string
	vantage       probe.Vantage
}

func seriesKeyOf(s probe.Spec) seriesKey { return seriesKey{s.Service, s.Name, s.Vantage} }

// forRound returns p as a round runs it. A confirming round gives it less time.
func (w *Watcher) forRound(p *probe.Probe, confirming bool) *probe.Probe {
	if !confirming {
		return p
	}
	return withTimeout(max(confirmTimeout, slowFactor*w.slow[seriesKeyOf(p.Spec)]), p)
}

// withTimeout returns p with a timeout of at most limit. A stream keeps its own: it takes more round trips than any
// other probe, and how long its upgrade takes is not known, because the time of a held stream includes the hold. So
// does an agent that is asked about itself: a command takes longer than a packet on a busy machine.
func withTimeout(limit time.Duration, p *probe.Probe) *probe.Probe {
	if p.Kind == probe.KindStream || p.Kind == probe.KindStatus || p.Timeout > 0 && p.Timeout <= limit {
		return p
	}
	spec := p.Spec
	spec.Timeout = limit
	return &probe.Probe{Spec: spec, Prober: p.Prober}
}

// An envRun is one run of the environment's probes (this host, its resolvers, the controls). Rounds that start at
// about the same time share it.
type envRun struct {
	begun      time.Time
	confirming bool
	pending    int
	results    []probe.Result
	rounds     []*round

	probes      []*probe.Probe // to start; nil once they are
	nameservers []netip.AddrPort
}

// sameRound is how far apart attempts may start and still be compared with each other. It also bounds how often the
// controls are probed when many services fail at once: twice a second.
const sameRound = 500 * time.Millisecond

// environmentFor returns the environment run that rd shares, or a new one that joinEnvironment starts.
func (w *Watcher) environmentFor(rd *round) *envRun {
	e := w.envRun
	// A suspicion is not compared with controls that were probed before it: they may have become unreachable together
	// with the service.
	if e != nil && time.Since(e.begun) <= sameRound && (e.confirming || !rd.confirming) {
		return e
	}
	env := w.environment()
	return &envRun{begun: time.Now(), confirming: rd.confirming, pending: len(env.Probes),
		probes: env.Probes, nameservers: env.Nameservers}
}

func (w *Watcher) joinEnvironment(rd *round, e *envRun) {
	if e.probes != nil {
		w.startEnvironment(e)
	}
	if e.pending == 0 {
		w.environmentEnded(rd, e)
		return
	}
	e.rounds = append(e.rounds, rd)
}

func (w *Watcher) startEnvironment(e *envRun) {
	w.envRun = e
	probes := e.probes
	e.probes = nil
	for _, p := range probes {
		w.attempt(w.forRound(p, e.confirming), func(r probe.Result, valid bool) { w.environmentResult(e, r, valid) })
	}
}

func (w *Watcher) environmentResult(e *envRun, r probe.Result, valid bool) {
	e.pending--
	if valid {
		w.report(r, w.environmentEvery)
		e.results = append(e.results, r)
	}
	if e.pending == 0 {
		rounds := e.rounds
		e.rounds = nil // from here on each round has the results itself; see resultsSoFar
		for _, rd := range rounds {
			w.environmentEnded(rd, e)
		}
	}
}

func (w *Watcher) environmentEnded(rd *round, e *envRun) {
	rd.results = append(rd.results, rd.service.ofEnvironment(e.results)...)
	rd.pending--
	w.endIfDone(rd)
}

// ofEnvironment returns the results of the environment that count for s.
func (s *Service) ofEnvironment(results []probe.Result) []probe.Result {
	if s.Leaves == nil {
		return results
	}
	return slices.DeleteFunc(slices.Clone(results), s.Leaves)
}

// resultsSoFar returns what the round knows: its own results, those of the environment that have arrived, and the
// retained results of probes that are too long or too costly for a round.
func (rd *round) resultsSoFar(e *envRun) []probe.Result {
	results := slices.Clone(rd.results)
	if e != nil && slices.Contains(e.rounds, rd) {
		results = append(results, rd.service.ofEnvironment(e.results)...)
	}
	all := rd.service.retained.into(results, &rd.service.Service, rd.begun, rd.sandbox == sandboxDone)
	// An agent that is being asked again may be right by now.
	return slices.DeleteFunc(all, func(r probe.Result) bool {
		return r.Start.Before(rd.begun) &&
			slices.ContainsFunc(rd.asking, func(p *probe.Probe) bool { return p.Spec == r.Spec })
	})
}

// judge names the cause that the round shows. Before the end of the round only a definite cause counts, because
// results that are still missing may change an uncertain one.
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
		if again := s.retained.revalidate(explanation(verdict)); len(again) > 0 {
			w.startAgain(s, again)
			verdict, results = s.judge(rd.resultsSoFar(w.envRun))
		}
		rd.results = results
	}
	if !ended && !rd.isDefinite(verdict.Cause) {
		return
	}
	w.applyVerdict(rd, verdict, results, ended)
}

// isDefinite reports whether results that are still missing cannot change cause. Stream requires that plain requests
// succeed, and one may still fail. What looks like the fault of the service or of the network path may be that of one
// address.
func (rd *round) isDefinite(cause causes.Cause) bool {
	switch {
	case !cause.Fault(), cause == causes.Inconclusive, cause == causes.Stream:
		return false
	}
	return rd.addresses == 0 || cause.Owner() != causes.OwnerService && cause != causes.Path
}

// judge returns the verdict on a round of s, and the results that it is about. Under a network fault costly attempts do
// not run: they are listed as blocked, and their earlier results are left out.
func (s *Service) judge(round diagnose.Round) (diagnose.Verdict, []probe.Result) {
	round.Service, round.Expect = s.Name, s.Expect
	v, results := diagnose.Of(round), round.Results
	if !v.ExplainsRuns() {
		return v, results
	}
	for _, t := range s.Tasks {
		if !t.Costly {
			continue
		}
		results = slices.DeleteFunc(slices.Clone(results), func(r probe.Result) bool {
			return t.has(r)
		})
		if !slices.Contains(v.Blocked, t.Name) {
			v.Blocked = append(v.Blocked, t.Name)
		}
	}
	return v, results
}
