// Package diagnose names the one cause behind a round of attempts.
//
// It is a pure function: no I/O, no clock, no goroutine.
package diagnose

import (
	"cmp"
	"slices"

	"netwatchd/internal/causes"
	"netwatchd/internal/outcome"
	"netwatchd/internal/probe"
	"netwatchd/internal/words"
)

// Of judges a round. It names the first cause, in order of precedence, that the results show, and lists beside it
// what else they show that this cause does not explain. The verdict depends only on the round, and not on the order
// of its results.
func Of(round Round) Verdict {
	g := group(round)
	var main *finding
	var also []Finding
	for _, rule := range rules {
		if main != nil && !isSeparateFinding(main, rule.cause, also) {
			continue
		}
		f := rule.find(g)
		if f == nil {
			continue
		}
		f.cause = rule.cause
		if main == nil && !f.aside {
			main = f
			// it may also hide what was set aside before it
			also = slices.DeleteFunc(also, func(a Finding) bool { return slices.Contains(main.cause.About().Hides, a.Cause) })
			continue
		}
		also = append(also, Finding{Cause: f.cause, Title: g.title(f)})
	}
	return g.verdict(main, also)
}

// isSeparateFinding reports whether cause c is listed beside main.
func isSeparateFinding(main *finding, c causes.Cause, already []Finding) bool {
	return c != causes.Inconclusive && c != causes.Healthy && c != main.cause &&
		!slices.Contains(main.cause.About().Hides, c) &&
		!slices.ContainsFunc(already, func(f Finding) bool { return f.Cause == c })
}

// NotReady is the verdict on a service that is not judged yet: [causes.Starting] or [causes.Suspended].
func NotReady(service string, c causes.Cause) Verdict {
	about := c.About()
	return Verdict{Service: service, Cause: c, Severity: about.Severity, Title: service + ": " + about.Title,
		Advice: about.Advice, Also: []Finding{}, Evidence: []probe.Result{}, Blocked: []string{}, Missing: []string{}}
}

func (g *groupedRound) verdict(f *finding, also []Finding) Verdict {
	about := f.cause.About()
	severity, configured := g.Expect.Severity[f.cause]
	if !configured {
		severity = about.Severity
	}
	if also == nil {
		also = []Finding{}
	}
	var intermittent []Intermittent
	if f.cause.Usable() {
		intermittent = g.Intermittent
	}
	return Verdict{
		Service: g.Service, Cause: f.cause, Severity: severity, Title: g.title(f), Note: f.note,
		Advice: g.advice(f), Also: also,
		Evidence: evidence(f), Blocked: g.blocked(f), Missing: g.missing(f), Profile: g.Expect.Profile,
		Intermittent: intermittent,
	}
}

// advice returns what to do about f. The configuration may know better what to do about a fault of the service, and
// if the reader runs it there is no vendor to wait for.
func (g *groupedRound) advice(f *finding) string {
	usual, cause := cmp.Or(f.advice, f.cause.About().Advice), f.cause
	if usual == words.AdviceNear {
		cause = causes.Upstream // at an address of this host or its link, but no control was reached
	}
	if cause.Owner() != causes.OwnerService {
		return usual
	}
	own := ""
	if g.Expect.Owner == Us {
		var decisive *probe.Result
		if len(f.evidence) > 0 {
			decisive = f.evidence[0]
		}
		own = words.OwnAdvice(cause, decisive)
	}
	return cmp.Or(g.Expect.Advice, own, usual)
}

// evidenceLimit is how much a person reads: the decisive result, what it is compared with, and a few more.
const evidenceLimit = 6

func evidence(f *finding) []probe.Result {
	shown := make([]probe.Result, 0, min(len(f.evidence), evidenceLimit))
	for i, r := range f.evidence {
		if r != nil && !slices.Contains(f.evidence[:i], r) && len(shown) < evidenceLimit {
			shown = append(shown, *r)
		}
	}
	return shown
}

// blocked returns the service's probes above the failing rung that failed from the host: they depend on it.
func (g *groupedRound) blocked(f *finding) []string {
	names := []string{}
	if len(f.evidence) == 0 || f.cause.Owner() == causes.OwnerAgent || f.cause.Usable() {
		return names
	}
	decisive := f.evidence[0]
	for _, r := range g.failing {
		if r != decisive && rung(r) > failingRung(f.cause, decisive) && !slices.Contains(names, r.Name) {
			names = append(names, r.Name)
		}
	}
	return names
}

func failingRung(c causes.Cause, decisive *probe.Result) int {
	switch {
	case decisive == nil:
		return 0
	case c == causes.HostOffline:
		return 0
	case c == causes.Resolver:
		return 1
	}
	return rung(decisive)
}

// missing returns the vantages and controls that would tell more. If the cause is known, only those count that were
// tried without success.
func (g *groupedRound) missing(f *finding) []string {
	names := []string{}
	note := func(name string, isMissing bool) {
		if isMissing {
			names = append(names, name)
		}
	}
	unsure := f.cause == causes.Inconclusive
	note("host", f.cause == causes.SelfSandboxed || len(g.service) == 0 && g.untriedProbe(isNetworkProbe) == nil)
	unproven := unsure && g.failure(g.isViaUnprovenProxy) != nil
	note("controls", unproven || g.reachedControl() == nil && (unsure || g.hasControls()))
	note("time", unsure && g.failure(outcome.TimedOutTooSoon) != nil)
	note("direct", unsure && g.failure(isNameFailure) != nil)
	_, dated := g.clockSkew()
	note("date", unsure && g.failureOf(probe.TLSDateInvalid) != nil && !dated)
	isHTTP := func(r *probe.Result) bool { return r.Kind == probe.KindHTTP }
	note("http", unsure && len(g.service) > 0 && g.untriedProbe(isHTTP) == nil &&
		!slices.ContainsFunc(g.service, isHTTP))
	note("sandbox", len(g.sandbox) == 0 && g.Expect.Sandbox != WantAny && unsure)
	return names
}
