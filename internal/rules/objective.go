package rules

import (
	"fmt"
	"strings"
	"time"

	"netwatchd/internal/causes"
)

// sampled is how often availability is recorded: the default interval of probes. The share of a window is the failed
// samples divided by all samples that fit in the window, so that time without a verdict (the host asleep, offline or
// just started) spends no budget: a minute of failure after a night of sleep does not count as an hour.
const sampled = 30 * time.Second

const (
	failedNow = "instance_service:netwatchd_failed:now"
	failedIn  = "instance_service:netwatchd_failed:ratio"
)

// failing is the cause that spends the budget; see also partly. A broken stream does not: it is probed every five
// minutes by default, too rarely for a rate, and its own alert would fire after this one.
const failing = causes.Upstream

// burnName is the alert on the error budget.
const burnName = "NetwatchdErrorBudgetBurn"

// partly is the share of requests that fail while the others succeed. What this host's resolver or proxy fails does not
// count.
const partly = `netwatchd_intermittent_failure_ratio{kind="http",class!~"(local|dns|proxy)[.].*"}`

// windows are those of the burn rates in the SRE workbook ("Alerting on SLOs", multiwindow, multi-burn-rate alerts).
var windows = []time.Duration{
	5 * time.Minute,
	30 * time.Minute,
	time.Hour,
	2 * time.Hour,
	6 * time.Hour,
	24 * time.Hour,
	72 * time.Hour,
}

// availability records the series that the objective alerts use.
func (b *builder) availability() []Rule {
	all := []Rule{{
		// In a large configuration a service exports only the causes it has had. It is available while it exports any
		// other.
		Record: failedNow,
		Expr: fmt.Sprintf("(\n"+
			"  max by (job, instance, service) (netwatchd_verdict{cause=%q} or "+partly+")\n"+
			"or\n"+
			"  0 * max by (job, instance, service) (netwatchd_verdict)\n"+
			")\n"+
			"unless %s netwatchd_verdict{cause=~%q} == 1", failing, perService, strings.Join(ownHost(), "|")),
	}}
	for _, w := range windows {
		all = append(all, Rule{
			Record: failedIn + short(w),
			Expr:   fmt.Sprintf("sum_over_time(%s[%s]) / %d", failedNow, short(w), w/sampled),
		})
	}
	return append(all,
		Rule{
			Record: "instance_service:netwatchd_available:ratio30d",
			Expr:   fmt.Sprintf("1 - avg_over_time(%s[30d])", failedNow),
		},
		Rule{
			Record: "instance_service_probe:netwatchd_probe_success:ratio_rate5m",
			Expr: fmt.Sprintf(
				"sum by (job, instance, service, probe) (rate(netwatchd_probe_runs_total{result=\"success\",%[1]s}[5m]))\n"+
					"/ (sum by (job, instance, service, probe) (rate(netwatchd_probe_runs_total{%[1]s}[5m])) > 0)",
				fromHost,
			),
		})
}

// short formats a window for the name of a series: 5m, 1h, 3d.
func short(d time.Duration) string {
	if d%(24*time.Hour) == 0 {
		return fmt.Sprintf("%dd", d/(24*time.Hour))
	}
	return Duration(d).String()
}

// objective returns the alerts on how fast the error budget is spent. A long outage fires the alert of its cause
// first; these alerts are for outages that come and go, each shorter than the hold of its cause.
func (b *builder) objective() []Rule {
	var all []Rule
	for _, of := range b.severities(failing, causes.Page) {
		// Do not notify people again of the cost of an outage they were notified of within the hour.
		announced := fmt.Sprintf(
			"\nunless %s max_over_time(ALERTS{alertname=%q,alertstate=\"firing\"}[1h])",
			perService,
			b.name(Name(failing)),
		)
		fast := b.burns(of, 14.4, time.Hour, 5*time.Minute) + "\nor\n" + b.burns(of, 6, 6*time.Hour, 30*time.Minute)
		// Held as long as an outage: longer than the sandbox alert that may silence it.
		all = append(all, b.burn(of.severity, "fast", "(\n"+fast+"\n)"+announced, failing.About().Hold,
			"at this rate a month's error budget is spent within days"))
	}
	for _, of := range b.severities(failing, causes.Ticket) {
		slow := b.burns(of, 3, 24*time.Hour, 2*time.Hour) + "\nor\n" + b.burns(of, 1, 72*time.Hour, 6*time.Hour)
		all = append(
			all,
			b.burn(of.severity, "slow", slow, time.Hour, "at this rate the error budget is spent before the month ends"),
		)
	}
	return all
}

func (b *builder) burn(severity causes.Severity, pace, expr string, hold time.Duration, meaning string) Rule {
	r := Rule{Expr: expr, For: Duration(hold), KeepFiringFor: Duration(keepFiring),
		// With this label, what silences the outage also silences this alert.
		Labels: map[string]string{"burn": pace, "cause": failing.String()}}
	return b.alert(
		burnName,
		severity,
		r,
		"{{ $labels.service }} fails too often: "+meaning+" ({{ $labels.instance }})",
		fmt.Sprintf(
			"Seen from {{ $labels.instance }}, {{ $labels.service }} was down for {{ $value | humanizePercentage }} of the time window. "+
				"The objective of %g %% allows less. Faults of this host are not counted.",
			b.Objective*100,
		),
		evidence,
		"See on the dashboard when and how it failed, and compare that with the service's status page.",
	)
}

func (b *builder) burns(of selection, rate float64, long, brief time.Duration) string {
	services := strings.TrimPrefix(of.matcher, ",")
	if services != "" {
		services = "{" + services + "}"
	}
	bound := fmt.Sprintf("%.4g", rate*(1-b.Objective))
	return fmt.Sprintf(
		"  (%[1]s%[2]s%[4]s > %[5]s and %[1]s%[3]s%[4]s > %[5]s)",
		failedIn,
		short(long),
		short(brief),
		services,
		bound,
	)
}
