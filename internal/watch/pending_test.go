package watch

import (
	"context"
	"testing"
	"time"

	"netwatchd/internal/probe"
)

// An instant is a Starter whose attempts end at once.
type instant struct{}

func (instant) Start(p *probe.Probe, done func(probe.Result)) bool {
	done(p.Conclude(time.Now(), time.Millisecond, probe.Facts{Phase: probe.Resolve}, nil))
	return true
}

func (instant) Wait() {}

// A counter counts the attempts that are reported.
type counter struct {
	NopObserver
	attempts int
}

func (c *counter) Attempted(probe.Result, time.Duration) { c.attempts++ }

// onTheSpot returns what makes an attempt of the one probe of a watcher, from its start to its result, and their count.
func onTheSpot(tb testing.TB) (attempt func(), made *counter) {
	made = new(counter)
	p := &probe.Probe{Spec: probe.Spec{Service: "codex", Name: "dns", Kind: probe.KindDNS, Target: "chatgpt.com"}}
	w := New(Plan{
		Environment: func() Environment { return Environment{} },
		Services: []Service{{
			Name: "codex", Tasks: []Task{{Probe: p, Interval: time.Second, RoundProbe: p}},
			Confirmation: Confirmation{Votes: 2, Of: 3},
		}},
	}, Options{Observers: []Observer{made}})
	ctx, cancel := context.WithCancel(tb.Context())
	tb.Cleanup(cancel)
	w.ctx, w.starters = ctx, []Starter{instant{}}
	return func() {
		next, _ := w.schedule.next()
		w.startDue(next)
		for len(w.inbox) > 0 {
			message := <-w.inbox
			message()
		}
	}, made
}

// TestAttemptAllocatesNothing: a probe that goes on succeeding makes no garbage.
func TestAttemptAllocatesNothing(t *testing.T) {
	attempt, made := onTheSpot(t)
	for range 3 { // the first result ends the service's start
		attempt()
	}
	const times = 100
	if n := testing.AllocsPerRun(times, attempt); n != 0 {
		t.Errorf("%v allocations for each attempt, want none", n)
	}
	if want := 3 + 1 + times; made.attempts < want { // AllocsPerRun begins with one more
		t.Errorf("%d attempts were made, want %d", made.attempts, want)
	}
}

// BenchmarkAttempt is what the watcher itself takes for an attempt.
func BenchmarkAttempt(b *testing.B) {
	b.ReportAllocs()
	attempt, _ := onTheSpot(b)
	for b.Loop() {
		attempt()
	}
}
