package watch

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"netwatchd/internal/diagnose"
	"netwatchd/internal/probe"
)

const sandboxEvery = 5 * time.Minute

// withTwin is a service with a sandbox. The world's "inside" says how its attempts end in there, and how long starting the
// sandbox takes; ok: as they do outside, with what the world says of "head".
func (w *world) withSandbox(want diagnose.Want) Service {
	s := w.ladder()
	s.Expect.Sandbox = want
	look := probe.Result{Spec: probe.Spec{Service: "codex", Name: probe.LookSandbox, Role: probe.OfHost, Vantage: probe.FromSandbox}}
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

// Most rounds have no twin. The verdict must not follow from which of them has.
func TestAVerdictOnTheSandboxDoesNotFlap(t *testing.T) {
	for _, test := range []struct {
		inside probe.Class
		want   diagnose.Want
		cause  diagnose.Cause
	}{
		{probe.LocalDenied, diagnose.WantOpen, diagnose.Sandbox},
		{probe.LocalDenied, diagnose.WantClosed, diagnose.Healthy},
		{probe.OK, diagnose.WantClosed, diagnose.SandboxOpen},
		{probe.OK, diagnose.WantOpen, diagnose.Healthy},
		{probe.ExecStartFailed, diagnose.WantClosed, diagnose.Agent},
		{probe.Unknown, diagnose.WantClosed, diagnose.Inconclusive},
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

func TestASandboxThatOpensIsSeenWithTheNextTwin(t *testing.T) {
	world, seen := newWorld(), new(moves)
	world.set("inside", probe.LocalDenied, 200*time.Millisecond)
	watching(t, world.plan(world.withSandbox(diagnose.WantClosed)), Options{Observers: []Observer{seen}}, func(t *testing.T, w *Watcher) {
		time.Sleep(time.Hour)
		world.set("inside", probe.OK, 200*time.Millisecond)
		time.Sleep(sandboxEvery + 2*time.Second)
		wantCause(t, w, diagnose.SandboxOpen)
		world.set("inside", probe.LocalDenied, 200*time.Millisecond)
		time.Sleep(sandboxEvery + 2*time.Second)
		wantCause(t, w, diagnose.Healthy)
		moved(t, seen, "starting -> healthy", "healthy -> sandbox_open", "sandbox_open -> healthy")
	})
}

// The sandbox is open and wanted so, and the service goes down and comes back: at no moment is it the sandbox.
func TestWhatHostAndSandboxShareIsNeverTheSandbox(t *testing.T) {
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
		serviceStatus(t, w) // what the watcher's goroutine wrote before it is ours to read
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

// The twin of a confirming round is the one of that moment; a closed sandbox does not hide whose fault it is.
func TestAConfirmingRoundHasItsOwnTwin(t *testing.T) {
	world := newWorld()
	world.set("inside", probe.LocalDenied, 200*time.Millisecond)
	watching(t, world.plan(world.withSandbox(diagnose.WantClosed)), Options{}, func(t *testing.T, w *Watcher) {
		time.Sleep(time.Minute)
		before := len(world.starts("inside"))
		world.set("head", probe.HTTPServerError, usually)
		time.Sleep(interval + 2*time.Second)
		got := wantCause(t, w, diagnose.Upstream)
		if limit := probe.InSeconds(2 * time.Second); got.Delay > limit {
			t.Errorf("delay: got %v s, want at most %v s", got.Delay, limit)
		}
		if len(world.starts("inside")) == before {
			t.Error("the confirming round had no twin")
		}
	})
}

// A sandbox that hangs while it starts does not keep anyone waiting for the verdict on the service.
func TestASandboxThatHangsDoesNotDelayAVerdict(t *testing.T) {
	world := newWorld()
	watching(t, world.plan(world.withSandbox(diagnose.WantClosed)), Options{}, func(t *testing.T, w *Watcher) {
		world.set("inside", probe.ExecTimedOut, 20*time.Second)
		world.set("head", probe.TCPRefused, usually)
		time.Sleep(interval + 3*time.Second)
		if got := wantCause(t, w, diagnose.Upstream); got.Delay > probe.InSeconds(2*time.Second) {
			t.Errorf("delay: got %v s, want at most two", got.Delay)
		}
	})
}

// A wrapper that hangs takes until its own timeout; the service goes down and comes back twice over meanwhile.
func TestASandboxThatHangsDelaysNoLaterRound(t *testing.T) {
	world := newWorld()
	world.set("inside", probe.LocalDenied, 20*time.Second)
	watching(t, world.plan(world.withSandbox(diagnose.WantClosed)), Options{}, func(t *testing.T, w *Watcher) {
		time.Sleep(time.Minute)
		wantCause(t, w, diagnose.Healthy)
		becomes := func(class probe.Class, cause diagnose.Cause) {
			world.set("head", class, 0)
			time.Sleep(interval + time.Second)
			if got := wantCause(t, w, cause); got.Delay > probe.InSeconds(2*time.Second) {
				t.Errorf("%v: delay: got %v s, want at most two", cause, got.Delay)
			}
		}
		becomes(probe.TCPRefused, diagnose.Upstream)
		becomes(probe.OK, diagnose.Healthy)
		becomes(probe.HTTPEdgeBlocked, diagnose.EdgeBlocked)
		becomes(probe.OK, diagnose.Healthy)
		if most := len(world.starts("inside")); most > 6 {
			t.Errorf("the sandbox was started %d times, one start beside another", most)
		}
	})
}

// What a slow sandbox shows late counts: for the rounds that come.
func TestASlowSandboxIsHeardAfterItsRound(t *testing.T) {
	world := newWorld()
	world.set("inside", probe.OK, 10*time.Second)
	watching(t, world.plan(world.withSandbox(diagnose.WantClosed)), Options{}, func(t *testing.T, w *Watcher) {
		time.Sleep(5 * time.Second)
		wantCause(t, w, diagnose.Healthy) // as far as is known: the first round did not wait
		time.Sleep(2*interval + 5*time.Second)
		wantCause(t, w, diagnose.SandboxOpen)
		time.Sleep(time.Hour)
		wantCause(t, w, diagnose.SandboxOpen)
	})
}

func TestAReloadKeepsWhatWasSeenInside(t *testing.T) {
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
		wantCause(t, w, diagnose.Healthy)
	})
}

func TestOnceAlwaysHasATwin(t *testing.T) {
	world := newWorld()
	world.set("inside", probe.LocalDenied, 0)
	status := Once(t.Context(), world.plan(world.withSandbox(diagnose.WantOpen)), "test")
	if got := status.Services[0].Cause; got != diagnose.Sandbox {
		t.Errorf("cause: got %v, want %v", got, diagnose.Sandbox)
	}
	if status.Sandboxed.Denied {
		t.Error("what was seen inside the sandbox was taken for this process")
	}
}

func TestWhatLasts(t *testing.T) {
	made := func(from probe.Vantage, name string, class probe.Class) probe.Result {
		return probe.Result{Spec: probe.Spec{Service: "codex", Name: name, Kind: probe.KindHTTP, Vantage: from}, Class: class}
	}
	for _, test := range []struct {
		inside, outside probe.Class
		want            bool
	}{
		{probe.OK, probe.TCPRefused, true},
		{probe.LocalDenied, probe.TCPRefused, true}, // the kernel said so: nobody else has a part in it
		{probe.ExecStartFailed, probe.TCPRefused, true},
		{probe.ProxyFailed, probe.OK, true},
		{probe.TCPRefused, probe.TCPRefused, false},
		{probe.Unknown, probe.Unknown, false},
		{probe.Unknown, probe.OK, true},
	} {
		twin := made(probe.FromSandbox, "head", test.inside)
		results := []probe.Result{twin, made(probe.FromHost, "head", test.outside), made(probe.FromHost, "other", probe.OK)}
		if got := outlastsRound(twin, results); got != test.want {
			t.Errorf("%v inside, %v outside: got %v, want %v", test.inside, test.outside, got, test.want)
		}
	}
}
