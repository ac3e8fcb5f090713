package push

import "github.com/prometheus/client_golang/prometheus"

// Values of the label result.
const (
	success = "success"
	failure = "failure"

	sent     = "sent"
	rejected = "rejected" // by the receiver, permanently
	dropped  = "dropped"  // by the queue
)

// pushMetrics are the metrics about pushing itself.
type pushMetrics struct {
	samples, attempts, damaged *prometheus.CounterVec
	last                       *prometheus.GaugeVec
}

func newPushMetrics() *pushMetrics {
	return &pushMetrics{
		samples: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "netwatchd_push_samples_total",
			Help: "Samples that left the queue: sent, rejected by the receiver, or dropped by the queue.",
		}, []string{"receiver", "result"}),
		attempts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "netwatchd_push_attempts_total",
			Help: "Requests sent to the receiver, by result.",
		}, []string{"receiver", "result"}),
		damaged: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "netwatchd_push_damaged_entries_total",
			Help: "Damaged entries of the queue that were set aside instead of being sent.",
		}, []string{"receiver"}),
		last: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "netwatchd_push_last_success_timestamp_seconds",
			Help: "When the receiver last accepted a request; 0 if never.",
		}, []string{"receiver"}),
	}
}

// initialize exports all counters of a receiver as 0, because increase() misses the first increment of a new series.
func (c *pushMetrics) initialize(receiver string) {
	for _, result := range []string{sent, rejected, dropped} {
		c.samples.WithLabelValues(receiver, result)
	}
	for _, result := range []string{success, failure} {
		c.attempts.WithLabelValues(receiver, result)
	}
	c.damaged.WithLabelValues(receiver)
	c.last.WithLabelValues(receiver)
}

var queueDesc = prometheus.NewDesc(
	"netwatchd_push_queue_bytes",
	"Size of the queue of samples waiting for the receiver.",
	[]string{"receiver"},
	nil,
)

func (c *pushMetrics) describe(out chan<- *prometheus.Desc) {
	c.samples.Describe(out)
	c.attempts.Describe(out)
	c.damaged.Describe(out)
	c.last.Describe(out)
	out <- queueDesc
}

func (c *pushMetrics) collect(out chan<- prometheus.Metric) {
	c.samples.Collect(out)
	c.attempts.Collect(out)
	c.damaged.Collect(out)
	c.last.Collect(out)
}

func (c *pushMetrics) collectQueue(out chan<- prometheus.Metric, receiver string, bytes int64) {
	out <- prometheus.MustNewConstMetric(queueDesc, prometheus.GaugeValue, float64(bytes), receiver)
}
