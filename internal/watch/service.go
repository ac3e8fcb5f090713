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
	lanes    []*lane
	standing ServiceStatus
	looked   bool             // its first full round is over
	reviewed time.Time        // when its latest round began
	rounds   []*round         // under way: at most a regular and a confirming one
	votes    []diagnose.Cause // what the latest rounds named, newest last
	chain    int              // confirming rounds in a row
	doubted  time.Time        // start of the first attempt that the standing verdict does not explain; zero: none
	seen     map[seenKey]probe.Class
	retained retained
	sandbox  sandboxState
	turn     int // where the next sample of a large service begins

	spent  []time.Time   // starts of costly attempts within the last day
	wait   time.Duration // before the next costly attempt: the account said no
	waited time.Time
}

type seenKey struct {
	name    string
	vantage probe.Vantage
}

// sampleSize bounds the attempts a round makes of one service: a round is asked of a handful of probes in a blink, not of
// ten thousand. Every ladder is smaller than that.
const sampleSize = 16

// again is how many times over a confirming round makes an attempt that has failed: on a line that loses a third of its
// packets one attempt in five is lost although everything is up, and so are two in a row now and then; of three at
// once some get through, and then the service is not down.
const again = 3

// roundProbes are the service's own probes to be made in a round: all of a ladder; of a large service those that failed
// last and others in turn. The short form of a long probe is made on suspicion only, and as long as it fails itself.
func (s *service) roundProbes(confirming bool) []*probe.Probe {
	var failing, fine []*probe.Probe
	for _, t := range s.Tasks {
		class, seen := s.seen[seenKey{t.Name, t.Vantage}]
		fails := seen && class != probe.OK
		switch {
		case t.RoundProbe == nil, t.RoundProbe != t.Probe && !confirming && !(fails && s.retained.roundProbeMayFail(t)):
		case fails:
			failing = append(failing, t.RoundProbe)
		default:
			fine = append(fine, t.RoundProbe)
		}
	}
	if len(failing)+len(fine) > sampleSize && len(fine) > 0 {
		s.turn = (s.turn + sampleSize) % len(fine)
		fine = append(slices.Clone(fine[s.turn:]), fine[:s.turn]...)
	}
	if confirming && again*len(failing)+len(fine) <= sampleSize {
		failing = slices.Repeat(failing, again)
	}
	all := append(failing, fine...)
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
	key := seenKey{r.Name, r.Vantage}
	before, known := s.seen[key]
	s.seen[key] = r.Class
	if !known {
		before = probe.OK
	}
	starting := s.standing.Cause == diagnose.Starting && s.Every == 0
	if before == r.Class && !starting {
		if s.Every == 0 && !r.OK() && time.Since(s.reviewed) > reviewAfter {
			w.startRound(s, false)
		}
		return
	}
	if s.doubted.IsZero() {
		s.doubted = r.Start
	}
	w.startRound(s, true)
}

// settle enters a round's verdict: it moves the standing one if enough agree, and asks again if not.
func (w *Watcher) settle(rd *round, v diagnose.Verdict, results []probe.Result, ended bool) {
	s := rd.service
	if ended {
		s.vote(v.Cause)
		s.remember(results)
		if rd.twin == twinBack {
			s.retained.observeSandbox(rd.begun, results)
		}
	}
	was := s.standing.Cause
	switch {
	case v.Cause == was:
		s.confirm(v, results)
	case s.agreed(v.Cause, rd.confirming, ended):
		s.move(v, results, rd.begun)
	case ended:
		w.askAgain(s, rd)
	}
	for _, o := range w.Observers {
		o.Judged(s.standing, was)
	}
	if s.standing.Cause != was {
		w.moved(s, was)
	}
	if ended && s.Every > 0 && !s.looked {
		s.looked = true
		w.firstRounds--
		w.readyIfDone()
	}
}

// agreed reports whether enough of the latest rounds name cause. The attempt that started a confirming round is a vote
// as well; and the first round needs no second one to say that all is well.
func (s *service) agreed(cause diagnose.Cause, confirming, ended bool) bool {
	if s.standing.Cause == diagnose.Starting && !cause.Fault() {
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
			s.seen[seenKey{r.Name, r.Vantage}] = r.Class
		}
	}
	s.retained.observeRound(results)
}

// confirm refreshes the evidence of a standing verdict.
func (s *service) confirm(v diagnose.Verdict, results []probe.Result) {
	s.standing.Verdict = v
	s.keepResults(results)
	s.doubted, s.chain = time.Time{}, 0
}

func (s *service) move(v diagnose.Verdict, results []probe.Result, begun time.Time) {
	now := time.Now()
	if s.doubted.IsZero() {
		s.doubted = begun
	}
	s.standing = ServiceStatus{Verdict: v, Since: now, Delay: probe.InSeconds(now.Sub(s.doubted))}
	s.keepResults(results)
	s.doubted, s.chain = time.Time{}, 0
}

// keepResults keeps the round for the status; a service without a ladder keeps only what shows a fault, since there may
// be ten thousand of them.
func (s *service) keepResults(results []probe.Result) {
	if s.Every > 0 {
		s.standing.Results = results
	} else if !s.standing.Cause.Fault() {
		s.standing.Evidence = nil
	}
}

// askAgain starts another confirming round, as long as a majority can still come of it; then it waits for the next
// regular one.
func (w *Watcher) askAgain(s *service, rd *round) {
	s.chain++
	if s.chain >= s.Confirmation.Of {
		s.chain = 0
		return
	}
	if s.doubted.IsZero() {
		s.doubted = rd.begun
	}
	w.startRound(s, true)
}

// moved does what a new verdict asks for.
func (w *Watcher) moved(s *service, was diagnose.Cause) {
	s.retained.explain(s.standing.Cause)
	if !s.standing.Cause.Fault() && (was == diagnose.Upstream || was == diagnose.Stream || was == diagnose.Sandbox) {
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
	s.rounds, s.votes, s.chain, s.doubted = nil, nil, 0, time.Time{}
	s.sandbox = sandboxState{}
	s.retained.suspend()
	if s.Every == 0 {
		return // the next attempt of each probe will tell
	}
	was := s.standing.Cause
	s.standing = ServiceStatus{Verdict: diagnose.NotReady(s.Name, diagnose.Suspended), Since: now}
	for _, o := range w.Observers {
		o.Judged(s.standing, was)
	}
}
