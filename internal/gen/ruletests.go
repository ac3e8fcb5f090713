package gen

import (
	"fmt"
	"strings"
	"time"

	"netwatchd/internal/diagnose"
)

// announced is the contract with routes and people, written out so that a slip in the table shows.
var announced = []struct {
	cause    diagnose.Cause
	alert    string
	severity string
	hold     time.Duration
	more     string // labels beside the usual ones
}{
	{cause: diagnose.SelfSandboxed, alert: "NetwatchdSandboxed", severity: "info"},
	{cause: diagnose.LocalPolicy, alert: "CodexLocalPolicy", severity: "ticket", hold: time.Minute},
	{cause: diagnose.HostOffline, alert: "CodexHostOffline", severity: "ticket", hold: 5 * time.Minute},
	{cause: diagnose.Proxy, alert: "CodexProxyBroken", severity: "ticket", hold: 2 * time.Minute},
	{cause: diagnose.Resolver, alert: "CodexResolverBroken", severity: "ticket", hold: 2 * time.Minute},
	{cause: diagnose.Interception, alert: "CodexInterception", severity: "ticket", hold: 2 * time.Minute},
	{cause: diagnose.Clock, alert: "CodexClockWrong", severity: "ticket", hold: 3 * time.Minute},
	{cause: diagnose.EdgeBlocked, alert: "CodexEdgeBlocked", severity: "ticket", hold: 10 * time.Minute},
	{cause: diagnose.Upstream, alert: "CodexUpstreamOutage", severity: "page", hold: 3 * time.Minute},
	{cause: diagnose.UnexpectedAnswer, alert: "CodexUnexpectedAnswer", severity: "ticket", hold: 15 * time.Minute},
	{cause: diagnose.Stream, alert: "CodexStreamBroken", severity: "page", hold: 10 * time.Minute},
	{cause: diagnose.Account, alert: "CodexAccount", severity: "ticket", hold: 5 * time.Minute},
	{cause: diagnose.Agent, alert: "CodexAgentBroken", severity: "ticket", hold: 10 * time.Minute},
	{cause: diagnose.Sandbox, alert: "CodexSandboxNetworkBlocked", severity: "ticket", hold: 2 * time.Minute},
	{cause: diagnose.SandboxOpen, alert: "CodexSandboxNetworkOpen", severity: "ticket", more: `, category="security"`},
	{cause: diagnose.ResolverDegraded, alert: "CodexResolverDegraded", severity: "info", hold: 15 * time.Minute},
	{cause: diagnose.IPv6, alert: "CodexIPv6Broken", severity: "info", hold: 15 * time.Minute},
	{cause: diagnose.IPv4, alert: "CodexIPv4Broken", severity: "info", hold: 15 * time.Minute},
	{cause: diagnose.Degraded, alert: "CodexDegraded", severity: "info", hold: 15 * time.Minute},
	{cause: diagnose.Inconclusive, alert: "CodexInconclusive", severity: "info", hold: 15 * time.Minute},
}

// step is how often the tests scrape and evaluate.
const step = time.Minute

// A timeline is the life of one cause in a rule test: its samples, and when its alert is expected to fire.
type timeline struct {
	cause, healthy, starting []string
	checks                   []check
}

type check struct {
	at     time.Duration
	firing bool
	why    string
}

func (l *timeline) now() time.Duration { return time.Duration(len(l.cause)) * step }

func (l *timeline) last(d time.Duration, cause, healthy, starting string) {
	for range d / step {
		l.cause, l.healthy, l.starting = append(l.cause, cause), append(l.healthy, healthy), append(l.starting, starting)
	}
}

func (l *timeline) well(d time.Duration)    { l.last(d, "0", "1", "0") }
func (l *timeline) ill(d time.Duration)     { l.last(d, "1", "0", "0") }
func (l *timeline) restart(d time.Duration) { l.last(d, "0", "0", "1") }

// silent is a scrape that fails, which Prometheus notes, and then nothing.
func (l *timeline) silent(d time.Duration) {
	l.last(step, "stale", "stale", "stale")
	l.last(d-step, "_", "_", "_")
}

// expect says whether the alert fires at the latest sample.
func (l *timeline) expect(firing bool, why string) {
	l.checks = append(l.checks, check{l.now() - step, firing, why})
}

// lifeOf leads a cause that is held for so long through all that may happen to it.
func lifeOf(hold time.Duration) *timeline {
	l := new(timeline)
	l.well(5 * time.Minute)
	l.expect(false, "all is well")
	if hold > 0 {
		l.ill(hold)
		l.expect(false, "one evaluation short of its hold")
		l.well(5 * time.Minute)
		l.expect(false, "what passes by itself is not announced")
	}
	l.ill(hold + step)
	l.expect(true, "held")
	l.ill(5 * time.Minute)
	l.expect(true, "still there")
	l.silent(2 * step)
	l.expect(true, "two failed scrapes are no recovery")
	l.ill(2 * time.Minute)
	l.expect(true, "and no news either")
	l.restart(time.Minute)
	l.expect(true, "netwatchd was restarted and has not judged yet")
	l.ill(2 * time.Minute)
	l.expect(true, "still there after the restart")
	l.well(2 * time.Minute)
	l.expect(true, "not yet taken for a recovery")
	l.well(time.Minute)
	l.expect(false, "resolved")
	l.well(5 * time.Minute)
	if hold > step {
		l.ill(hold - step)
		l.silent(20 * time.Minute)
		l.expect(false, "the host sleeps: what was not seen to last is not announced")
		l.ill(hold)
		l.expect(false, "and after the sleep the hold begins anew")
		l.restart(time.Minute)
		l.well(2 * time.Minute)
		l.expect(false, "well after the sleep")
	} else {
		l.silent(20 * time.Minute)
		l.restart(time.Minute)
		l.expect(false, "the host sleeps and wakes")
	}
	return l
}

// series writes samples the way promtool reads them, runs of the same in one word.
func series(samples []string) string {
	var words []string
	for i := 0; i < len(samples); {
		n := 1
		for i+n < len(samples) && samples[i+n] == samples[i] {
			n++
		}
		switch {
		case n == 1:
			words = append(words, samples[i])
		case samples[i] == "_":
			words = append(words, fmt.Sprintf("_x%d", n))
		default:
			words = append(words, fmt.Sprintf("%sx%d", samples[i], n-1))
		}
		i += n
	}
	return strings.Join(words, " ")
}

const subject = `job="netwatchd", instance="desk:19405", service="codex"`

// ruleTests leads the alert of every cause through the same life, so bad a day that it spends the budget as well:
// objective_test.yml is about that.
func ruleTests(_ string, files map[string]string) error {
	var b strings.Builder
	b.WriteString("# Made by `go generate ./internal/gen` from the table in internal/gen/ruletests.go.\n" +
		"rule_files: [netwatchd.rules.yml]\nevaluation_interval: 1m\ntests:\n")
	for _, a := range announced {
		l := lifeOf(a.hold)
		fmt.Fprintf(&b, "  - name: %s\n    interval: 1m\n    input_series:\n", a.alert)
		for _, s := range []struct {
			name, cause string
			samples     []string
		}{
			{"finding", a.cause.String(), l.cause},
			{"verdict", a.cause.String(), l.cause},
			{"verdict", diagnose.Healthy.String(), l.healthy},
			{"verdict", diagnose.Starting.String(), l.starting},
		} {
			fmt.Fprintf(&b, "      - series: 'netwatchd_%s{%s, cause=\"%s\"}'\n        values: '%s'\n", s.name, subject, s.cause, series(s.samples))
		}
		b.WriteString("    promql_expr_test:\n")
		for _, c := range l.checks {
			fmt.Fprintf(&b, "      - {eval_time: %s, expr: 'ALERTS{alertname!~\"NetwatchdVerdict|CodexErrorBudgetBurn\", alertstate=\"firing\"}', exp_samples: [", c.at)
			if c.firing {
				fmt.Fprintf(&b, "{value: 1, labels: 'ALERTS{alertname=\"%s\", alertstate=\"firing\", severity=\"%s\", cause=\"%s\", %s%s}'}",
					a.alert, a.severity, a.cause, subject, a.more)
			}
			fmt.Fprintf(&b, "]} # %s\n", c.why)
		}
	}
	files["deploy/prometheus/causes_test.yml"] = b.String()
	return nil
}
