package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"netwatchd/internal/shortage"
)

// Connections are those to the page, the API and the metrics.
type Connections struct {
	Open, Limit int
	Closed      uint64 // for others, because the limit was reached
}

var (
	connectionsDesc = prometheus.NewDesc("netwatchd_web_connections",
		"Open connections to the page, the API and the metrics.", nil, nil)
	connectionLimitDesc = prometheus.NewDesc("netwatchd_web_connections_limit",
		"How many connections are served at once: 512, or a quarter of the descriptors if that is less.", nil, nil)
	connectionsClosedDesc = prometheus.NewDesc("netwatchd_web_connections_closed_total",
		"Connections that were closed for others because there were too many.", nil, nil)
	shortagesDesc = prometheus.NewDesc("netwatchd_resource_shortages_total",
		"How often this host had no descriptors, sockets or memory left, by the part of the daemon.", []string{"where"}, nil)
	lastShortageDesc = prometheus.NewDesc("netwatchd_last_resource_shortage_timestamp_seconds",
		"When this host last had no descriptors, sockets or memory left; 0 if never.", nil, nil)
)

// connections exports the counts of connections.
type connections func() Connections

func (connections) Describe(out chan<- *prometheus.Desc) {
	out <- connectionsDesc
	out <- connectionLimitDesc
	out <- connectionsClosedDesc
}

func (c connections) Collect(out chan<- prometheus.Metric) {
	now := c()
	out <- prometheus.MustNewConstMetric(connectionsDesc, prometheus.GaugeValue, float64(now.Open))
	out <- prometheus.MustNewConstMetric(connectionLimitDesc, prometheus.GaugeValue, float64(now.Limit))
	out <- prometheus.MustNewConstMetric(connectionsClosedDesc, prometheus.CounterValue, float64(now.Closed))
}

// shortages exports the shortages of the process.
type shortages struct{}

func (shortages) Describe(out chan<- *prometheus.Desc) {
	out <- shortagesDesc
	out <- lastShortageDesc
}

func (shortages) Collect(out chan<- prometheus.Metric) {
	for _, p := range shortage.All() {
		out <- prometheus.MustNewConstMetric(shortagesDesc, prometheus.CounterValue, float64(shortage.Count(p)), p.String())
	}
	at := 0.0
	if last := shortage.Last(); !last.At.IsZero() {
		at = unix(last.At)
	}
	out <- prometheus.MustNewConstMetric(lastShortageDesc, prometheus.GaugeValue, at)
}
