package rules

import (
	"fmt"
	"time"

	"netwatchd/internal/causes"
	"netwatchd/internal/probe"
)

// self are the alerts about netwatchd itself.
func (b *builder) self() []Rule {
	return append(b.absent(), b.stale(), b.certificate(), b.reloadFailed(), b.fallingBehind(), b.pushFailing())
}

// silenceLabel distinguishes an outage from a gap.
const silenceLabel = "silence"

// absent distinguishes two kinds of silence. On a server, silence is an outage. On a host that is known to sleep it
// is a gap: WSL stops a distribution some seconds after its last window closes, even with services running, and a
// laptop sleeps when its lid closes. The alert on a gap fires only after a day, longer than any night.
func (b *builder) absent() []Rule {
	silent := fmt.Sprintf("(\n"+
		"  group by (job, instance) (up{job=%q} == 0)\n"+
		"or\n"+ // hosts that push have no up, and a target may be removed from the list
		"  (group by (job, instance) (last_over_time(netwatchd_build_info[7d])) unless on (job, instance) netwatchd_build_info)\n"+
		")\n", b.Job)
	const sleeper = "on (job, instance) (\n" +
		"  group by (job, instance) (last_over_time(netwatchd_host_info{platform=~\"wsl[12]\"}[7d]))\n" +
		"or\n" +
		"  group by (job, instance) (last_over_time(netwatchd_host_suspends_total[7d]) > 0)\n" +
		")"
	outage := Rule{Expr: silent + "unless " + sleeper, For: Duration(10 * time.Minute), // an upgrade with its reboot
		Labels: map[string]string{silenceLabel: "outage"}}
	gap := Rule{
		Expr:   silent + "and " + sleeper,
		For:    Duration(24 * time.Hour),
		Labels: map[string]string{silenceLabel: "gap"},
	}
	const name = "NetwatchdAbsent"
	return []Rule{
		b.alert(
			name,
			causes.Ticket,
			outage,
			"no data from netwatchd on {{ $labels.instance }}",
			"Prometheus has had no data from netwatchd on {{ $labels.instance }} (job {{ $labels.job }}) for 10 minutes, and that host is "+
				"not known to sleep: the daemon, the host or the network path to it is down. Its services are not monitored.",
			"Run systemctl status netwatchd on that host. If it is active, check the network path from Prometheus to it.",
		),
		b.alert(
			name,
			causes.Info,
			gap,
			"no data from netwatchd on {{ $labels.instance }} for a day",
			"Prometheus has had no data from netwatchd on {{ $labels.instance }} (job {{ $labels.job }}) for a day. That host is known to "+
				"sleep (it runs WSL, or was suspended before), so this is a gap, not an outage.",
			"Do nothing, unless the host should be awake. The runbook tells how to keep WSL running.",
		),
	}
}

// stale fires if a daemon responds but makes no attempts. It checks whether the counter grows, not timestamps,
// because the clock of a host that slept may be hours off.
func (b *builder) stale() Rule {
	within := b.quiet()
	r := Rule{
		Expr: fmt.Sprintf("sum by (job, instance) (increase(netwatchd_probe_runs_total[%[1]s])) == 0\n"+
			"unless on (job, instance) min_over_time(up{job=%[2]q}[%[1]s]) == 0\n"+
			"unless on (job, instance) increase(netwatchd_host_suspends_total[%[1]s]) > 0", within, b.Job),
		For: Duration(5 * time.Minute), // after a host wakes, there may be two scrapes and no round between them
	}
	return b.alert(
		"NetwatchdStale",
		causes.Ticket,
		r,
		"netwatchd on {{ $labels.instance }} responds but makes no attempts",
		fmt.Sprintf(
			"netwatchd on {{ $labels.instance }} (job {{ $labels.job }}) was scraped for %s without making an attempt, and the host "+
				"was not suspended: its verdicts are out of date.",
			within,
		),
		"Save its log (journalctl -u netwatchd), then restart it.",
	)
}

// quiet is how long a daemon of this configuration may go without an attempt: three of its shortest intervals, and at
// least ten minutes, so that a few failed scrapes do not matter.
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

// certificate fires for any certificate, also of a vendor: seven days are left only if a renewal has failed, because
// those that renew themselves do so weeks before. A service of ours is degraded a week earlier.
func (b *builder) certificate() Rule {
	r := Rule{
		Expr: `netwatchd_probe_tls_not_after_timestamp_seconds{vantage="host"} - time() < 7 * 86400`,
		For:  Duration(time.Hour), // servers behind one name get a renewed certificate one by one
	}
	return b.alert(
		"NetwatchdCertificateEnding",
		causes.Ticket,
		r,
		"a certificate of {{ $labels.service }} ends within a week",
		"The chain of certificates that probe {{ $labels.probe }} of {{ $labels.service }} gets on {{ $labels.instance }} ends in "+
			"{{ $value | humanizeDuration }}. Clients refuse the service after that.",
		"Renew the certificate, and find out why it was not renewed by itself.",
	)
}

func (b *builder) reloadFailed() Rule {
	r := Rule{
		Expr: "netwatchd_config_last_reload_successful == 0",
		For:  Duration(5 * time.Minute), // someone who edits the file reloads more than once
	}
	return b.alert(
		"NetwatchdConfigReloadFailed",
		causes.Ticket,
		r,
		"netwatchd on {{ $labels.instance }} rejected its new configuration",
		"The last reload of netwatchd on {{ $labels.instance }} (job {{ $labels.job }}) failed. The previous configuration stays active, "+
			"but netwatchd would not start with the new one.",
		"Run netwatchd config check on that host: it reports every error with its line.",
	)
}

// fallingBehind fires if one attempt in a hundred starts more than a tenth of a second late, where five milliseconds
// are promised, or if one in twenty is skipped.
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
		For: Duration(15 * time.Minute), // longer than the window, so that a short peak is not enough
	}
	return b.alert(
		"NetwatchdFallingBehind",
		causes.Ticket,
		r,
		"netwatchd on {{ $labels.instance }} cannot keep up with its schedule",
		"Attempts of netwatchd on {{ $labels.instance }} (job {{ $labels.job }}) start more than 0.1 s late (p99), or more than 5 % of them "+
			"are skipped. Verdicts come late, and latencies measure the host and not the network.",
		"Check the load of that host. If netwatchd causes it, lengthen intervals or distribute its probes over several hosts.",
	)
}

// ownHost lists the causes with which a host cannot judge the service.
func ownHost() []string {
	var names []string
	for c := range causes.All() {
		if c.Owner() == causes.OwnerHost && c.Fault() || c.Owner() == causes.OwnerNobody && !c.Usable() {
			names = append(names, c.String())
		}
	}
	return names
}

// fromHost matches the attempts at services that were made from the host.
var fromHost = fmt.Sprintf("vantage=%q,service!~\"host|resolvers|controls\"", probe.FromHost)
