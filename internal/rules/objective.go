package rules

import (
	"fmt"
	"strings"
	"time"

	"netwatchd/internal/diagnose"
)

// sampled is how often availability is recorded, as often as a ladder is looked at by default. Shares of a window are counted
// in these samples against the whole window, so that time in which nobody looked (a host asleep, offline or just started)
// spends nothing: a minute of failure after a night of sleep is not an hour of it.
const sampled = 30 * time.Second

const (
	failedNow = "instance_service:netwatchd_failed:now"
	failedIn  = "instance_service:netwatchd_failed:ratio"
)

// failing is the cause that spends the budget. A broken stream does not: it is tried every five minutes by default, too
// seldom for a rate, and its own alert would come after this one.
const failing = diagnose.Upstream

// windows of the burn rates, as the SRE workbook has them ("Alerting on SLOs", multiwindow, multi-burn-rate alerts).
var windows = []time.Duration{5 * time.Minute, 30 * time.Minute, time.Hour, 2 * time.Hour, 6 * time.Hour, 24 * time.Hour, 72 * time.Hour}

// availability records what the objective stands on.
func (b *builder) availability() []Rule {
	all := []Rule{{
		// A service in a large configuration shows only the causes it has had: it is available as long as it shows any other.
		Record: failedNow,
		Expr: fmt.Sprintf("(\n"+
			"  max by (job, instance, service) (netwatchd_verdict{cause=%q})\n"+
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
			Expr: fmt.Sprintf("sum by (job, instance, service, probe) (rate(netwatchd_probe_runs_total{result=\"success\",%[1]s}[5m]))\n"+
				"/ (sum by (job, instance, service, probe) (rate(netwatchd_probe_runs_total{%[1]s}[5m])) > 0)", fromHost),
		})
}

// short writes a window as it stands in a series' name: 5m, 1h, 3d.
func short(d time.Duration) string {
	if d%(24*time.Hour) == 0 {
		return fmt.Sprintf("%dd", d/(24*time.Hour))
	}
	return Duration(d).String()
}

// objective are the alerts on how fast the budget of failure is spent. What lasts is announced by its own cause first; these
// are for what comes and goes, too short each time to be held.
func (b *builder) objective() []Rule {
	var all []Rule
	for _, of := range b.severities(failing, diagnose.Page) {
		// Whoever has been told of the outage within the hour need not be told again what it cost.
		told := fmt.Sprintf("\nunless %s max_over_time(ALERTS{alertname=%q,alertstate=\"firing\"}[1h])", perService, Name(failing))
		fast := b.burns(of, 14.4, time.Hour, 5*time.Minute) + "\nor\n" + b.burns(of, 6, 6*time.Hour, 30*time.Minute)
		// Three minutes, as for an outage: longer than the sandbox alert that may silence it.
		all = append(all, b.burn(of.severity, "fast", "(\n"+fast+"\n)"+told, failing.About().Hold,
			"at this rate a month's worth is gone within days"))
	}
	for _, of := range b.severities(failing, diagnose.Ticket) {
		slow := b.burns(of, 3, 24*time.Hour, 2*time.Hour) + "\nor\n" + b.burns(of, 1, 72*time.Hour, 6*time.Hour)
		all = append(all, b.burn(of.severity, "slow", slow, time.Hour, "at this rate it will not last the month"))
	}
	return all
}

func (b *builder) burn(severity diagnose.Severity, pace, expr string, hold time.Duration, meaning string) Rule {
	r := Rule{Expr: expr, For: Duration(hold), KeepFiringFor: Duration(keepFiring),
		// the cause lets what explains an outage silence its cost as well
		Labels: map[string]string{"burn": pace, "cause": failing.String()}}
	return b.alert("CodexErrorBudgetBurn", severity, r,
		"{{ $labels.service }} fails too often: "+meaning+" ({{ $labels.instance }})",
		fmt.Sprintf("Seen from {{ $labels.instance }}, {{ $labels.service }} was down ({{ $value | humanizePercentage }} of the time looked at) for its own "+
			"reasons, not this host's, more than an objective of %g %% allows.", b.Objective*100),
		evidence, "Look at when and how it failed on the dashboard; if it only flaps, hold the service's status page against it.")
}

func (b *builder) burns(of selection, rate float64, long, brief time.Duration) string {
	services := strings.TrimPrefix(of.matcher, ",")
	if services != "" {
		services = "{" + services + "}"
	}
	bound := fmt.Sprintf("%.4g", rate*(1-b.Objective))
	return fmt.Sprintf("  (%[1]s%[2]s%[4]s > %[5]s and %[1]s%[3]s%[4]s > %[5]s)", failedIn, short(long), short(brief), services, bound)
}
