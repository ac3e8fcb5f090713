package rules

import (
	"fmt"
	"time"

	"netwatchd/internal/diagnose"
	"netwatchd/internal/probe"
)

// self are the alerts on netwatchd itself.
func (b *builder) self() []Rule {
	return append(b.absent(), b.stale(), b.reloadFailed(), b.fallingBehind(), b.pushFailing())
}

// outage and gap are the two kinds of silence.
const silenceLabel = "silence"

// absent tells two kinds of silence apart. A server that falls silent has an outage. A host that is known to sleep leaves a
// gap: WSL stops a distribution some seconds after its last window closes, services or not, and a laptop closes its lid.
// Such a host is mentioned only when it stays away for a day, longer than any night.
func (b *builder) absent() []Rule {
	silent := fmt.Sprintf("(\n"+
		"  group by (job, instance) (up{job=%q} == 0)\n"+
		"or\n"+ // hosts that push have no up, and a target may be taken off the list
		"  (group by (job, instance) (last_over_time(netwatchd_build_info[7d])) unless on (job, instance) netwatchd_build_info)\n"+
		")\n", b.Job)
	const sleeper = "on (job, instance) (\n" +
		"  group by (job, instance) (last_over_time(netwatchd_host_info{platform=~\"wsl[12]\"}[7d]))\n" +
		"or\n" +
		"  group by (job, instance) (last_over_time(netwatchd_host_suspends_total[7d]) > 0)\n" +
		")"
	outage := Rule{Expr: silent + "unless " + sleeper, For: Duration(10 * time.Minute), // an upgrade with its reboot
		Labels: map[string]string{silenceLabel: "outage"}}
	gap := Rule{Expr: silent + "and " + sleeper, For: Duration(24 * time.Hour), Labels: map[string]string{silenceLabel: "gap"}}
	const name = "NetwatchdAbsent"
	return []Rule{
		b.alert(name, diagnose.Ticket, outage, "netwatchd on {{ $labels.instance }} is silent",
			"Nothing has been heard of netwatchd on {{ $labels.instance }} (job {{ $labels.job }}) for 10 minutes, and that host has not "+
				"been seen to sleep: the daemon, the host or the way to it is down. Nothing is known of its services meanwhile.",
			"Look at systemctl status netwatchd on that host; if it runs, look at the way from Prometheus to it."),
		b.alert(name, diagnose.Info, gap, "netwatchd on {{ $labels.instance }} has been away for a day",
			"Nothing has been heard of netwatchd on {{ $labels.instance }} (job {{ $labels.job }}) for a day. That host is known to sleep "+
				"(WSL, or it has been suspended before), so this is a gap, not an outage.",
			"Nothing, unless it should be awake: then see docs/runbooks on how to keep WSL running."),
	}
}

// stale is a daemon that answers but makes no attempts. It looks at whether the count moves, not at timestamps: the clock of
// a host that slept may be hours off.
func (b *builder) stale() Rule {
	within := b.quiet()
	r := Rule{
		Expr: fmt.Sprintf("sum by (job, instance) (increase(netwatchd_probe_runs_total[%[1]s])) == 0\n"+
			"unless on (job, instance) min_over_time(up{job=%[2]q}[%[1]s]) == 0\n"+
			"unless on (job, instance) increase(netwatchd_host_suspends_total[%[1]s]) > 0", within, b.Job),
		For: Duration(5 * time.Minute), // a host that has just come back has a window with two scrapes and no round between them
	}
	return b.alert("NetwatchdStale", diagnose.Ticket, r, "netwatchd on {{ $labels.instance }} answers, but makes no attempts",
		fmt.Sprintf("netwatchd on {{ $labels.instance }} (job {{ $labels.job }}) was scraped for %s without having made one attempt, and the host "+
			"was not suspended meanwhile: what it says is old.", within),
		"Restart it, and keep its log: journalctl -u netwatchd.")
}

// quiet is how long a daemon of this configuration may go without an attempt: three of its shortest intervals, and ten
// minutes at least, so that a handful of failed scrapes does not matter.
func (b *builder) quiet() Duration {
	var shortest time.Duration
	for _, s := range b.services {
		for _, p := range s.Probes {
			if shortest == 0 || p.Interval < shortest {
				shortest = p.Interval
			}
		}
	}
	return Duration(max(10*time.Minute, 3*shortest).Round(time.Minute))
}

func (b *builder) reloadFailed() Rule {
	r := Rule{
		Expr: "netwatchd_config_last_reload_successful == 0",
		For:  Duration(5 * time.Minute), // who edits a file reloads it more than once
	}
	return b.alert("NetwatchdConfigReloadFailed", diagnose.Ticket, r, "netwatchd on {{ $labels.instance }} refused its new configuration",
		"The last reload of netwatchd on {{ $labels.instance }} (job {{ $labels.job }}) failed. The configuration from before stays in force; "+
			"a restart would not come up with this one.",
		"Run netwatchd config check on that host: it names every fault with its line.")
}

// fallingBehind takes a hundredth of the attempts more than a tenth of a second late, where five milliseconds are promised,
// or one in twenty not made at all.
func (b *builder) fallingBehind() Rule {
	r := Rule{
		Expr: "(\n" +
			"  histogram_quantile(0.99, sum by (job, instance, le) (rate(netwatchd_scheduler_lag_seconds_bucket[10m]))) > 0.1\n" +
			"or\n" + // where only native histograms are scraped
			"  histogram_quantile(0.99, sum by (job, instance) (rate(netwatchd_scheduler_lag_seconds[10m]))) > 0.1\n" +
			"or\n" +
			"  sum by (job, instance) (rate(netwatchd_scheduler_missed_runs_total[10m]))\n" +
			"    / (sum by (job, instance) (rate(netwatchd_scheduler_missed_runs_total[10m])) + sum by (job, instance) (rate(netwatchd_probe_runs_total[10m])))\n" +
			"    > 0.05\n" +
			")\n" +
			"unless on (job, instance) increase(netwatchd_host_suspends_total[30m]) > 0",
		For: Duration(15 * time.Minute), // longer than the window, so that one bad moment is not enough
	}
	return b.alert("NetwatchdFallingBehind", diagnose.Ticket, r, "netwatchd on {{ $labels.instance }} cannot keep up with its schedule",
		"Attempts of netwatchd on {{ $labels.instance }} (job {{ $labels.job }}) begin more than 0.1 s late (p99) or more than 5 % of them are not "+
			"made: verdicts come late, and latencies measure this host rather than the network.",
		"Look at the load of that host; if netwatchd makes it, lengthen intervals or split its probes between hosts.")
}

// ownHost lists the causes for which nothing can be said of the service.
func ownHost() []string {
	var causes []string
	for c := range diagnose.Causes() {
		if c <= diagnose.Clock { // Inconclusive, what is not ready, and what this host does
			causes = append(causes, c.String())
		}
	}
	return causes
}

// fromHost is what the daemon's own attempts from the host look like in PromQL, without those about the environment.
var fromHost = fmt.Sprintf("vantage=%q,service!~\"host|resolvers|controls\"", probe.FromHost)
