package watch

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"netwatchd/internal/diagnose"
	"netwatchd/internal/probe"
)

// A server that is restarted cuts what it holds.
func TestOneCutIsNoBrokenStream(t *testing.T) {
	world := newWorld()
	moved := new(moves)
	watching(t, world.plan(world.withStream()), Options{Observers: []Observer{moved}}, func(t *testing.T, w *Watcher) {
		time.Sleep(10 * time.Minute)
		world.lose("stream", 1)
		time.Sleep(30 * time.Minute)
		synctest.Wait()
		if diff := cmp.Diff([]string{"starting -> healthy"}, moved.seen); diff != "" {
			t.Errorf("moves after one cut (-want +got):\n%s", diff)
		}
		world.set("stream", probe.StreamIdleCut, held)
		time.Sleep(5*time.Minute + 2*held + 2*time.Second)
		if got := wantCause(t, w, diagnose.Stream); got.Delay.Duration() < 2*held || got.Delay.Duration() > 2*held+2*time.Second {
			t.Errorf("delay: got %v, want that of two connections held, from the first on", got.Delay.Duration())
		}
		before := len(world.starts("stream"))
		time.Sleep(30 * time.Minute)
		if again := len(world.starts("stream")) - before; again > 6 {
			t.Errorf("held %d times in half an hour while it is known to be cut, want every five minutes", again)
		}
		world.set("stream", probe.OK, held)
		time.Sleep(5*time.Minute + held + 2*time.Second)
		wantCause(t, w, diagnose.Healthy)
	})
}

// One that could not be opened for a moment can be opened the next.
func TestOneStreamThatDoesNotOpenIsNoBrokenStream(t *testing.T) {
	world, seen := newWorld(), new(moves)
	watching(t, world.plan(world.withStream()), Options{Observers: []Observer{seen}}, func(t *testing.T, w *Watcher) {
		world.fail("stream", probe.TLSClosed, probe.Connect)
		for len(world.starts("stream")) == 0 {
			time.Sleep(time.Second)
		}
		world.set("stream", probe.OK, held)
		time.Sleep(30 * time.Minute)
		synctest.Wait()
		moved(t, seen, "starting -> healthy")
	})
}

// On a line with a long delay a good upgrade takes longer than anything else.
func TestASlowUpgradeIsNoBrokenStream(t *testing.T) {
	world := newWorld()
	moved := new(moves)
	watching(t, world.plan(world.withStream()), Options{Observers: []Observer{moved}}, func(t *testing.T, w *Watcher) {
		world.set("upgrade", probe.OK, confirmTimeout+time.Second)
		for range 10 {
			world.lose("head", 1)
			time.Sleep(2 * interval)
		}
		synctest.Wait()
		if diff := cmp.Diff([]string{"starting -> healthy"}, moved.seen); diff != "" {
			t.Errorf("moves (-want +got):\n%s", diff)
		}
	})
}

// Whatever became of a stream while the network was gone says nothing once that is back.
func TestAnOutageLeavesNoBrokenStream(t *testing.T) {
	world := newWorld()
	moved := new(moves)
	watching(t, world.plan(world.withStream()), Options{Observers: []Observer{moved}}, func(t *testing.T, w *Watcher) {
		for range 40 { // beginning and end meet the stream in every state
			for _, name := range []string{"head", "stream", "upgrade"} {
				world.set(name, probe.TCPTimedOut, 5*time.Second)
			}
			time.Sleep(7*time.Minute + 7*time.Second)
			for _, r := range wantCause(t, w, diagnose.Upstream).Results {
				if age := time.Since(r.Start); r.Name == "stream" && age > 5*time.Minute+held {
					t.Errorf("a stream of %v ago is held against now", age)
				}
			}
			world.set("head", probe.OK, usually)
			world.set("stream", probe.OK, held)
			world.set("upgrade", probe.OK, usually)
			time.Sleep(4*time.Minute + 11*time.Second)
			wantCause(t, w, diagnose.Healthy)
		}
		synctest.Wait()
		if slices.ContainsFunc(moved.seen, func(m string) bool { return strings.HasSuffix(m, "-> stream") }) {
			t.Errorf("moves: %v, want no broken stream among them", moved.seen)
		}
	})
}

// A stream that is cut while nothing else is reached either may have been cut by what keeps all from being reached.
func TestAStreamCutWithoutAControlIsHeldAnewOnceOneIsReached(t *testing.T) {
	for _, mends := range []bool{true, false} {
		t.Run(fmt.Sprintf("mends %v", mends), func(t *testing.T) {
			world, seen := newWorld(), new(moves)
			watching(t, world.plan(world.withStream()), Options{Observers: []Observer{seen}}, func(t *testing.T, w *Watcher) {
				controls := []string{"one", "two", "three"}
				for _, name := range controls {
					world.set(name, probe.TCPTimedOut, time.Second)
				}
				world.set("stream", probe.StreamCut, held)
				time.Sleep(2 * time.Hour)
				wantCause(t, w, diagnose.Inconclusive)
				for _, name := range controls {
					world.set(name, probe.OK, usually)
				}
				want := []string{"starting -> healthy", "healthy -> inconclusive", "inconclusive -> healthy"}
				if mends {
					world.set("stream", probe.OK, held)
				} else {
					want = append(want, "healthy -> stream")
				}
				time.Sleep(interval + 2*held + 3*time.Second)
				synctest.Wait()
				moved(t, seen, want...)
			})
		})
	}
}

// Streams may fail for a reason of the network while plain requests get through: another host, a proxy of their own.
func TestAStreamThatFailsAloneIsNotForgottenBetweenItsTurns(t *testing.T) {
	for class, cause := range map[probe.Class]diagnose.Cause{
		probe.TCPRefused:          diagnose.Stream,
		probe.TLSAuthorityInvalid: diagnose.Interception,
		probe.ProxyUnreachable:    diagnose.Proxy,
	} {
		t.Run(class.String(), func(t *testing.T) {
			world, seen := newWorld(), new(moves)
			plan := world.plan(world.withStream())
			stream := plan.Services[0].Tasks[2]
			stream.Probe.Target, stream.RoundProbe.Target = "wss://elsewhere.example/", "wss://elsewhere.example/"
			for _, name := range []string{"stream", "upgrade"} {
				world.fail(name, class, probe.Connect)
			}
			watching(t, plan, Options{Observers: []Observer{seen}}, func(t *testing.T, w *Watcher) {
				time.Sleep(2 * time.Hour)
				wantCause(t, w, cause)
				world.set("stream", probe.OK, held)
				world.set("upgrade", probe.OK, usually)
				time.Sleep(interval + 2*time.Second)
				wantCause(t, w, diagnose.Healthy)
				synctest.Wait()
				moved(t, seen, "starting -> healthy", "healthy -> "+cause.String(), cause.String()+" -> healthy")
			})
		})
	}
}

// What is wrong besides may count only together with a stream that is cut; then that one is not explained by it.
func TestAStreamThatIsCutIsNotForgottenForWhatStandsBeside(t *testing.T) {
	world, seen := newWorld(), new(moves)
	plan := world.plan(world.withStream())
	world.set("stream", probe.StreamIdleCut, held)
	for _, name := range []string{"two", "three"} {
		world.fail(name, probe.TLSAuthorityInvalid, probe.Connect)
	}
	watching(t, plan, Options{Observers: []Observer{seen}}, func(t *testing.T, w *Watcher) {
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		moved(t, seen, "starting -> healthy", "healthy -> interception")
	})
}

// What a stream did yesterday says nothing today.
func TestAStreamThatWasCutBeforeASleepIsHeldAnew(t *testing.T) {
	world, clock, seen := newWorld(), new(nap), new(moves)
	plan := world.plan(world.withStream())
	world.set("stream", probe.StreamIdleCut, held)
	watching(t, plan, Options{Clock: clock, Observers: []Observer{seen}}, func(t *testing.T, w *Watcher) {
		time.Sleep(time.Hour)
		wantCause(t, w, diagnose.Stream)
		clock.taken.Store(true)
		world.set("stream", probe.OK, held)
		time.Sleep(time.Hour)
		synctest.Wait()
		moved(t, seen, "starting -> healthy", "healthy -> stream", "stream -> suspended", "suspended -> healthy")
	})
}

// What cannot be told of the sandbox does not hide a stream that is cut.
func TestAStreamThatIsCutIsNamedBesideWhatCannotBeTold(t *testing.T) {
	world, seen := newWorld(), new(moves)
	plan := world.plan(world.withAll())
	world.well()
	world.set("inside", probe.Unknown, usually)
	world.set("stream", probe.StreamCut, held)
	watching(t, plan, Options{Observers: []Observer{seen}}, func(t *testing.T, w *Watcher) {
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		moved(t, seen, "starting -> inconclusive", "inconclusive -> stream")
	})
}

// A reload may have rounds make what was carried into them.
func TestAStreamThatIsNoLongerHeldIsNotCarried(t *testing.T) {
	world := newWorld()
	plan := world.plan(world.withStream())
	controls := []string{"one", "two", "three"}
	for _, name := range controls {
		world.set(name, probe.TCPTimedOut, time.Second)
	}
	world.set("stream", probe.StreamCut, held)
	watching(t, plan, Options{}, func(t *testing.T, w *Watcher) {
		time.Sleep(time.Hour)
		wantCause(t, w, diagnose.Inconclusive)
		unheld := world.withStream()
		task := &unheld.Tasks[2]
		task.Probe, task.Interval = task.RoundProbe, unheld.Every
		if err := w.Reload(t.Context(), world.plan(unheld)); err != nil {
			t.Fatal(err)
		}
		for _, name := range controls {
			world.set(name, probe.OK, usually)
		}
		time.Sleep(3 * interval)
		wantCause(t, w, diagnose.Healthy)
	})
}
