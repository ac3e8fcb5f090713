package metrics

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// Build says which program this is.
type Build struct{ Version, Revision, GoVersion string }

// Codex says which agent was found; its zero value says that none was.
type Codex struct{ Version, Path, SandboxMode string }

// NewRegistry returns a registry with everything there is to export, and the counters that must hear of the watcher.
func NewRegistry(c *Collector, build Build, codex func() Codex) (*prometheus.Registry, *Counters) {
	c.counters = newCounters()
	r := prometheus.NewRegistry()
	r.MustRegister(
		c,
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "netwatchd_build_info", Help: "Which program this is; always 1.",
			ConstLabels: prometheus.Labels{"version": build.Version, "revision": build.Revision, "goversion": build.GoVersion},
		}, func() float64 { return 1 }),
		codexInfo{codex},
	)
	return r, c.counters
}

var codexDesc = desc("codex_info", "Which agent is installed, and how its sandbox is run; absent where none was found.", "version", "path", "sandbox_mode")

// codexInfo is read at the scrape: an agent is upgraded while the daemon runs.
type codexInfo struct{ find func() Codex }

func (codexInfo) Describe(out chan<- *prometheus.Desc) { out <- codexDesc }

func (c codexInfo) Collect(out chan<- prometheus.Metric) {
	if found := c.find(); found != (Codex{}) {
		out <- prometheus.MustNewConstMetric(codexDesc, prometheus.GaugeValue, 1, found.Version, found.Path, found.SandboxMode)
	}
}

// Host is what there is to say of the machine: on which platform it runs. Rules tell by it a host that is asleep from one
// that is down.
func Host(platform string) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "netwatchd_host_info", Help: "What this host runs on (linux, wsl1, wsl2); always 1.",
		ConstLabels: prometheus.Labels{"platform": platform},
	}, func() float64 { return 1 })
}
