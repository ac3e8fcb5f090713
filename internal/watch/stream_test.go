package watch

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"netwatchd/internal/causes"
	"netwatchd/internal/probe"
)

// A server that restarts drops every connection.
func TestOneDropIsNoBrokenStream(t *testing.T) {
	world := newWorld()
	moved := new(moves)
	watching(t, world.plan(world.withStream()), Options{Observers: []Observer{moved}}, func(t *testing.T, w *Watcher) {
		time.Sleep(10 * time.Minute)
		world.lose("stream", 1)
		time.Sleep(30 * time.Minute)
		synctest.Wait()
		if diff := cmp.Diff([]string{"starting -> healthy"}, moved.seen); diff != "" {
			t.Errorf("moves after one drop (-want +got):\n%s", diff)
		}
		world.set("stream", probe.StreamIdleCut, held)
		time.Sleep(5*time.Minute + 2*held + 2*time.Second)
		if got := wantCause(t, w, causes.Stream); got.Delay.Duration() < 2*held || got.Delay.Duration() > 2*held+2*time.Second {
			t.Errorf("delay: got %v, want that of two held connections, from the start of the first", got.Delay.Duration())
		}
		before := len(world.starts("stream"))
		time.Sleep(30 * time.Minute)
		if again := len(world.starts("stream")) - before; again > 6 {
			t.Errorf("held %d times in half an hour while it is known to be dropped, want every five minutes", again)
		}
		world.set("stream", probe.OK, held)
		time.Sleep(5*time.Minute + held + 2*time.Second)
		wantCause(t, w, causes.Healthy)
	})
}

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

// On a link with a long delay a successful upgrade takes longer than any other probe.
func TestSlowUpgradeIsNoBrokenStream(t *testing.T) {
	world := newWorld()
	moved := new(moves)
	watching(t, world.plan(world.withStream()), Options{Observers: []Observer{moved}}, func(t *testing.T, w *Watcher) {
		world.set("upgrade", probe.OK, confirmTimeout+time.Second)
		for range 10 {
			world.lose("head", 1)
			time.Sleep(30 * interval) // so rarely that it is no fault in pieces
		}
		synctest.Wait()
		if diff := cmp.Diff([]string{"starting -> healthy"}, moved.seen); diff != "" {
			t.Errorf("moves (-want +got):\n%s", diff)
		}
	})
}

// How a stream ended while the network was down says nothing once the network is back.
func TestOutageLeavesNoBrokenStream(t *testing.T) {
	world := newWorld()
	moved := new(moves)
	watching(t, world.plan(world.withStream()), Options{Observers: []Observer{moved}}, func(t *testing.T, w *Watcher) {
		for range 40 { // start and end of the outage meet the stream in every state
			for _, name := range []string{"head", "stream", "upgrade"} {
				world.set(name, probe.TCPTimedOut, 5*time.Second)
			}
			time.Sleep(7*time.Minute + 7*time.Second)
			for _, r := range wantCause(t, w, causes.Upstream).Results {
				if age := time.Since(r.Start); r.Name == "stream" && age > 5*time.Minute+held {
					t.Errorf("the round has a stream of %v ago", age)
				}
			}
			world.set("head", probe.OK, usually)
			world.set("stream", probe.OK, held)
			world.set("upgrade", probe.OK, usually)
			time.Sleep(4*time.Minute + 11*time.Second)
			wantCause(t, w, causes.Healthy)
		}
		synctest.Wait()
		if slices.ContainsFunc(moved.seen, func(m string) bool { return strings.HasSuffix(m, "-> stream") }) {
			t.Errorf("moves: %v, want no broken stream among them", moved.seen)
		}
	})
}

// A stream that is dropped while no control is reachable may have been dropped by the same fault.
func TestStreamDroppedWithoutControlsIsHeldAgain(t *testing.T) {
	for _, recovers := range []bool{true, false} {
		t.Run(fmt.Sprintf("recovers %v", recovers), func(t *testing.T) {
			world, seen := newWorld(), new(moves)
			watching(t, world.plan(world.withStream()), Options{Observers: []Observer{seen}}, func(t *testing.T, w *Watcher) {
				controls := []string{"one", "two", "three"}
				for _, name := range controls {
					world.set(name, probe.TCPTimedOut, time.Second)
				}
				world.set("stream", probe.StreamCut, held)
				time.Sleep(2 * time.Hour)
				wantCause(t, w, causes.Inconclusive)
				for _, name := range controls {
					world.set(name, probe.OK, usually)
				}
				want := []string{"starting -> healthy", "healthy -> inconclusive", "inconclusive -> healthy"}
				if recovers {
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

// Streams may have a network fault of their own while plain requests succeed: another host, another proxy.
func TestStreamThatFailsAloneIsKeptBetweenItsAttempts(t *testing.T) {
	for class, cause := range map[probe.Class]causes.Cause{
		probe.TCPRefused:          causes.Stream,
		probe.TLSAuthorityInvalid: causes.Interception,
		probe.ProxyUnreachable:    causes.Proxy,
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
				wantCause(t, w, causes.Healthy)
				synctest.Wait()
				moved(t, seen, "starting -> healthy", "healthy -> "+cause.String(), cause.String()+" -> healthy")
			})
		})
	}
}

// A second fault may be a verdict only together with a dropped stream. Then it does not explain the drop.
func TestDroppedStreamIsKeptBesideASecondFault(t *testing.T) {
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

func TestStreamDroppedBeforeASuspendIsHeldAgain(t *testing.T) {
	world, clock, seen := newWorld(), new(nap), new(moves)
	plan := world.plan(world.withStream())
	world.set("stream", probe.StreamIdleCut, held)
	watching(t, plan, Options{Clock: clock, Observers: []Observer{seen}}, func(t *testing.T, w *Watcher) {
		time.Sleep(time.Hour)
		wantCause(t, w, causes.Stream)
		clock.taken.Store(true)
		world.set("stream", probe.OK, held)
		time.Sleep(time.Hour)
		synctest.Wait()
		moved(t, seen, "starting -> healthy", "healthy -> stream", "stream -> suspended", "suspended -> healthy")
	})
}

func TestUnknownSandboxResultDoesNotHideADroppedStream(t *testing.T) {
	world, seen := newWorld(), new(moves)
	plan := world.plan(world.withAll())
	world.recover()
	world.set("inside", probe.Unknown, usually)
	world.set("stream", probe.StreamCut, held)
	watching(t, plan, Options{Observers: []Observer{seen}}, func(t *testing.T, w *Watcher) {
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		moved(t, seen, "starting -> inconclusive", "inconclusive -> stream")
	})
}

// After a reload rounds may run what they used a retained result of.
func TestStreamThatIsNoLongerHeldIsNotRetained(t *testing.T) {
	world := newWorld()
	plan := world.plan(world.withStream())
	controls := []string{"one", "two", "three"}
	for _, name := range controls {
		world.set(name, probe.TCPTimedOut, time.Second)
	}
	world.set("stream", probe.StreamCut, held)
	watching(t, plan, Options{}, func(t *testing.T, w *Watcher) {
		time.Sleep(time.Hour)
		wantCause(t, w, causes.Inconclusive)
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
		wantCause(t, w, causes.Healthy)
	})
}
