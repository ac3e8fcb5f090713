package push

import (
	"context"
	"errors"
	"io/fs"
	"math/rand/v2"
	"time"
)

// A sender speaks a protocol.
type sender interface {
	// send makes one attempt to send what was collected at some moments, in their order. It returns how many samples were
	// taken, all of them unless there is an error. A *refusal will not change, any other error may.
	send(context.Context, []moment) (int, error)
	// wait is how long the receiver asked not to be called after the latest attempt.
	wait() time.Duration
}

// requestSamples bounds a request: some hundred kilobytes before they are compressed. What was collected while the receiver was
// away goes out in requests of several moments.
const requestSamples = 5000

// deliver empties the queue, for ever, or until it is empty once ending is closed.
func (r *receiver) deliver(ctx context.Context, ending <-chan struct{}) {
	pause := backoff{}
	for {
		due := r.spool.oldest(requestSamples)
		if len(due) == 0 {
			select {
			case <-r.spool.changed:
				continue
			case <-ending:
				if len(r.spool.oldest(1)) > 0 {
					continue
				}
			case <-ctx.Done():
			}
			return
		}
		if err := r.attempt(ctx, due); err != nil {
			if !sleep(ctx, pause.next(r.sender.wait())) {
				return
			}
			continue
		}
		pause = backoff{}
		r.spool.done(due[len(due)-1])
	}
}

// attempt sends entries. It errs if they are to be sent again.
func (r *receiver) attempt(ctx context.Context, due []entry) error {
	moments, samples := r.read(due)
	if samples == 0 {
		return nil
	}
	taken, err := r.sender.send(ctx, moments)
	if ctx.Err() != nil && err != nil {
		return err
	}
	name := r.conf.Name
	if refused, ok := errors.AsType[*refusal](err); ok {
		r.counts.attempts.WithLabelValues(name, failure).Inc()
		r.counts.samples.WithLabelValues(name, sent).Add(float64(taken))
		r.counts.samples.WithLabelValues(name, rejected).Add(float64(samples - taken))
		r.log.Warn("samples were refused and are lost", "samples", samples-taken, "error", refused)
		return nil
	}
	if err != nil {
		r.counts.attempts.WithLabelValues(name, failure).Inc()
		r.tell(err)
		return err
	}
	r.counts.attempts.WithLabelValues(name, success).Inc()
	r.counts.samples.WithLabelValues(name, sent).Add(float64(taken))
	r.counts.last.WithLabelValues(name).Set(float64(r.now().UnixMilli()) / 1000)
	r.tell(nil)
	return nil
}

// tell logs when it begins to fail and when it no longer does.
func (r *receiver) tell(err error) {
	switch {
	case err != nil && r.failing.IsZero():
		r.failing = r.now()
		r.log.Warn("pushing fails; what is collected waits in the queue", "error", err)
	case err == nil && !r.failing.IsZero():
		r.log.Info("pushing works again", "after", r.now().Sub(r.failing).Round(time.Second))
		r.failing = time.Time{}
	}
}

// read reads entries. One that cannot be read is lost: a power cut leaves such.
func (r *receiver) read(due []entry) (moments []moment, samples int) {
	for _, e := range due {
		body, err := r.spool.read(e)
		if errors.Is(err, fs.ErrNotExist) { // dropped meanwhile, and counted
			continue
		}
		var m moment
		if err == nil {
			m.families, err = unpack(body)
		}
		if err != nil {
			r.spool.lost(e.samples, "the queue's file is damaged")
			continue
		}
		m.at = e.at
		moments, samples = append(moments, m), samples+e.samples
	}
	return moments, samples
}

// A backoff makes pauses that grow, each up to half of it at random: two hundred hosts whose receiver comes back should not call
// at once.
type backoff struct{ last time.Duration }

const (
	firstPause   = time.Second
	longestPause = time.Minute // how late a host may notice that its receiver is back
	longestAsked = time.Hour   // a receiver that asks for more is mistaken
)

// next is the pause to make, asked or longer.
func (b *backoff) next(asked time.Duration) time.Duration {
	b.last = min(max(firstPause, 2*b.last), longestPause)
	pause := max(b.last/2, min(asked, longestAsked))
	return pause + rand.N(b.last/2)
}

// sleep reports whether ctx let it sleep for all of d.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
