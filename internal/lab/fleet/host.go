package fleet

import (
	"context"
	"iter"
	"log/slog"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"netwatchd/internal/causes"
	"netwatchd/internal/config"
	"netwatchd/internal/push"
)

// A Host pushes as a daemon does, but says what it is told to say. Hundreds fit into a process: of all that a daemon
// exports it has what the rules of a fleet ask for.
type Host struct {
	Name     string
	moments  atomic.Int64 // collected, for any receiver
	cause    atomic.Uint32
	registry *prometheus.Registry
	pusher   *push.Pusher
	stop     context.CancelFunc
	stopped  chan struct{}
}

// service is what all of them watch.
const service = "codex"

var (
	verdict = prometheus.NewDesc("netwatchd_verdict", "The cause that holds.", []string{"service", "cause"}, nil)
	finding = prometheus.NewDesc("netwatchd_finding", "Every cause found.", []string{"service", "cause"}, nil)
	build   = prometheus.NewDesc("netwatchd_build_info", "Always 1.", []string{"version"}, nil)
)

// StartHost starts a healthy host. It ends with the test.
func StartHost(t testing.TB, name string, receivers ...config.Receiver) *Host {
	t.Helper()
	h := &Host{Name: name, registry: prometheus.NewRegistry(), stopped: make(chan struct{})}
	h.Say(causes.Healthy)
	for i := range receivers {
		receivers[i].Labels = []config.Label{{Name: "instance", Value: name}, {Name: "job", Value: "netwatchd"}}
	}
	h.pusher = push.New(config.Push{RemoteWrite: receivers}, push.Options{
		Dir: filepath.Join(t.TempDir(), "push"), Version: "lab", Started: time.Now(), Log: slog.New(slog.DiscardHandler)})
	h.registry.MustRegister(h, h.pusher)
	ctx, stop := context.WithCancel(context.Background())
	h.stop = stop
	go func() {
		defer close(h.stopped)
		h.pusher.Run(ctx, h.gather)
	}()
	t.Cleanup(h.Stop)
	return h
}

func (h *Host) gather(context.Context) iter.Seq2[*dto.MetricFamily, error] {
	h.moments.Add(1)
	return func(yield func(*dto.MetricFamily, error) bool) {
		families, err := h.registry.Gather()
		if err != nil && !yield(nil, err) {
			return
		}
		for _, f := range families {
			if !yield(f, nil) {
				return
			}
		}
	}
}

// Say has the host name a cause from now on.
func (h *Host) Say(c causes.Cause) { h.cause.Store(uint32(c)) }

// Describe is for the registry.
func (h *Host) Describe(out chan<- *prometheus.Desc) { out <- verdict; out <- finding; out <- build }

// Collect is for the registry.
func (h *Host) Collect(out chan<- prometheus.Metric) {
	for c := range causes.All() {
		holds := 0.0
		if c == causes.Cause(h.cause.Load()) {
			holds = 1
		}
		for _, desc := range []*prometheus.Desc{verdict, finding} {
			out <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, holds, service, c.String())
		}
	}
	out <- prometheus.MustNewConstMetric(build, prometheus.GaugeValue, 1, "lab")
}

// Stop stops it as a daemon is stopped: what is queued is sent if the receiver takes it at once.
func (h *Host) Stop() {
	h.stop()
	<-h.stopped
}

// Sum is that of the host's own series of a metric which have these labels, names and values in turn.
func (h *Host) Sum(t testing.TB, metric string, labels ...string) float64 {
	t.Helper()
	sum := 0.0
	families, err := h.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.Metric {
			if f.GetName() == metric && has(m, labels) {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return sum
}

func has(m *dto.Metric, labels []string) bool {
	found := 0
	for _, l := range m.Label {
		for i := 0; i < len(labels); i += 2 {
			if l.GetName() == labels[i] && l.GetValue() == labels[i+1] {
				found++
			}
		}
	}
	return found == len(labels)/2
}
