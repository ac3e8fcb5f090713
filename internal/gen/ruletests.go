package gen

import (
	"fmt"
	"strings"
	"time"

	"netwatchd/internal/causes"
)

// announced is the contract with routes and people, written out by hand to detect mistakes in the table of causes.
var announced = []struct {
	cause    causes.Cause
	alert    string
	severity string
	hold     time.Duration
	more     string // labels beyond the usual ones
}{
	{cause: causes.SelfSandboxed, alert: "NetwatchdSandboxed", severity: "info"},
	{cause: causes.LocalPolicy, alert: "NetwatchdLocalPolicy", severity: "ticket", hold: time.Minute},
	{cause: causes.HostOffline, alert: "NetwatchdHostOffline", severity: "ticket", hold: 5 * time.Minute},
	{cause: causes.Proxy, alert: "NetwatchdProxyBroken", severity: "ticket", hold: 2 * time.Minute},
	{cause: causes.Resolver, alert: "NetwatchdResolverBroken", severity: "ticket", hold: 2 * time.Minute},
	{cause: causes.Interception, alert: "NetwatchdInterception", severity: "ticket", hold: 2 * time.Minute},
	{cause: causes.Clock, alert: "NetwatchdClockWrong", severity: "ticket", hold: 3 * time.Minute},
	{cause: causes.Path, alert: "NetwatchdPathBroken", severity: "ticket", hold: 5 * time.Minute},
	{cause: causes.EdgeBlocked, alert: "NetwatchdEdgeBlocked", severity: "ticket", hold: 10 * time.Minute},
	{cause: causes.Upstream, alert: "NetwatchdUpstreamOutage", severity: "page", hold: 3 * time.Minute},
	{cause: causes.UnexpectedAnswer, alert: "NetwatchdUnexpectedAnswer", severity: "ticket", hold: 15 * time.Minute},
	{cause: causes.Stream, alert: "NetwatchdStreamBroken", severity: "page", hold: 10 * time.Minute},
	{cause: causes.Account, alert: "NetwatchdAccount", severity: "ticket", hold: 5 * time.Minute},
	{cause: causes.Agent, alert: "NetwatchdAgentBroken", severity: "ticket", hold: 10 * time.Minute},
	{cause: causes.Sandbox, alert: "NetwatchdSandboxNetworkBlocked", severity: "ticket", hold: 2 * time.Minute},
	{cause: causes.SandboxOpen, alert: "NetwatchdSandboxNetworkOpen", severity: "ticket", more: `, category="security"`},
	{cause: causes.ResolverDegraded, alert: "NetwatchdResolverDegraded", severity: "info", hold: 15 * time.Minute},
	{cause: causes.IPv6, alert: "NetwatchdIPv6Broken", severity: "info", hold: 15 * time.Minute},
	{cause: causes.IPv4, alert: "NetwatchdIPv4Broken", severity: "info", hold: 15 * time.Minute},
	{cause: causes.Degraded, alert: "NetwatchdDegraded", severity: "info", hold: 15 * time.Minute},
	{cause: causes.Inconclusive, alert: "NetwatchdInconclusive", severity: "info", hold: 15 * time.Minute},
}

// step is the scrape and evaluation interval of the tests.
const step = time.Minute

// A timeline is a rule test of one cause: its samples, and when its alert must fire.
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

func (l *timeline) append(d time.Duration, cause, healthy, starting string) {
	for range d / step {
		l.cause, l.healthy, l.starting = append(l.cause, cause), append(l.healthy, healthy), append(l.starting, starting)
	}
}

func (l *timeline) recovered(d time.Duration) { l.append(d, "0", "1", "0") }
func (l *timeline) failing(d time.Duration)   { l.append(d, "1", "0", "0") }
func (l *timeline) restart(d time.Duration)   { l.append(d, "0", "0", "1") }

// silent is a failed scrape, after which Prometheus marks the series stale, and then no samples.
func (l *timeline) silent(d time.Duration) {
	l.append(step, "stale", "stale", "stale")
	l.append(d-step, "_", "_", "_")
}

// expect checks at the latest sample whether the alert fires.
func (l *timeline) expect(firing bool, why string) {
	l.checks = append(l.checks, check{l.now() - step, firing, why})
}

// timelineOf takes a cause with that hold through everything that can happen to it.
func timelineOf(hold time.Duration) *timeline {
	l := new(timeline)
	l.recovered(5 * time.Minute)
	l.expect(false, "healthy")
	if hold > 0 {
		l.failing(hold)
		l.expect(false, "one evaluation before the hold ends")
		l.recovered(5 * time.Minute)
		l.expect(false, "a short fault does not fire")
	}
	l.failing(hold + step)
	l.expect(true, "held")
	l.failing(5 * time.Minute)
	l.expect(true, "still firing")
	l.silent(2 * step)
	l.expect(true, "two failed scrapes are no recovery")
	l.failing(2 * time.Minute)
	l.expect(true, "and no new alert")
	l.restart(time.Minute)
	l.expect(true, "netwatchd restarted and has no verdict yet")
	l.failing(2 * time.Minute)
	l.expect(true, "still firing after the restart")
	l.recovered(2 * time.Minute)
	l.expect(true, "keeps firing")
	l.recovered(time.Minute)
	l.expect(false, "resolved")
	l.recovered(5 * time.Minute)
	if hold > step {
		l.failing(hold - step)
		l.silent(20 * time.Minute)
		l.expect(false, "the host sleeps before the hold ends")
		l.failing(hold)
		l.expect(false, "after the sleep the hold starts again")
		l.restart(time.Minute)
		l.recovered(2 * time.Minute)
		l.expect(false, "healthy after the sleep")
	} else {
		l.silent(20 * time.Minute)
		l.restart(time.Minute)
		l.expect(false, "the host sleeps and wakes")
	}
	return l
}

// series formats samples for promtool, equal ones as one term.
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

// ruleTests takes the alert of every cause through the same timeline. It also burns the error budget, which
// objective_test.yml tests.
func ruleTests(_ string, files map[string]string) error {
	var b strings.Builder
	b.WriteString("# Generated by `go generate ./internal/gen` from the table in internal/gen/ruletests.go.\n" +
		"rule_files: [netwatchd.rules.yml]\nevaluation_interval: 1m\ntests:\n")
	for _, a := range announced {
		l := timelineOf(a.hold)
		fmt.Fprintf(&b, "  - name: %s\n    interval: 1m\n    input_series:\n", a.alert)
		for _, s := range []struct {
			name, cause string
			samples     []string
		}{
			{"finding", a.cause.String(), l.cause},
			{"verdict", a.cause.String(), l.cause},
			{"verdict", causes.Healthy.String(), l.healthy},
			{"verdict", causes.Starting.String(), l.starting},
		} {
			fmt.Fprintf(
				&b,
				"      - series: 'netwatchd_%s{%s, cause=\"%s\"}'\n        values: '%s'\n",
				s.name,
				subject,
				s.cause,
				series(s.samples),
			)
		}
		b.WriteString("    promql_expr_test:\n")
		for _, c := range l.checks {
			fmt.Fprintf(
				&b,
				"      - {eval_time: %s, expr: 'ALERTS{alertname!~\"NetwatchdVerdict|NetwatchdErrorBudgetBurn\", alertstate=\"firing\"}', exp_samples: [",
				c.at,
			)
			if c.firing {
				fmt.Fprintf(
					&b,
					"{value: 1, labels: 'ALERTS{alertname=\"%s\", alertstate=\"firing\", severity=\"%s\", cause=\"%s\", %s%s}'}",
					a.alert,
					a.severity,
					a.cause,
					subject,
					a.more,
				)
			}
			fmt.Fprintf(&b, "]} # %s\n", c.why)
		}
	}
	files["deploy/prometheus/causes_test.yml"] = b.String()
	return nil
}
