package rules

import (
	"time"

	"netwatchd/internal/causes"
)

// pushFailing fires if a receiver accepts nothing or samples were lost. It compares counters, not timestamps, because
// the clock of a host that slept may be hours off. For a host that only pushes it fires after the receiver is back:
// then the queue delivers these counters with the times of the gap.
func (b *builder) pushFailing() Rule {
	r := Rule{
		Expr: "(\n" +
			"  sum by (job, instance, receiver) (increase(netwatchd_push_samples_total{result!=\"sent\"}[1h])) > 0\n" +
			"or\n" +
			"  sum by (job, instance, receiver) (increase(netwatchd_push_attempts_total{result=\"failure\"}[15m])) > 0\n" +
			"  unless on (job, instance, receiver) increase(netwatchd_push_attempts_total{result=\"success\"}[15m]) > 0\n" +
			")",
		For: Duration(5 * time.Minute), // a receiver that restarts is back within one or two minutes
	}
	return b.alert(
		"NetwatchdPushFailing",
		causes.Ticket,
		r,
		"netwatchd on {{ $labels.instance }} cannot push to {{ $labels.receiver }}",
		"The receiver {{ $labels.receiver }} has accepted nothing from netwatchd on {{ $labels.instance }} (job {{ $labels.job }}) for 15 "+
			"minutes, or samples were lost within the last hour: rejected by the receiver or dropped by the queue.",
		"The log of that host tells why: journalctl -u netwatchd | grep -i -e push -e sample.",
	)
}
