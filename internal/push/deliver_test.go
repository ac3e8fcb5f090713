package push

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	dto "github.com/prometheus/client_model/go"
)

// fakeReceiver is a sender that records what it was sent and when, in seconds since the test began.
type fakeReceiver struct {
	began      time.Time
	received   []string
	calls      []time.Duration
	answer     func(call int) (refuse, fail bool)
	retryAfter time.Duration
}

func (l *fakeReceiver) send(_ context.Context, snapshots []snapshot) (int, error) {
	call := len(l.calls)
	l.calls = append(l.calls, time.Since(l.began).Round(time.Second))
	samples := 0
	for _, m := range snapshots {
		for _, f := range m.families {
			samples += samplesOf(f)
		}
	}
	if l.answer != nil {
		refuse, fail := l.answer(call)
		switch {
		case fail:
			return 0, errors.New("unavailable")
		case refuse:
			return 0, &permanentError{400, errors.New("no")}
		}
	}
	for _, m := range snapshots {
		var text strings.Builder
		text.WriteString(fmt.Sprint(time.UnixMilli(m.at).Sub(l.began).Round(time.Second).Seconds(), ":"))
		for _, f := range m.families {
			text.WriteString(" " + f.GetName())
			if isStale(f.Metric[0].Gauge.GetValue()) {
				text.WriteString(" stale")
			}
		}
		l.received = append(l.received, text.String())
	}
	return samples, nil
}

func (l *fakeReceiver) wait() time.Duration { return l.retryAfter }

// one is a gatherer of one gauge, up.
func one(context.Context) iter.Seq2[*dto.MetricFamily, error] {
	return func(yield func(*dto.MetricFamily, error) bool) { yield(up(time.Time{})[0].families[0], nil) }
}

// pushing is a receiver whose first snapshot is at its start.
func pushing(t *testing.T, dir string, l *fakeReceiver) *receiver {
	t.Helper()
	l.began = time.Now()
	conf := receiverAt("")
	r := newReceiver(conf, l, Options{Dir: dir, Started: l.began, Log: slog.New(slog.DiscardHandler), Now: time.Now}, newPushMetrics())
	l.began = l.began.Add(r.offset())
	return r
}

// run runs r until d after its first snapshot.
func run(t *testing.T, r *receiver, d time.Duration) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), r.offset()+d)
	defer stop()
	r.run(ctx, one)
}

func (r *receiver) count(result string) float64 {
	var m dto.Metric
	if err := r.metrics.samples.WithLabelValues("central", result).Write(&m); err != nil {
		panic(err)
	}
	return m.Counter.GetValue()
}

func TestEverySnapshotIsSentOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := new(fakeReceiver)
		r := pushing(t, t.TempDir(), l)
		run(t, r, 70*time.Second)
		if diff := cmp.Diff([]string{"0: up", "30: up", "60: up", "70: up stale"}, l.received); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if r.count(sent) != 4 || r.count(dropped) != 0 || r.count(rejected) != 0 {
			t.Errorf("%v sent, %v dropped, %v rejected", r.count(sent), r.count(dropped), r.count(rejected))
		}
	})
}

// The receiver is unreachable for ten minutes: every snapshot arrives in order, with its time, and in few requests.
func TestCatchingUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := new(fakeReceiver)
		l.answer = func(int) (bool, bool) { return false, time.Since(l.began) < 10*time.Minute }
		r := pushing(t, t.TempDir(), l)
		run(t, r, 15*time.Minute-time.Second)
		var want []string
		for i := range 30 {
			want = append(want, fmt.Sprint(30*i, ": up"))
		}
		if diff := cmp.Diff(append(want, "899: up stale"), l.received); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		for i := 1; i < len(l.calls); i++ {
			if pause := l.calls[i] - l.calls[i-1]; pause > longestPause+time.Second {
				t.Errorf("%v passed between two attempts", pause)
			}
		}
		if calls := len(l.calls); calls < 12 || calls > 40 {
			t.Errorf("%d calls: %v", calls, l.calls)
		}
	})
}

// The next daemon sends what the previous one could not.
func TestQueueIsSentAfterRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		down := &fakeReceiver{answer: func(int) (bool, bool) { return false, true }}
		r := pushing(t, dir, down)
		began := time.Now()
		run(t, r, 40*time.Second)
		if took := time.Since(began) - r.offset(); took > 40*time.Second+shutdownFlush {
			t.Errorf("an unreachable receiver delayed shutdown by %v", took-40*time.Second)
		}
		l := new(fakeReceiver)
		r = pushing(t, dir, l)
		l.began = down.began
		run(t, r, 0)
		if len(l.received) < 3 {
			t.Fatalf("received %q", l.received)
		}
		if diff := cmp.Diff([]string{"0: up", "30: up", "40: up stale"}, l.received[:3]); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

func TestRejectedSamplesAreNotResent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &fakeReceiver{answer: func(call int) (bool, bool) { return call == 0, false }}
		r := pushing(t, t.TempDir(), l)
		run(t, r, 31*time.Second)
		if diff := cmp.Diff([]string{"30: up", "31: up stale"}, l.received); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if r.count(rejected) != 1 || r.count(sent) != 2 {
			t.Errorf("%v rejected, %v sent", r.count(rejected), r.count(sent))
		}
	})
}

func TestRetryAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &fakeReceiver{retryAfter: 5 * time.Minute, answer: func(call int) (bool, bool) { return false, call == 0 }}
		r := pushing(t, t.TempDir(), l)
		run(t, r, 6*time.Minute)
		if pause := l.calls[1] - l.calls[0]; pause < 5*time.Minute || pause > 5*time.Minute+2*time.Second {
			t.Errorf("called again after %v", pause)
		}
	})
}

func TestBackoff(t *testing.T) {
	var a, b backoff
	var same int
	for i, about := range []time.Duration{1, 2, 4, 8, 16, 32, 60, 60} {
		p, q := a.next(0), b.next(0)
		if least := about * time.Second / 2; p < least || p > 2*least {
			t.Errorf("pause %d is %v, want %v to %v", i, p, least, 2*least)
		}
		if p == q {
			same++
		}
	}
	if same > 1 {
		t.Errorf("%d of 8 pauses are the same for two hosts", same)
	}
	if got := new(backoff).next(24 * time.Hour); got > longestRetryAfter+time.Second {
		t.Errorf("a receiver silenced its host for %v", got)
	}
}

// A full queue keeps the newest entries and counts what it drops.
func TestFullQueueKeepsTheNewest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := new(fakeReceiver)
		l.answer = func(int) (bool, bool) { return false, time.Since(l.began) < 10*time.Minute }
		r := pushing(t, t.TempDir(), l)
		r.spool.limit = int64(100 + 4*sealLength) // a handful of these
		run(t, r, 11*time.Minute+time.Second)
		if r.count(dropped) == 0 || r.count(dropped)+r.count(sent) != 24 {
			t.Errorf("%v dropped, %v sent, want 24 in all", r.count(dropped), r.count(sent))
		}
		if len(l.received) == 0 || !strings.HasSuffix(l.received[len(l.received)-1], "stale") || strings.HasPrefix(l.received[0], "0:") {
			t.Errorf("received %q", l.received)
		}
	})
}
