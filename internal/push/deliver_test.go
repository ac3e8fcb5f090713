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

// listener is a receiver that writes down what it was sent and when, in seconds since the test began.
type listener struct {
	began   time.Time
	heard   []string
	calls   []time.Duration
	answer  func(call int) (refuse, fail bool)
	waiting time.Duration
}

func (l *listener) send(_ context.Context, moments []moment) (int, error) {
	call := len(l.calls)
	l.calls = append(l.calls, time.Since(l.began).Round(time.Second))
	samples := 0
	for _, m := range moments {
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
			return 0, &refusal{400, errors.New("no")}
		}
	}
	for _, m := range moments {
		var text strings.Builder
		text.WriteString(fmt.Sprint(time.UnixMilli(m.at).Sub(l.began).Round(time.Second).Seconds(), ":"))
		for _, f := range m.families {
			text.WriteString(" " + f.GetName())
			if isGone(f.Metric[0].Gauge.GetValue()) {
				text.WriteString(" gone")
			}
		}
		l.heard = append(l.heard, text.String())
	}
	return samples, nil
}

func (l *listener) wait() time.Duration { return l.waiting }

// one is a gatherer of one gauge, up.
func one(context.Context) iter.Seq2[*dto.MetricFamily, error] {
	return func(yield func(*dto.MetricFamily, error) bool) { yield(up(time.Time{})[0].families[0], nil) }
}

// pushing is a receiver in a bubble, whose first moment is its start.
func pushing(t *testing.T, dir string, l *listener) *receiver {
	t.Helper()
	l.began = time.Now()
	conf := receiverAt("")
	r := newReceiver(conf, l, Options{Dir: dir, Started: l.began, Log: slog.New(slog.DiscardHandler), Now: time.Now}, newCounts())
	l.began = l.began.Add(r.offset())
	return r
}

// run runs r for so long after its first moment.
func run(t *testing.T, r *receiver, d time.Duration) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), r.offset()+d)
	defer stop()
	r.run(ctx, one)
}

func (r *receiver) count(result string) float64 {
	var m dto.Metric
	if err := r.counts.samples.WithLabelValues("central", result).Write(&m); err != nil {
		panic(err)
	}
	return m.Counter.GetValue()
}

func TestEveryMomentIsSentOnceAndTheEndToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := new(listener)
		r := pushing(t, t.TempDir(), l)
		run(t, r, 70*time.Second)
		if diff := cmp.Diff([]string{"0: up", "30: up", "60: up", "70: up gone"}, l.heard); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if r.count(sent) != 4 || r.count(dropped) != 0 || r.count(rejected) != 0 {
			t.Errorf("%v sent, %v dropped, %v rejected", r.count(sent), r.count(dropped), r.count(rejected))
		}
	})
}

// The receiver is away for ten minutes: all that was collected meanwhile arrives in order, with its times, and in few requests.
func TestCatchingUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := new(listener)
		l.answer = func(int) (bool, bool) { return false, time.Since(l.began) < 10*time.Minute }
		r := pushing(t, t.TempDir(), l)
		run(t, r, 15*time.Minute-time.Second)
		var want []string
		for i := range 30 {
			want = append(want, fmt.Sprint(30*i, ": up"))
		}
		if diff := cmp.Diff(append(want, "899: up gone"), l.heard); diff != "" {
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

// What one daemon could not send the next one does.
func TestTheNextDaemonSendsWhatIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		deaf := &listener{answer: func(int) (bool, bool) { return false, true }}
		r := pushing(t, dir, deaf)
		began := time.Now()
		run(t, r, 40*time.Second)
		if took := time.Since(began) - r.offset(); took > 40*time.Second+lastWords {
			t.Errorf("a receiver that is away held the daemon's end up for %v", took-40*time.Second)
		}
		l := new(listener)
		r = pushing(t, dir, l)
		l.began = deaf.began
		run(t, r, 0)
		if len(l.heard) < 3 {
			t.Fatalf("heard %q", l.heard)
		}
		if diff := cmp.Diff([]string{"0: up", "30: up", "40: up gone"}, l.heard[:3]); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

func TestWhatIsRefusedIsNotSentAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &listener{answer: func(call int) (bool, bool) { return call == 0, false }}
		r := pushing(t, t.TempDir(), l)
		run(t, r, 31*time.Second)
		if diff := cmp.Diff([]string{"30: up", "31: up gone"}, l.heard); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if r.count(rejected) != 1 || r.count(sent) != 2 {
			t.Errorf("%v rejected, %v sent", r.count(rejected), r.count(sent))
		}
	})
}

func TestTheReceiverSaysWhenToCallAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &listener{waiting: 5 * time.Minute, answer: func(call int) (bool, bool) { return false, call == 0 }}
		r := pushing(t, t.TempDir(), l)
		run(t, r, 6*time.Minute)
		if pause := l.calls[1] - l.calls[0]; pause < 5*time.Minute || pause > 5*time.Minute+2*time.Second {
			t.Errorf("called again after %v", pause)
		}
	})
}

func TestPausesGrowAndDiffer(t *testing.T) {
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
	if got := new(backoff).next(24 * time.Hour); got > longestAsked+time.Second {
		t.Errorf("a receiver silenced its host for %v", got)
	}
}

// A queue that is too small keeps the newest, and its losses are counted.
func TestAQueueTooSmall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := new(listener)
		l.answer = func(int) (bool, bool) { return false, time.Since(l.began) < 10*time.Minute }
		r := pushing(t, t.TempDir(), l)
		r.spool.limit = 100 // a handful of these
		run(t, r, 11*time.Minute+time.Second)
		if r.count(dropped) == 0 || r.count(dropped)+r.count(sent) != 24 {
			t.Errorf("%v dropped, %v sent, want 24 in all", r.count(dropped), r.count(sent))
		}
		if len(l.heard) == 0 || !strings.HasSuffix(l.heard[len(l.heard)-1], "gone") || strings.HasPrefix(l.heard[0], "0:") {
			t.Errorf("heard %q", l.heard)
		}
	})
}
