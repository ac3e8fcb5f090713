package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"netwatchd/internal/causes"
	"netwatchd/internal/screen"
	"netwatchd/internal/watch"
)

// verdictWithin is how long a verdict may take. It takes a few seconds: an interval of the probes and their timeouts.
// The rest is for a machine that is busy with other work.
const verdictWithin = 2 * time.Minute

// pollEvery is how often the daemon is asked for its verdict.
const pollEvery = 100 * time.Millisecond

// errInterrupted is returned by Play if ctx ends.
var errInterrupted = errors.New("interrupted before all faults were played")

// Play injects each fault in turn and writes the verdicts to w. It waits for pause before each fault is removed. It
// returns an error if a verdict does not name the expected cause.
func (d *Demo) Play(ctx context.Context, w io.Writer, pause time.Duration, o screen.Options) error {
	if _, err := fmt.Fprintf(w, "The status page is at %s\n", d.Page); err != nil {
		return err
	}
	for i := range faults {
		if err := d.playOne(ctx, w, i, pause, o); err != nil {
			if ctx.Err() != nil {
				return errInterrupted
			}
			return err
		}
	}
	_, err := fmt.Fprintf(w, "\nEach verdict named the injected fault. To inject faults by key: netwatchd demo\n")
	return err
}

func (d *Demo) playOne(ctx context.Context, w io.Writer, i int, pause time.Duration, o screen.Options) error {
	if i > 0 {
		if err := d.Inject(0); err != nil {
			return err
		}
		if _, err := d.await(ctx, causes.Healthy); err != nil {
			return err
		}
	}
	if err := d.Inject(i); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(w, "\n%s  %s\n\n", faults[i].Key, faults[i].Title); err != nil {
		return err
	}
	status, err := d.await(ctx, faults[i].Cause)
	if err != nil {
		return err
	}
	if err := screen.Check(w, status, o); err != nil {
		return err
	}
	select {
	case <-time.After(pause):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// await waits until the verdict names the cause.
func (d *Demo) await(ctx context.Context, want causes.Cause) (*watch.Status, error) {
	late, cancel := context.WithTimeout(ctx, verdictWithin)
	defer cancel()
	for {
		status, now, err := d.verdict(late)
		if err == nil && now.Cause == want {
			return status, nil
		}
		select {
		case <-time.After(pollEvery):
		case <-d.daemon.ended:
			return nil, d.daemon.err()
		case <-late.Done():
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			if err != nil {
				return nil, err
			}
			return nil, fmt.Errorf("the verdict is still %v (%s) instead of %v after %v",
				now.Cause, now.Title, want, verdictWithin)
		}
	}
}
