package watch

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"netwatchd/internal/diagnose"
	"netwatchd/internal/probe"
)

// worlds are how many are tried each time; another seed tries others.
const worlds = 8

// In a world that does not change, neither does the verdict once everything in it has been tried: whichever probes fail
// together, however rarely some of them are made.
func TestAWorldThatIsSteadyHasASteadyVerdict(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2026))
	for range worlds {
		world, seen := newWorld(), new(moves)
		plan := world.plan(world.withAll())
		bent := world.bendAtRandom(random)
		watching(t, plan, Options{Observers: []Observer{seen}}, func(t *testing.T, w *Watcher) {
			time.Sleep(3 * time.Hour)
			synctest.Wait()
			settled := len(seen.seen)
			time.Sleep(3 * time.Hour)
			synctest.Wait()
			if late := seen.seen[settled:]; len(late) > 0 {
				t.Errorf("%s:\nfirst %s\nthen  %s", bent, strings.Join(seen.seen[:settled], ", "), strings.Join(late[:min(len(late), 6)], ", "))
			}
		})
	}
}

// Once all is well again it is called so, whatever was wrong and for however long; and nobody is woken meanwhile.
func TestAWorldThatGetsWellIsCalledWell(t *testing.T) {
	random := rand.New(rand.NewPCG(2, 2026))
	for range worlds {
		world, seen := newWorld(), new(moves)
		plan := world.plan(world.withAll())
		world.well()
		watching(t, plan, Options{Observers: []Observer{seen}}, func(t *testing.T, w *Watcher) {
			time.Sleep(time.Duration(random.Int64N(int64(2 * time.Hour))))
			bent := world.bendAtRandom(random)
			time.Sleep(time.Duration(random.Int64N(int64(2 * time.Hour))))
			serviceStatus(t, w)
			before := len(seen.seen)
			world.well()
			time.Sleep(maxBackoff + time.Hour) // the agent may be waited for
			synctest.Wait()
			after := seen.seen[before:]
			if last := serviceStatus(t, w); last.Cause != diagnose.Healthy || slices.ContainsFunc(after, woken) {
				t.Errorf("%s:\nuntil it was well %s\nthen %s: %s", bent, strings.Join(seen.seen[:before], ", "), strings.Join(after, ", "), last.Title)
			}
		})
	}
}

// What was wrong before does not count: the verdict on a world becomes that of a daemon that never knew another, and on the
// way to it nobody is woken for a world that wakes nobody.
func TestAVerdictDoesNotDependOnWhatWasBefore(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 2026))
	const long = 8 * time.Hour
	for range worlds / 2 {
		fresh := newWorld()
		plan := fresh.plan(fresh.withAll())
		bent := fresh.bendAtRandom(random)
		var want ServiceStatus
		watching(t, plan, Options{}, func(t *testing.T, w *Watcher) {
			time.Sleep(long)
			want = serviceStatus(t, w)
		})

		world, seen := newWorld(), new(moves)
		plan = world.plan(world.withAll())
		first := world.bendAtRandom(random)
		watching(t, plan, Options{Observers: []Observer{seen}}, func(t *testing.T, w *Watcher) {
			time.Sleep(2*time.Hour + time.Duration(random.Int64N(int64(2*time.Hour))))
			serviceStatus(t, w)
			before := len(seen.seen)
			world.become(fresh)
			time.Sleep(long)
			got := serviceStatus(t, w)
			if after := seen.seen[before:]; got.Title != want.Title || slices.ContainsFunc(after, woken) && !wakes(want.Cause) {
				t.Errorf("%s, then %s:\n%s\nthen %s: %s, want %s", first, bent, strings.Join(seen.seen[:before], ", "), strings.Join(after, ", "), got.Title, want.Title)
			}
		})
	}
}

func wakes(c diagnose.Cause) bool { return c == diagnose.Upstream || c == diagnose.Stream }

// woken reports whether a move is to a cause that wakes people.
func woken(move string) bool {
	return strings.HasSuffix(move, "> upstream") || strings.HasSuffix(move, "> stream")
}

// withAll is a ladder with a stream, runs of the agent and a sandbox.
func (w *world) withAll() Service {
	s := w.withSandbox(diagnose.WantClosed)
	s.Tasks = append(s.Tasks, w.withStream().Tasks[2], w.withExec(24, time.Hour).Tasks[2])
	return s
}

// well has everything end as it should; the sandbox is closed.
func (w *world) well() {
	w.mu.Lock()
	clear(w.ends)
	w.mu.Unlock()
	w.set("stream", probe.OK, held)
	w.set("inside", probe.LocalDenied, usually)
}

// become has everything end as in another world.
func (w *world) become(other *world) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ends = other.ends
}

// bendAtRandom has some of the probes end badly for good, and says which and how.
func (w *world) bendAtRandom(random *rand.Rand) string {
	w.well()
	var bent []string
	pick := func(classes ...probe.Class) probe.Class { return classes[random.IntN(len(classes))] }
	fail := func(one int, phase probe.Phase, classes []probe.Class, names ...string) {
		if random.IntN(one) > 0 {
			return
		}
		class := pick(classes...)
		for _, name := range names {
			if name == "exec" && phase < probe.Executing {
				w.fail(name, probe.ExecNetwork, probe.Executing)
				continue
			}
			w.fail(name, class, phase)
		}
		bent = append(bent, strings.Join(names, "+")+" "+class.String())
	}
	names := []probe.Class{probe.DNSTimeout, probe.DNSNameNotResolved, probe.DNSServfail, probe.LocalNoRoute, probe.Unknown}
	wire := []probe.Class{probe.TCPRefused, probe.TCPTimedOut, probe.TCPReset, probe.TLSAuthorityInvalid, probe.TLSDateInvalid,
		probe.ProxyUnreachable, probe.LocalNoRoute, probe.LocalDenied, probe.Unknown}
	answers := []probe.Class{probe.HTTPServerError, probe.HTTPUnexpectedStatus, probe.HTTPEdgeBlocked, probe.HTTPTimedOut}
	fail(3, probe.Executing, []probe.Class{probe.ExecUsageLimit, probe.ExecNotFound, probe.ExecTimedOut, probe.Unknown}, "exec")
	fail(4, probe.Streaming, []probe.Class{probe.StreamCut, probe.StreamIdleCut, probe.StreamStalled}, "stream")
	// What a lower rung withholds, those above it do not reach.
	fail(4, probe.Response, answers, "head")
	fail(6, probe.Connect, wire, "stream", "upgrade")
	fail(6, probe.Connect, wire, "head", "exec")
	fail(6, probe.Connect, wire, "head", "stream", "upgrade", "exec")
	fail(6, probe.Resolve, names, "dns", "head", "stream", "upgrade", "exec")
	fail(3, probe.NoPhase, []probe.Class{probe.OK, probe.ExecStartFailed, probe.Unknown, probe.TCPTimedOut}, "inside")
	fail(6, probe.Resolve, names, "ns")
	fail(6, probe.Resolve, names, "direct")
	fail(6, probe.Connect, wire, "one")
	fail(6, probe.Connect, wire, "two", "three")
	return strings.Join(bent, ", ")
}
