package rules

import (
	"time"

	"netwatchd/internal/diagnose"
)

// pushFailing is a receiver that does not take what it is sent, or has cost samples. It looks at counts, not at timestamps: the
// clock of a host that slept may be hours off. A host that only pushes is heard of when its receiver is back: then the queue
// tells of the gap, with its times, and what was lost in it.
func (b *builder) pushFailing() Rule {
	r := Rule{
		Expr: "(\n" +
			"  sum by (job, instance, receiver) (increase(netwatchd_push_samples_total{result!=\"sent\"}[1h])) > 0\n" +
			"or\n" +
			"  sum by (job, instance, receiver) (increase(netwatchd_push_attempts_total{result=\"failure\"}[15m])) > 0\n" +
			"  unless on (job, instance, receiver) increase(netwatchd_push_attempts_total{result=\"success\"}[15m]) > 0\n" +
			")",
		For: Duration(5 * time.Minute), // a receiver that restarts is back within one or two
	}
	return b.alert("NetwatchdPushFailing", diagnose.Ticket, r, "netwatchd on {{ $labels.instance }} cannot push to {{ $labels.receiver }}",
		"The receiver {{ $labels.receiver }} has taken nothing of what netwatchd on {{ $labels.instance }} (job {{ $labels.job }}) sent it for 15 "+
			"minutes, or samples were lost within the last hour: refused, or dropped by a queue that is full.",
		"Look at the log of that host: journalctl -u netwatchd | grep push says why.")
}
