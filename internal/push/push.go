// Package push sends the daemon's metrics to receivers that cannot scrape it.
//
// Each receiver has its own interval and its own queue on disk, which survives a restart. Every snapshot goes into
// the queue, whether the receiver is reachable or not, and is sent in order, with the time at which it was gathered.
// Delivery is at least once: what was accepted just before the daemon was killed is sent again.
package push

import (
	"context"
	"hash/fnv"
	"iter"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"netwatchd/internal/config"
)

// A Gather yields all metrics of one point in time, family by family. The caller may keep what it yields. An error
// concerns only its own family.
type Gather func(context.Context) iter.Seq2[*dto.MetricFamily, error]

// Options are common to all receivers.
type Options struct {
	Dir     string    // holds the queues, each in a directory named after its receiver
	Version string    // of the program, for the User-Agent
	Started time.Time // the created timestamp of counters that have none
	Log     *slog.Logger
	Now     func() time.Time // nil is time.Now
}

// A Pusher pushes to any number of receivers. It is also the prometheus.Collector of its own metrics.
type Pusher struct {
	metrics   *pushMetrics
	receivers []*receiver
}

// New returns a Pusher. Nothing is sent before Run.
func New(c config.Push, o Options) *Pusher {
	if o.Now == nil {
		o.Now = time.Now
	}
	p := &Pusher{metrics: newPushMetrics()}
	add := func(r config.Receiver, s sender) {
		p.receivers = append(p.receivers, newReceiver(r, s, o, p.metrics))
	}
	for _, r := range c.RemoteWrite {
		add(r, newRemoteWrite(r, o))
	}
	for _, r := range c.OTLP {
		add(r, newOTLP(r, o))
	}
	return p
}

// Run pushes until ctx ends. It then marks all series stale and waits up to shutdownFlush for delivery. What is not
// delivered by then is sent after the next start.
func (p *Pusher) Run(ctx context.Context, gather Gather) {
	var all sync.WaitGroup
	for _, r := range p.receivers {
		all.Go(func() { r.run(ctx, gather) })
	}
	all.Wait()
}

// Describe implements prometheus.Collector.
func (p *Pusher) Describe(out chan<- *prometheus.Desc) { p.metrics.describe(out) }

// Collect implements prometheus.Collector.
func (p *Pusher) Collect(out chan<- prometheus.Metric) {
	p.metrics.collect(out)
	for _, r := range p.receivers {
		r.metrics.collectQueue(out, r.conf.Name, r.spool.bytes())
	}
}

// A receiver collects, queues and sends the metrics for one endpoint.
type receiver struct {
	conf    config.Receiver
	sender  sender
	spool   *spool
	tracker *tracker
	metrics *pushMetrics
	log     *slog.Logger
	now     func() time.Time

	failing time.Time // since when every attempt has failed; zero while attempts succeed
	refusal string    // the receiver's latest refusal, as logged; empty after a success
}

func newReceiver(conf config.Receiver, s sender, o Options, c *pushMetrics) *receiver {
	log := o.Log.With("receiver", conf.Name)
	r := &receiver{conf: conf, sender: s, tracker: newTracker(o.Started), metrics: c, log: log, now: o.Now}
	r.spool = newSpool(filepath.Join(o.Dir, conf.Name), conf.Queue, func(samples int, why string) {
		c.samples.WithLabelValues(conf.Name, dropped).Add(float64(samples))
		log.Warn("dropped samples", "samples", samples, "because", why)
	}, func(samples int, file string, why error) {
		c.samples.WithLabelValues(conf.Name, dropped).Add(float64(samples))
		c.damaged.WithLabelValues(conf.Name).Inc()
		log.Error("set aside a damaged entry of the push queue", "samples", samples, "file", file, "error", why)
	})
	c.initialize(conf.Name)
	return r
}

// shutdownFlush is how long a stopping daemon waits for its last samples to be accepted.
const shutdownFlush = 2 * time.Second

func (r *receiver) run(ctx context.Context, gather Gather) {
	if err := r.spool.open(); err != nil {
		r.log.Error("cannot keep the push queue on disk: undelivered samples are lost when the daemon stops", "error", err)
	}
	defer r.spool.close()
	delivering, stop := context.WithCancel(context.Background())
	defer stop()
	closing := make(chan struct{})
	var delivery sync.WaitGroup
	delivery.Go(func() { r.deliver(delivering, closing) })
	r.collect(ctx, gather)
	r.enqueue(r.tracker.allStale())
	close(closing)
	defer time.AfterFunc(shutdownFlush, stop).Stop()
	delivery.Wait()
}

// collect fills the queue at every interval. Each host has its own offset within the interval, so that hosts started
// together do not push together.
func (r *receiver) collect(ctx context.Context, gather Gather) {
	offset := time.NewTimer(r.offset())
	defer offset.Stop()
	select {
	case <-offset.C:
	case <-ctx.Done():
		return
	}
	tick := time.NewTicker(r.conf.Interval)
	defer tick.Stop()
	for {
		r.enqueue(r.tracker.next(r.gathered(ctx, gather)))
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (r *receiver) offset() time.Duration {
	h := fnv.New64a()
	for _, l := range r.conf.Labels {
		h.Write([]byte(l.Name + "=" + l.Value + ","))
	}
	h.Write([]byte(r.conf.Name))
	return time.Duration(h.Sum64() % uint64(r.conf.Interval))
}

// gathered yields the families that could be gathered and logs the errors of the others.
func (r *receiver) gathered(ctx context.Context, gather Gather) iter.Seq[*dto.MetricFamily] {
	return func(yield func(*dto.MetricFamily) bool) {
		for f, err := range gather(ctx) {
			if err != nil {
				r.log.Error("cannot gather some metrics", "error", err)
			} else if !yield(f) {
				return
			}
		}
	}
}

// enqueue appends families to the queue, in entries of bounded size.
func (r *receiver) enqueue(families iter.Seq[*dto.MetricFamily]) {
	at := r.now()
	for e, err := range entries(families) {
		if err != nil {
			r.log.Error("cannot queue metrics", "error", err)
			return
		}
		r.spool.put(at, e.samples, e.body)
	}
}
