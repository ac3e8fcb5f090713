// Package push delivers the daemon's metrics to receivers that cannot fetch them.
//
// Every receiver has its own interval, and its own queue on disk, which outlives the daemon: what is collected goes into it
// whether the receiver can be reached or not, and leaves it in order, with the time at which it was collected. Delivery is at
// least once: what was taken just before the daemon was killed is sent again.
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

// A Gather yields all there is to export at one moment, family by family. What it has yielded is the receiver's to keep. An
// error costs its own family only.
type Gather func(context.Context) iter.Seq2[*dto.MetricFamily, error]

// Options are what all receivers have in common.
type Options struct {
	Dir     string    // queues are kept below it, each in a directory named like its receiver
	Version string    // of the program, for the receiver's log
	Started time.Time // since when counters count that do not say so themselves
	Log     *slog.Logger
	Now     func() time.Time // nil is time.Now
}

// A Pusher pushes to any number of receivers. It is a collector of its own metrics.
type Pusher struct {
	counts    *counts
	receivers []*receiver
}

// New makes a pusher; it pushes from Run on.
func New(c config.Push, o Options) *Pusher {
	if o.Now == nil {
		o.Now = time.Now
	}
	p := &Pusher{counts: newCounts()}
	add := func(r config.Receiver, s sender) {
		p.receivers = append(p.receivers, newReceiver(r, s, o, p.counts))
	}
	for _, r := range c.RemoteWrite {
		add(r, newRemoteWrite(r, o))
	}
	for _, r := range c.OTLP {
		add(r, newOTLP(r, o))
	}
	return p
}

// Run pushes until ctx ends. Then it tells the receivers that nothing more will come, as far as they hear it within seconds:
// what they have not heard by then they are told after the next start.
func (p *Pusher) Run(ctx context.Context, gather Gather) {
	var all sync.WaitGroup
	for _, r := range p.receivers {
		all.Go(func() { r.run(ctx, gather) })
	}
	all.Wait()
}

// Describe is for the registry.
func (p *Pusher) Describe(out chan<- *prometheus.Desc) { p.counts.describe(out) }

// Collect is for the registry.
func (p *Pusher) Collect(out chan<- prometheus.Metric) {
	p.counts.collect(out)
	for _, r := range p.receivers {
		r.counts.collectQueue(out, r.conf.Name, r.spool.bytes())
	}
}

// A receiver is one of those that are pushed to.
type receiver struct {
	conf   config.Receiver
	sender sender
	spool  *spool
	past   *past
	counts *counts
	log    *slog.Logger
	now    func() time.Time

	failing time.Time // since when it does; zero: it does not
}

func newReceiver(conf config.Receiver, s sender, o Options, c *counts) *receiver {
	log := o.Log.With("receiver", conf.Name)
	r := &receiver{conf: conf, sender: s, past: newPast(o.Started), counts: c, log: log, now: o.Now}
	r.spool = newSpool(filepath.Join(o.Dir, conf.Name), conf.Queue, func(samples int, why string) {
		c.samples.WithLabelValues(conf.Name, dropped).Add(float64(samples))
		log.Warn("samples were dropped", "samples", samples, "because", why)
	})
	c.begin(conf.Name)
	return r
}

// lastWords bounds how long a daemon that is told to stop waits for its last samples to be taken.
const lastWords = 2 * time.Second

func (r *receiver) run(ctx context.Context, gather Gather) {
	if err := r.spool.open(); err != nil {
		r.log.Error("the queue is not kept on disk: what is not delivered is lost with the daemon", "error", err)
	}
	defer r.spool.close()
	delivering, stop := context.WithCancel(context.Background())
	defer stop()
	ending := make(chan struct{})
	var delivery sync.WaitGroup
	delivery.Go(func() { r.deliver(delivering, ending) })
	r.collect(ctx, gather)
	r.enqueue(r.past.end())
	close(ending)
	defer time.AfterFunc(lastWords, stop).Stop()
	delivery.Wait()
}

// collect fills the queue at every interval. Hosts that were started together do not push together: each has its own moment
// within the interval.
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
		r.enqueue(r.past.next(r.gathered(ctx, gather)))
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

// gathered are the families without what failed, which is logged.
func (r *receiver) gathered(ctx context.Context, gather Gather) iter.Seq[*dto.MetricFamily] {
	return func(yield func(*dto.MetricFamily) bool) {
		for f, err := range gather(ctx) {
			if err != nil {
				r.log.Error("some metrics are missing", "error", err)
			} else if !yield(f) {
				return
			}
		}
	}
}

// enqueue puts what was collected into the queue, in entries of a bounded size.
func (r *receiver) enqueue(families iter.Seq[*dto.MetricFamily]) {
	at := r.now()
	for e, err := range entries(families) {
		if err != nil {
			r.log.Error("what was collected cannot be queued", "error", err)
			return
		}
		r.spool.put(at, e.samples, e.body)
	}
}
