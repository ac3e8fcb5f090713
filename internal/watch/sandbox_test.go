package watch

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"netwatchd/internal/causes"
	"netwatchd/internal/diagnose"
	"netwatchd/internal/panics"
	"netwatchd/internal/probe"
)

const sandboxEvery = 5 * time.Minute

// withSandbox returns a service with a sandbox. The world's "inside" decides how attempts end inside, and how long
// the sandbox takes to start. If it is ok, they end as outside, where the world's "head" decides.
func (w *world) withSandbox(want diagnose.Want) Service {
	s := w.ladder()
	s.Expect.Sandbox = want
	look := probe.Result{Spec: probe.Spec{Service: "codex", Name: probe.CheckSandbox, Role: probe.OfHost, Vantage: probe.FromSandbox}}
	head := probe.Result{Spec: probe.Spec{Service: "codex", Name: "head", Kind: probe.KindHTTP, Vantage: probe.FromSandbox}, Facts: probe.Facts{Phase: probe.Connect}}
	s.SandboxProbes = &SandboxProbes{Interval: sandboxEvery, Run: func(ctx context.Context, limit time.Duration) ([]probe.Result, bool) {
		e := w.begin("inside")
		defer w.finish("inside")
		select {
		case <-time.After(e.after):
		case <-ctx.Done():
			return nil, false
		}
		head, look := head, look
		head.Start, look.Start = time.Now(), time.Now()
		look.Class, head.Class = probe.OK, e.class
		if e.class == probe.LocalDenied {
			look.Class = e.class
		}
		if e.class == probe.OK {
			outside := w.begin("outside of inside")
			w.finish("outside of inside")
			head.Class = outside.class
		}
		return []probe.Result{look, head}, true
	}}
	return s
}

func moved(t *testing.T, got *moves, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, got.seen); diff != "" {
		t.Errorf("moves (-want +got):\n%s", diff)
	}
}

// Most rounds have no sandbox probes. The verdict must not depend on which have.
func TestSandboxVerdictDoesNotFlap(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		inside probe.Class
		want   diagnose.Want
		cause  causes.Cause
	}{
		{probe.LocalDenied, diagnose.WantOpen, causes.Sandbox},
		{probe.LocalDenied, diagnose.WantClosed, causes.Healthy},
		{probe.OK, diagnose.WantClosed, causes.SandboxOpen},
		{probe.OK, diagnose.WantOpen, causes.Healthy},
		{probe.ExecStartFailed, diagnose.WantClosed, causes.Agent},
		{probe.Unknown, diagnose.WantClosed, causes.Inconclusive},
	} {
		t.Run(test.inside.String()+" "+test.want.String(), func(t *testing.T) {
			world, seen := newWorld(), new(moves)
			world.set("inside", test.inside, 200*time.Millisecond)
			watching(t, world.plan(world.withSandbox(test.want)), Options{Observers: []Observer{seen}}, func(t *testing.T, w *Watcher) {
				time.Sleep(time.Minute)
				wantCause(t, w, test.cause)
				title := serviceStatus(t, w).Title
				time.Sleep(6 * time.Hour)
				if got := wantCause(t, w, test.cause); got.Title != title {
					t.Errorf("title: got %q, want %q as before", got.Title, title)
				}
				moved(t, seen, "starting -> "+test.cause.String())
				if runs := len(world.starts("inside")); runs < 72 || runs > 80 {
					t.Errorf("the sandbox was started %d times in six hours, want every five minutes", runs)
				}
			})
		})
	}
}

func TestOpenedSandboxIsSeenByTheNextSandboxProbes(t *testing.T) {
	world, seen := newWorld(), new(moves)
	world.set("inside", probe.LocalDenied, 200*time.Millisecond)
	watching(t, world.plan(world.withSandbox(diagnose.WantClosed)), Options{Observers: []Observer{seen}}, func(t *testing.T, w *Watcher) {
		time.Sleep(time.Hour)
		world.set("inside", probe.OK, 200*time.Millisecond)
		time.Sleep(sandboxEvery + 2*time.Second)
		wantCause(t, w, causes.SandboxOpen)
		world.set("inside", probe.LocalDenied, 200*time.Millisecond)
		time.Sleep(sandboxEvery + 2*time.Second)
		wantCause(t, w, causes.Healthy)
		moved(t, seen, "starting -> healthy", "healthy -> sandbox_open", "sandbox_open -> healthy")
	})
}

// The sandbox is open, as configured, and the service goes down and comes back: that is never the sandbox's fault.
func TestFaultSharedByHostAndSandboxIsNotTheSandbox(t *testing.T) {
	world, seen := newWorld(), new(moves)
	world.set("inside", probe.OK, 200*time.Millisecond)
	watching(t, world.plan(world.withSandbox(diagnose.WantOpen)), Options{Observers: []Observer{seen}}, func(t *testing.T, w *Watcher) {
		for range 20 {
			for _, down := range []probe.Class{probe.TCPRefused, probe.OK} {
				world.set("head", down, usually)
				world.set("outside of inside", down, usually)
				time.Sleep(97 * time.Second) // out of step with every interval
			}
		}
		serviceStatus(t, w) // synchronizes with the watcher's goroutine, whose writes are read below
		for _, move := range seen.seen {
			if move != "starting -> healthy" && move != "healthy -> upstream" && move != "upstream -> healthy" {
				t.Errorf("moved %s", move)
			}
		}
		if len(seen.seen) != 41 {
			t.Errorf("moved %d times, want there and back twenty times: %v", len(seen.seen), seen.seen)
		}
	})
}

// A closed sandbox does not hide whose fault it is.
func TestConfirmingRoundHasItsOwnSandboxProbes(t *testing.T) {
	world := newWorld()
	world.set("inside", probe.LocalDenied, 200*time.Millisecond)
	watching(t, world.plan(world.withSandbox(diagnose.WantClosed)), Options{}, func(t *testing.T, w *Watcher) {
		time.Sleep(time.Minute)
		before := len(world.starts("inside"))
		world.set("head", probe.HTTPServerError, usually)
		time.Sleep(interval + 2*time.Second)
		got := wantCause(t, w, causes.Upstream)
		if limit := probe.InSeconds(2 * time.Second); got.Delay > limit {
			t.Errorf("delay: got %v s, want at most %v s", got.Delay, limit)
		}
		if len(world.starts("inside")) == before {
			t.Error("the confirming round had no sandbox probes")
		}
	})
}

func TestHangingSandboxDoesNotDelayTheVerdict(t *testing.T) {
	world := newWorld()
	watching(t, world.plan(world.withSandbox(diagnose.WantClosed)), Options{}, func(t *testing.T, w *Watcher) {
		world.set("inside", probe.ExecTimedOut, 20*time.Second)
		world.set("head", probe.TCPRefused, usually)
		time.Sleep(interval + 3*time.Second)
		if got := wantCause(t, w, causes.Upstream); got.Delay > probe.InSeconds(2*time.Second) {
			t.Errorf("delay: got %v s, want at most two", got.Delay)
		}
	})
}

// A wrapper that hangs runs until its own timeout. The service goes down and comes back twice meanwhile.
func TestHangingSandboxDelaysNoLaterRound(t *testing.T) {
	world := newWorld()
	world.set("inside", probe.LocalDenied, 20*time.Second)
	watching(t, world.plan(world.withSandbox(diagnose.WantClosed)), Options{}, func(t *testing.T, w *Watcher) {
		time.Sleep(time.Minute)
		wantCause(t, w, causes.Healthy)
		becomes := func(class probe.Class, cause causes.Cause) {
			world.set("head", class, 0)
			time.Sleep(interval + time.Second)
			if got := wantCause(t, w, cause); got.Delay > probe.InSeconds(2*time.Second) {
				t.Errorf("%v: delay: got %v s, want at most two", cause, got.Delay)
			}
		}
		becomes(probe.TCPRefused, causes.Upstream)
		becomes(probe.OK, causes.Healthy)
		becomes(probe.HTTPEdgeBlocked, causes.EdgeBlocked)
		becomes(probe.OK, causes.Healthy)
		if most := len(world.starts("inside")); most > 6 {
			t.Errorf("the sandbox was started %d times, so some starts overlapped", most)
		}
	})
}

func TestLateSandboxResultsCountForLaterRounds(t *testing.T) {
	world := newWorld()
	world.set("inside", probe.OK, 10*time.Second)
	watching(t, world.plan(world.withSandbox(diagnose.WantClosed)), Options{}, func(t *testing.T, w *Watcher) {
		time.Sleep(5 * time.Second)
		wantCause(t, w, causes.Healthy) // as far as is known: the first round does not wait
		time.Sleep(2*interval + 5*time.Second)
		wantCause(t, w, causes.SandboxOpen)
		time.Sleep(time.Hour)
		wantCause(t, w, causes.SandboxOpen)
	})
}

func TestReloadKeepsSandboxResults(t *testing.T) {
	world, seen := newWorld(), new(moves)
	world.set("inside", probe.LocalDenied, 200*time.Millisecond)
	watching(t, world.plan(world.withSandbox(diagnose.WantOpen)), Options{Observers: []Observer{seen}}, func(t *testing.T, w *Watcher) {
		for range 10 {
			time.Sleep(71 * time.Second)
			if err := w.Reload(t.Context(), world.plan(world.withSandbox(diagnose.WantOpen))); err != nil {
				t.Fatal(err)
			}
		}
		moved(t, seen, "starting -> sandbox")
		without := world.ladder()
		if err := w.Reload(t.Context(), world.plan(without)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * interval)
		wantCause(t, w, causes.Healthy)
	})
}

func TestOnceAlwaysRunsSandboxProbes(t *testing.T) {
	world := newWorld()
	world.set("inside", probe.LocalDenied, 0)
	status := Once(t.Context(), world.plan(world.withSandbox(diagnose.WantOpen)), "test")
	if got := status.Services[0].Cause; got != causes.Sandbox {
		t.Errorf("cause: got %v, want %v", got, causes.Sandbox)
	}
	if status.Sandboxed.Denied {
		t.Error("this process is reported as sandboxed because the sandbox is")
	}
}

func TestOutlastsRound(t *testing.T) {
	made := func(from probe.Vantage, name string, class probe.Class) probe.Result {
		return probe.Result{Spec: probe.Spec{Service: "codex", Name: name, Kind: probe.KindHTTP, Vantage: from}, Class: class}
	}
	for _, test := range []struct {
		inside, outside probe.Class
		want            bool
	}{
		{probe.OK, probe.TCPRefused, true},
		{probe.LocalDenied, probe.TCPRefused, true}, // the kernel's own refusal: no network is involved
		{probe.ExecStartFailed, probe.TCPRefused, true},
		{probe.ProxyFailed, probe.OK, true},
		{probe.TCPRefused, probe.TCPRefused, false},
		{probe.Unknown, probe.Unknown, false},
		{probe.Unknown, probe.OK, true},
	} {
		inside := made(probe.FromSandbox, "head", test.inside)
		results := []probe.Result{inside, made(probe.FromHost, "head", test.outside), made(probe.FromHost, "other", probe.OK)}
		if got := outlastsRound(inside, results); got != test.want {
			t.Errorf("%v inside, %v outside: got %v, want %v", test.inside, test.outside, got, test.want)
		}
	}
}

// What comes out of a sandbox is foreign: a panic in reading it is counted, and the daemon goes on.
func TestPanicInTheSandboxProbes(t *testing.T) {
	world := newWorld()
	s := world.ladder()
	runs := 0
	s.SandboxProbes = &SandboxProbes{Interval: sandboxEvery, Run: func(context.Context, time.Duration) ([]probe.Result, bool) {
		runs++
		panic("index out of range")
	}}
	before := panics.Count(panics.Sandbox)
	watching(t, world.plan(s), Options{}, func(t *testing.T, w *Watcher) {
		time.Sleep(3 * sandboxEvery)
		wantCause(t, w, causes.Healthy)
	})
	if n := panics.Count(panics.Sandbox) - before; runs < 2 || n != uint64(runs) {
		t.Errorf("%d runs, %d panics counted", runs, n)
	}
}
