package push

import (
	"context"
	"errors"
	"io/fs"
	"math/rand/v2"
	"time"

	"netwatchd/internal/panics"
)

// A sender implements a protocol.
type sender interface {
	// send makes one attempt to send snapshots, in order. It returns how many samples were accepted: all, unless
	// there is an error. After a *permanentError the same request would fail again; after any other error it may
	// succeed.
	send(context.Context, []snapshot) (int, error)
	// wait is how long the receiver asked to wait in its latest response (Retry-After).
	wait() time.Duration
}

// requestSamples bounds a request: a few hundred kilobytes before compression. After an outage of the receiver one
// request carries several snapshots.
const requestSamples = 5000

// deliver sends the queue until ctx ends. Once closing is closed, it returns when the queue is empty.
func (r *receiver) deliver(ctx context.Context, closing <-chan struct{}) {
	pause := backoff{}
	for {
		due := r.spool.oldest(requestSamples)
		if len(due) == 0 {
			select {
			case <-r.spool.changed:
				continue
			case <-closing:
				if len(r.spool.oldest(1)) > 0 {
					continue
				}
			case <-ctx.Done():
			}
			return
		}
		due, err := r.attemptSafely(ctx, due)
		if err != nil {
			if !sleep(ctx, pause.next(r.sender.wait())) {
				return
			}
			continue
		}
		pause = backoff{}
		r.spool.done(due[len(due)-1])
	}
}

// attemptSafely is attempt, and sets aside the entry that makes it panic. To find that one it sends them singly. It
// returns the entries that are done, unless there is an error.
func (r *receiver) attemptSafely(ctx context.Context, due []entry) ([]entry, error) {
	for {
		err := panics.Run(panics.Push, func() error { return r.attempt(ctx, due) })
		crash, ok := errors.AsType[*panics.Error](err)
		switch {
		case !ok:
			return due, err
		case len(due) > 1:
			due = due[:1]
		default:
			r.log.Error(
				"sending an entry of the queue panicked: please report this",
				"panic",
				crash.Value,
				"stack",
				string(crash.Stack),
			)
			r.spool.setAside(due[0], err)
			return due, nil
		}
	}
}

// attempt sends entries. It returns an error if they must be sent again.
func (r *receiver) attempt(ctx context.Context, due []entry) error {
	snapshots, samples, err := r.read(due)
	if samples == 0 || err != nil {
		return err
	}
	taken, err := r.sender.send(ctx, snapshots)
	if ctx.Err() != nil && err != nil {
		return err
	}
	name := r.conf.Name
	if refused, ok := errors.AsType[*permanentError](err); ok {
		r.metrics.attempts.WithLabelValues(name, failure).Inc()
		r.metrics.samples.WithLabelValues(name, sent).Add(float64(taken))
		r.metrics.samples.WithLabelValues(name, rejected).Add(float64(samples - taken))
		if text := refused.Error(); text != r.refusal {
			r.refusal = text
			r.log.Warn("the receiver rejects samples: they are lost", "samples", samples-taken, "error", refused)
		}
		return nil
	}
	if err != nil {
		r.metrics.attempts.WithLabelValues(name, failure).Inc()
		r.logTransition(err)
		return err
	}
	r.metrics.attempts.WithLabelValues(name, success).Inc()
	r.metrics.samples.WithLabelValues(name, sent).Add(float64(taken))
	r.metrics.last.WithLabelValues(name).Set(float64(r.now().UnixMilli()) / 1000)
	r.refusal = ""
	r.logTransition(nil)
	return nil
}

// logTransition logs when pushing starts to fail and when it works again.
func (r *receiver) logTransition(err error) {
	switch {
	case err != nil && r.failing.IsZero():
		r.failing = r.now()
		r.log.Warn("cannot push: samples wait in the queue", "error", err)
	case err == nil && !r.failing.IsZero():
		r.log.Info("pushing works again", "after", r.now().Sub(r.failing).Round(time.Second))
		r.failing = time.Time{}
	}
}

// read reads entries. A damaged one is set aside; a power cut can leave one. It returns an error if entries could not
// be read now but may be later.
func (r *receiver) read(due []entry) (snapshots []snapshot, samples int, err error) {
	for _, e := range due {
		body, err := r.spool.read(e)
		if errors.Is(err, fs.ErrNotExist) { // dropped in the meantime, and counted
			continue
		}
		if isShortage(err) {
			r.log.Warn("cannot read the push queue", "error", err)
			return nil, 0, err
		}
		m := snapshot{at: e.at}
		if err == nil {
			m.families, err = decode(e, body)
		}
		if err != nil {
			r.spool.setAside(e, err)
			continue
		}
		snapshots, samples = append(snapshots, m), samples+e.samples
	}
	return snapshots, samples, nil
}

// A backoff yields growing pauses with up to half of each chosen at random, so that two hundred hosts do not call a
// receiver that comes back at the same time.
type backoff struct{ last time.Duration }

const (
	firstPause        = time.Second
	longestPause      = time.Minute // the longest time until a host notices that its receiver is back
	longestRetryAfter = time.Hour   // a longer Retry-After is taken for a mistake
)

// next returns the next pause, which is not shorter than atLeast.
func (b *backoff) next(atLeast time.Duration) time.Duration {
	b.last = min(max(firstPause, 2*b.last), longestPause)
	pause := max(b.last/2, min(atLeast, longestRetryAfter))
	return pause + rand.N(b.last/2)
}

// sleep reports whether it slept for all of d before ctx ended.
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
