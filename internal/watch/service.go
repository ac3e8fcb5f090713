package watch

import (
	"slices"
	"time"

	"netwatchd/internal/diagnose"
	"netwatchd/internal/probe"
)

// service is what is known of one service.
type service struct {
	Service
	entries          []*entry
	status           ServiceStatus
	firstRoundDone   bool             // its first full round is over
	lastRound        time.Time        // when its latest round began
	rounds           []*round         // under way: at most a regular and a confirming one
	votes            []diagnose.Cause // what the latest rounds named, newest last
	confirmations    int              // confirming rounds in a row
	unexplainedSince time.Time        // start of the first attempt that the standing verdict does not explain; zero: none
	lastClass        map[probeKey]probe.Class
	retained         retained
	sandbox          sandboxSchedule
	nextSample       int // where the next sample of a large service begins

	spent        []time.Time   // starts of costly attempts within the last day
	backoff      time.Duration // before the next costly attempt: the account said no
	backoffSince time.Time
}

type probeKey struct {
	name    string
	vantage probe.Vantage
}

// sampleSize bounds the attempts a round makes of one service: a round is asked of a handful of probes in a blink, not of
// ten thousand. Every ladder is smaller than that.
const sampleSize = 16

// again is how many times over a confirming round makes an attempt that has failed: on a line that loses a third of its
// packets one attempt in five is lost although everything is up, and so are two in a row now and then; of three at
// once some get through, and then the service is not down.
const confirmRepeats = 3

// roundProbes are the service's own probes to be made in a round: all of a ladder; of a large service those that failed
// last and others in turn. The short form of a long probe is made on suspicion only, and as long as it fails itself.
func (s *service) roundProbes(confirming bool) []*probe.Probe {
	var failing, passing []*probe.Probe
	for _, t := range s.Tasks {
		class, seen := s.lastClass[probeKey{t.Name, t.Vantage}]
		fails := seen && class != probe.OK
		switch {
		case t.RoundProbe == nil, t.RoundProbe != t.Probe && !confirming && !(fails && s.retained.roundProbeMayFail(t)):
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

func (s *service) intervalOf(r probe.Result) time.Duration {
	for _, t := range s.Tasks {
		if t.Name == r.Name && r.Role == probe.OfService {
			return t.Interval
		}
	}
	return s.Every
}

func (s *service) roundUnderWay(confirming bool) bool {
	return slices.ContainsFunc(s.rounds, func(rd *round) bool { return rd.confirming == confirming })
}

// reviewAfter is how long a fault of a service without regular rounds stands before a further failure, though no news,
// has it looked at again: the probe may fail as before while whose fault it is has changed. As often as a ladder is by
// default.
const reviewAfter = 30 * time.Second

// suspect starts a confirming round if the standing verdict does not explain r.
func (w *Watcher) suspect(s *service, r probe.Result) {
	key := probeKey{r.Name, r.Vantage}
	before, known := s.lastClass[key]
	s.lastClass[key] = r.Class
	if !known {
		before = probe.OK
	}
	starting := s.status.Cause == diagnose.Starting && s.Every == 0
	if before == r.Class && !starting {
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

// applyVerdict enters a round's verdict: it moves the standing one if enough agree, and asks again if not.
func (w *Watcher) applyVerdict(rd *round, v diagnose.Verdict, results []probe.Result, ended bool) {
	s := rd.service
	if ended {
		s.vote(v.Cause)
		s.remember(results)
		if rd.sandbox == sandboxDone {
			s.retained.observeSandbox(rd.begun, results)
		}
	}
	was := s.status.Cause
	switch {
	case v.Cause == was:
		s.refresh(v, results)
	case s.enoughVotes(v.Cause, rd.confirming, ended):
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
	if ended && s.Every > 0 && !s.firstRoundDone {
		s.firstRoundDone = true
		w.firstRounds--
		w.readyIfDone()
	}
}

// enoughVotes reports whether enough of the latest rounds name cause. The attempt that started a confirming round is a vote
// as well; and the first round needs no second one to say that all is well.
func (s *service) enoughVotes(cause diagnose.Cause, confirming, ended bool) bool {
	if s.status.Cause == diagnose.Starting && !cause.Fault() {
		return ended
	}
	votes := 0
	for _, c := range s.votes {
		if c == cause {
			votes++
		}
	}
	if !ended {
		votes++ // this very round, not entered yet
	}
	if confirming {
		votes++
	}
	return votes >= s.Confirmation.Votes
}

func (s *service) vote(c diagnose.Cause) {
	s.votes = append(s.votes, c)
	if extra := len(s.votes) - s.Confirmation.Of; extra > 0 {
		s.votes = slices.Delete(s.votes, 0, extra)
	}
}

// remember keeps how each of the service's probes ended, so that only news starts a confirming round.
func (s *service) remember(results []probe.Result) {
	for _, r := range results {
		if r.Role == probe.OfService {
			s.lastClass[probeKey{r.Name, r.Vantage}] = r.Class
		}
	}
	s.retained.observeRound(results)
}

// confirm refreshes the evidence of a standing verdict.
func (s *service) refresh(v diagnose.Verdict, results []probe.Result) {
	s.status.Verdict = v
	s.keepResults(results)
	s.unexplainedSince, s.confirmations = time.Time{}, 0
}

func (s *service) changeVerdict(v diagnose.Verdict, results []probe.Result, begun time.Time) {
	now := time.Now()
	if s.unexplainedSince.IsZero() {
		s.unexplainedSince = begun
	}
	s.status = ServiceStatus{Verdict: v, Since: now, Delay: probe.InSeconds(now.Sub(s.unexplainedSince))}
	s.keepResults(results)
	s.unexplainedSince, s.confirmations = time.Time{}, 0
}

// keepResults keeps the round for the status; a service without a ladder keeps only what shows a fault, since there may
// be ten thousand of them.
func (s *service) keepResults(results []probe.Result) {
	if s.Every > 0 {
		s.status.Results = results
	} else if !s.status.Cause.Fault() {
		s.status.Evidence = nil
	}
}

// confirmAgain starts another confirming round, as long as a majority can still come of it; then it waits for the next
// regular one.
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

// moved does what a new verdict asks for.
func (w *Watcher) verdictChanged(s *service, was diagnose.Cause) {
	s.retained.explain(s.status.Cause)
	if !s.status.Cause.Fault() && (was == diagnose.Upstream || was == diagnose.Stream || was == diagnose.Sandbox) {
		w.confirmRecovery(s)
	}
}

// confirmRecovery has the agent itself say that all is well again.
func (w *Watcher) confirmRecovery(s *service) {
	w.startNow(s, func(t Task) bool { return t.Costly })
}

// suspend voids what is under way: the host was away meanwhile.
func (s *service) suspend(w *Watcher, now time.Time) {
	for _, rd := range s.rounds {
		rd.void = true
	}
	s.rounds, s.votes, s.confirmations, s.unexplainedSince = nil, nil, 0, time.Time{}
	s.sandbox = sandboxSchedule{}
	s.retained.suspend()
	if s.Every == 0 {
		return // the next attempt of each probe will tell
	}
	was := s.status.Cause
	s.status = ServiceStatus{Verdict: diagnose.NotReady(s.Name, diagnose.Suspended), Since: now}
	for _, o := range w.Observers {
		o.Judged(s.status, was)
	}
}
