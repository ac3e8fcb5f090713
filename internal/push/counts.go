package push

import "github.com/prometheus/client_golang/prometheus"

// How it went, as a label.
const (
	success = "success"
	failure = "failure"

	sent     = "sent"
	rejected = "rejected" // by the receiver, for good
	dropped  = "dropped"  // by the queue
)

// counts are the metrics of pushing itself.
type counts struct {
	samples, attempts *prometheus.CounterVec
	last              *prometheus.GaugeVec
}

func newCounts() *counts {
	return &counts{
		samples: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "netwatchd_push_samples_total", Help: "Samples that left the queue: sent, rejected by the receiver, or dropped."}, []string{"receiver", "result"}),
		attempts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "netwatchd_push_attempts_total", Help: "Requests made to the receiver, by result."}, []string{"receiver", "result"}),
		last: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "netwatchd_push_last_success_timestamp_seconds", Help: "When the receiver last took what it was sent; 0 for never."}, []string{"receiver"}),
	}
}

// begin has all of a receiver at 0: a rule on what was never there would miss the first time.
func (c *counts) begin(receiver string) {
	for _, result := range []string{sent, rejected, dropped} {
		c.samples.WithLabelValues(receiver, result)
	}
	for _, result := range []string{success, failure} {
		c.attempts.WithLabelValues(receiver, result)
	}
	c.last.WithLabelValues(receiver)
}

var queueDesc = prometheus.NewDesc("netwatchd_push_queue_bytes", "What waits for the receiver.", []string{"receiver"}, nil)

func (c *counts) describe(out chan<- *prometheus.Desc) {
	c.samples.Describe(out)
	c.attempts.Describe(out)
	c.last.Describe(out)
	out <- queueDesc
}

func (c *counts) collect(out chan<- prometheus.Metric) {
	c.samples.Collect(out)
	c.attempts.Collect(out)
	c.last.Collect(out)
}

func (c *counts) collectQueue(out chan<- prometheus.Metric, receiver string, bytes int64) {
	out <- prometheus.MustNewConstMetric(queueDesc, prometheus.GaugeValue, float64(bytes), receiver)
}
