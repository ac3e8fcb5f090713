package watch

import (
	"slices"
	"time"

	"netwatchd/internal/causes"
	"netwatchd/internal/diagnose"
	"netwatchd/internal/probe"
	"netwatchd/internal/spending"
)

// service is the state of one service.
type service struct {
	Service
	entries          []*entry
	status           ServiceStatus
	firstRoundDone   bool                    // its first full round has ended
	lastRound        time.Time               // when its latest round began
	rounds           []*round                // running: at most a regular and a confirming one
	votes            []causes.Cause          // the causes that the latest rounds named, newest last
	confirmations    int                     // confirming rounds in a row
	unexplainedSince time.Time               // start of the first attempt that the verdict does not explain; zero: none
	latest           map[probeKey]attemptEnd // how the latest attempt of each of its probes ended
	addressFails     bool                    // at least one address failed when each was last probed
	addressRounds    int                     // rounds in a row that found one
	addressesFine    time.Time               // when each address was last probed and all answered
	ongoing          ongoingFault            // of an earlier run, until the first verdict; zero: none
	refuted          time.Time               // when the latest confirming round began that found the service usable
	past             past
	retained         retained
	sandbox          sandboxSchedule
	nextSample       int // where the next sample of a large service begins

	spent        []time.Time    // starts of costly attempts within the last day
	uses         []spending.Run // by those that ended within it
	backoff      time.Duration  // how long the next costly attempt waits because the account refused one
	backoffSince time.Time
	builtinAt    time.Time     // start of the last run with the agent's own provider
	recheck      time.Duration // how long the last recheck of a failed run waited; zero: the last run needs none
}

type probeKey struct {
	name    string
	vantage probe.Vantage
}

// sampleSize bounds how many of a service's own probes one round runs, because a service may have ten thousand. A
// service with full rounds has no more than that.
const sampleSize = 16

// confirmRepeats is how many times at once a confirming round repeats a probe that failed. On a link that loses a
// third of its packets, one attempt in five fails although everything is up, and now and then two in a row. Of three
// at once some succeed, and then the service is not down.
const confirmRepeats = 3

// roundProbes returns the service's own probes for a round: all of them, or, of a large service, those that failed
// last and some of the others in turn. The round form of a long probe runs in confirming rounds only, and while it
// fails itself.
func (s *service) roundProbes(confirming bool) []*probe.Probe {
	var failing, passing []*probe.Probe
	for _, t := range s.Tasks {
		last, seen := s.latest[probeKey{t.Name, t.Vantage}]
		fails := seen && last.class != probe.OK
		switch {
		case t.RoundProbe == nil, t.Status: // see doubtedStatus
		case t.RoundProbe != t.Probe && !confirming && !(fails && s.retained.roundProbeMayFail(t)):
		case fails:
			failing = append(failing, t.RoundProbe)
		default:
			passing = append(passing, t.RoundProbe)
		}
	}
	if len(failing)+len(passing) > sampleSize && len(passing) > 0 {
		s.nextSample = (s.nextSample + sampleSize) % len(passing)
		passing = append(slices.Clone(passing[s.nextSample:]), passing[:s.nextSample]...)
	}
	if confirming && confirmRepeats*len(failing)+len(passing) <= sampleSize {
		failing = slices.Repeat(failing, confirmRepeats)
	}
	all := append(failing, passing...)
	return all[:min(len(all), sampleSize)]
}

// doubtedStatus returns the probes that ask agents about themselves, if a run of the agent or such a probe failed last.
// Those that are running are left out.
func (s *service) doubtedStatus() []*probe.Probe {
	var all []*probe.Probe
	doubt := false
	for _, t := range s.Tasks {
		last, seen := s.latest[probeKey{t.Name, t.Vantage}]
		doubt = doubt || seen && last.class != probe.OK && (t.Costly || t.Status)
		if t.Status && !s.isRunning(t) {
			all = append(all, t.RoundProbe)
		}
	}
	if !doubt {
		return nil
	}
	return all
}

func (s *service) isRunning(t Task) bool {
	return slices.ContainsFunc(s.entries, func(e *entry) bool { return e.running && e.key == s.Name+"/"+t.Name })
}

func (s *service) intervalOf(r probe.Result) time.Duration {
	for _, t := range s.Tasks {
		if t.Name == r.Name && r.Role == probe.OfService {
			return t.Interval
		}
	}
	return s.Every
}

func (s *service) roundRunning(confirming bool) bool {
	return slices.ContainsFunc(s.rounds, func(rd *round) bool { return rd.confirming == confirming })
}

// reviewAfter is for services without regular rounds: a probe that goes on failing in the same way starts another
// round if the last one is older than this, because the cause may have changed. It is the default interval of regular
// rounds.
const reviewAfter = 30 * time.Second

// suspect starts a confirming round if r ended differently than the last attempt of the same probe.
func (w *Watcher) suspect(s *service, r probe.Result) {
	key := probeKey{r.Name, r.Vantage}
	before, known := s.latest[key]
	now := endOf(r)
	s.latest[key] = now
	if !known {
		before.class = probe.OK
	}
	starting := s.status.Cause == causes.Starting && s.Every == 0
	if !s.isSuspicious(before, now) && !starting {
		if s.Every == 0 && !r.OK() && time.Since(s.lastRound) > reviewAfter {
			w.startRound(s, false)
		}
		return
	}
	if s.unexplainedSince.IsZero() {
		s.unexplainedSince = r.Start
	}
	w.startRound(s, true)
}

// applyVerdict records a round's verdict. It changes the service's verdict if enough rounds agree, else starts
// another round.
func (w *Watcher) applyVerdict(rd *round, v diagnose.Verdict, results []probe.Result, ended bool) {
	s := rd.service
	seconded := rd.confirming && s.seconds(v)
	if ended {
		s.vote(rd, v.Cause)
		s.remember(rd.begun, results, explanation(v))
		if rd.sandbox == sandboxDone {
			s.retained.observeSandbox(rd.begun, results)
		}
	}
	was := s.status.Cause
	switch {
	case v.Cause == was:
		s.refresh(v, results)
	case s.enoughVotes(v.Cause, seconded, ended):
		if s.goesOn(v.Cause) {
			was = v.Cause // for the observers: nothing has changed
		}
		s.changeVerdict(v, results, rd.begun)
	case ended:
		w.confirmAgain(s, rd)
	}
	for _, o := range w.Observers {
		o.Judged(s.status, was)
	}
	if s.status.Cause != was {
		w.verdictChanged(s, was)
	}
	w.keepChanges(s)
	if ended && s.Every > 0 && !s.firstRoundDone {
		s.firstRoundDone = true
		w.firstRounds--
		w.readyIfDone()
	}
}

// seconds reports whether the attempt that started a confirming round is one more vote for its verdict v. It is not
// if v is about another probe, of which this round has the first failure.
func (s *service) seconds(v diagnose.Verdict) bool {
	if len(v.Evidence) == 0 {
		return true
	}
	r := &v.Evidence[0]
	if r.OK() || r.Role != probe.OfService || r.Vantage != probe.FromHost {
		return !isAddressAnswer(v)
	}
	before, known := s.latest[probeKey{r.Name, r.Vantage}]
	return known && before.class != probe.OK
}

// enoughVotes reports whether enough of the latest rounds name cause. The attempt that started a confirming round is
// one more vote: see seconds. The first round needs no second one to find no fault.
//
// While a probe fails and succeeds by turns, all of the latest rounds must agree before the service counts as down. If
// one attempt in five fails, the four of a regular and a confirming round fail together five times a day. With those of
// two confirming rounds that is once a month.
func (s *service) enoughVotes(cause causes.Cause, seconded, ended bool) bool {
	if s.status.Cause == causes.Starting && !cause.Fault() {
		return ended
	}
	votes := 0
	for _, c := range s.votes {
		if c == cause {
			votes++
		}
	}
	if !ended {
		votes++ // this round, which is not among s.votes yet
	}
	if !cause.Usable() && len(s.status.Intermittent) > 0 {
		return votes >= s.Confirmation.Of
	}
	if seconded {
		votes++
	}
	return votes >= s.Confirmation.Votes
}

// vote counts the verdict of a round that has ended. A confirming round that finds the service usable refutes what was
// found before it began, also by a regular round that is still running: it had the same probes, and more of them.
func (s *service) vote(rd *round, c causes.Cause) {
	switch {
	case rd.confirming && c.Usable():
		s.votes, s.refuted = nil, rd.begun
	case !rd.confirming && !c.Usable() && rd.begun.Before(s.refuted):
		return
	}
	s.votes = append(s.votes, c)
	if extra := len(s.votes) - s.Confirmation.Of; extra > 0 {
		s.votes = slices.Delete(s.votes, 0, extra)
	}
}

// remember records how each of the service's probes ended in a round, so that only a change starts a confirming round.
// Of several attempts of a probe one that succeeded counts, so that the next failure is a change.
func (s *service) remember(begun time.Time, results []probe.Result, cause causes.Cause) {
	inRound := make(map[probeKey]attemptEnd)
	for _, r := range results {
		key, end := probeKey{r.Name, r.Vantage}, endOf(r)
		if r.Role == probe.OfService && inRound[key].class != probe.OK {
			inRound[key] = end
		}
		if addrs := reachedAddresses(r); len(addrs) > 0 {
			s.past.observeAddresses(addrs)
		}
	}
	for key, end := range inRound {
		// another round has made a later attempt
		if end.start.Before(begun) || !end.start.Before(s.latest[key].start) {
			s.latest[key] = end
		}
	}
	s.observeAddresses(results)
	s.retained.observeRound(results, cause)
}

// refresh replaces the evidence of a verdict whose cause has not changed.
func (s *service) refresh(v diagnose.Verdict, results []probe.Result) {
	s.status.Verdict = v
	s.retained.explain(explanation(v)) // a run may have shown the cause first, and the network probes do now
	s.keepResults(results)
	s.unexplainedSince, s.confirmations = time.Time{}, 0
}

// An ongoingFault is a fault that an earlier run of the daemon has found and not seen the end of.
type ongoingFault struct {
	cause causes.Cause
	since time.Time
}

// goesOn reports whether cause, as the first verdict of this run, is the fault that an earlier run has found: a restart
// is no new outage, and must neither move its begin nor be announced as a change.
func (s *service) goesOn(cause causes.Cause) bool {
	return s.status.Cause == causes.Starting && !s.ongoing.since.IsZero() && s.ongoing.cause == cause
}

func (s *service) changeVerdict(v diagnose.Verdict, results []probe.Result, begun time.Time) {
	now := time.Now()
	if s.unexplainedSince.IsZero() {
		s.unexplainedSince = begun
	}
	if s.goesOn(v.Cause) {
		// How long it took to find was measured by the earlier run.
		s.status = ServiceStatus{Verdict: v, Since: earlier(s.ongoing.since, now)}
	} else {
		s.status = ServiceStatus{Verdict: v, Since: now, Delay: probe.InSeconds(now.Sub(s.unexplainedSince))}
	}
	if v.Cause.Fault() {
		s.past.forgetTallies()
	}
	s.ongoing = ongoingFault{}
	s.keepResults(results)
	s.unexplainedSince, s.confirmations = time.Time{}, 0
}

// keepResults keeps the round's results for the status. A service without full rounds keeps only the evidence of a
// fault, because there may be ten thousand such services.
func (s *service) keepResults(results []probe.Result) {
	if s.Every > 0 {
		s.status.Results = results
	} else if !s.status.Cause.Fault() {
		s.status.Evidence = nil
	}
}

// confirmAgain starts another confirming round, as long as enough votes can still come together. After that the next
// regular round decides.
func (w *Watcher) confirmAgain(s *service, rd *round) {
	s.confirmations++
	if s.confirmations >= s.Confirmation.Of {
		s.confirmations = 0
		return
	}
	if s.unexplainedSince.IsZero() {
		s.unexplainedSince = rd.begun
	}
	w.startRound(s, true)
}

// verdictChanged does what follows from a new verdict.
func (w *Watcher) verdictChanged(s *service, was causes.Cause) {
	if cause := explanation(s.status.Verdict); cause.OfNetwork() {
		s.retained.explain(cause)
		w.endBackoff(s)
	}
	if !s.status.Cause.Fault() && (was == causes.Upstream || was == causes.Stream || was == causes.Sandbox) {
		w.confirmRecovery(s)
	}
	if s.wantsBuiltin() {
		w.startNow(s, s.isBuiltinDue)
	}
}

// confirmRecovery runs the agent itself, and asks it about itself, to confirm that the service works again.
func (w *Watcher) confirmRecovery(s *service) {
	w.startNow(s, func(t *Task) bool { return t.Costly || t.Status })
}

// suspend discards everything that is running: the host was suspended meanwhile.
func (s *service) suspend(w *Watcher, now time.Time) {
	for _, rd := range s.rounds {
		rd.void = true
	}
	s.rounds, s.votes, s.confirmations, s.unexplainedSince = nil, nil, 0, time.Time{}
	s.sandbox = sandboxSchedule{}
	s.retained.suspend()
	s.past.forgetTallies()
	if s.Every == 0 {
		return // the next attempt of each probe shows what holds
	}
	was := s.status.Cause
	s.status = ServiceStatus{Verdict: diagnose.NotReady(s.Name, causes.Suspended), Since: now}
	s.status.Profile = s.Expect.Profile
	for _, o := range w.Observers {
		o.Judged(s.status, was)
	}
}
