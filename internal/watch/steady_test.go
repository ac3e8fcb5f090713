package watch

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"netwatchd/internal/causes"
	"netwatchd/internal/diagnose"
	"netwatchd/internal/probe"
)

// worlds is how many random worlds each test tries.
const worlds = 8

// In a world that does not change the verdict does not change either, once every probe has run: whichever probes fail
// together, and however rarely some of them run.
func TestSteadyWorldHasASteadyVerdict(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2026))
	for range worlds {
		world, seen := newWorld(), new(moves)
		plan := world.plan(world.withAll())
		injected := world.injectAtRandom(random) + world.injectIntoRuns(random)
		watching(t, plan, Options{Observers: []Observer{seen}}, func(t *testing.T, w *Watcher) {
			time.Sleep(3 * time.Hour)
			synctest.Wait()
			settled := len(seen.seen)
			time.Sleep(3 * time.Hour)
			synctest.Wait()
			if late := seen.seen[settled:]; len(late) > 0 {
				t.Errorf("%s:\nfirst %s\nthen  %s", injected, strings.Join(seen.seen[:settled], ", "), strings.Join(late[:min(len(late), 6)], ", "))
			}
		})
	}
}

// Once everything works again the verdict becomes healthy, whatever was wrong and for however long, and nobody is
// paged meanwhile.
func TestWorldThatRecoversBecomesHealthy(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(2, 2026))
	for range worlds {
		world, seen := newWorld(), new(moves)
		plan := world.plan(world.withAll())
		world.recover()
		watching(t, plan, Options{Observers: []Observer{seen}}, func(t *testing.T, w *Watcher) {
			time.Sleep(time.Duration(random.Int64N(int64(2 * time.Hour))))
			injected := world.injectAtRandom(random) + world.injectIntoRuns(random)
			time.Sleep(time.Duration(random.Int64N(int64(2 * time.Hour))))
			serviceStatus(t, w)
			before := len(seen.seen)
			world.recover()
			time.Sleep(maxBackoff + time.Hour) // the agent's backoff may be at its longest
			synctest.Wait()
			after := seen.seen[before:]
			if last := serviceStatus(t, w); last.Cause != causes.Healthy || slices.ContainsFunc(after, paged) {
				t.Errorf("%s:\nuntil it recovered %s\nthen %s: %s", injected, strings.Join(seen.seen[:before], ", "), strings.Join(after, ", "), last.Title)
			}
		})
	}
}

// The past does not count: after a change the verdict becomes that of a daemon which has seen nothing else, and
// nobody is paged meanwhile unless that verdict pages.
func TestVerdictDoesNotDependOnThePast(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(3, 2026))
	const long = 8 * time.Hour
	for range worlds / 2 {
		fresh := newWorld()
		plan := fresh.plan(fresh.withAll())
		injected := fresh.injectAtRandom(random)
		var want ServiceStatus
		watching(t, plan, Options{}, func(t *testing.T, w *Watcher) {
			time.Sleep(long)
			want = serviceStatus(t, w)
		})

		world, seen := newWorld(), new(moves)
		plan = world.plan(world.withAll())
		first := world.injectAtRandom(random)
		watching(t, plan, Options{Observers: []Observer{seen}}, func(t *testing.T, w *Watcher) {
			time.Sleep(2*time.Hour + time.Duration(random.Int64N(int64(2*time.Hour))))
			serviceStatus(t, w)
			before := len(seen.seen)
			world.become(fresh)
			time.Sleep(long)
			got := serviceStatus(t, w)
			if after := seen.seen[before:]; got.Title != want.Title || slices.ContainsFunc(after, paged) && !pages(want.Cause) {
				t.Errorf("%s, then %s:\n%s\nthen %s: %s, want %s", first, injected, strings.Join(seen.seen[:before], ", "), strings.Join(after, ", "), got.Title, want.Title)
			}
		})
	}
}

func pages(c causes.Cause) bool { return c == causes.Upstream || c == causes.Stream }

// paged reports whether a move is to a cause that pages.
func paged(move string) bool {
	return strings.HasSuffix(move, "> upstream") || strings.HasSuffix(move, "> stream")
}

// withAll is a ladder with a stream, a sandbox, and an agent that is run, in every form,
// and asked about itself.
func (w *world) withAll() Service {
	s := w.withSandbox(diagnose.WantClosed)
	s.Tasks = append(s.Tasks, w.withStream().Tasks[2], w.withBuiltin().Tasks[2], w.statusTask())
	return s
}

// recover makes every probe succeed, and closes the sandbox.
func (w *world) recover() {
	w.mu.Lock()
	clear(w.ends)
	w.mu.Unlock()
	w.set("stream", probe.OK, held)
	w.set("inside", probe.LocalDenied, usually)
}

// become makes every attempt end as in another world.
func (w *world) become(other *world) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ends = other.ends
}

// injectIntoRuns makes runs against a stub fail, or those with the agent's own provider, or both, and returns which.
// The latter depend on the past: they are made once a day.
func (w *world) injectIntoRuns(random *rand.Rand) string {
	var injected strings.Builder
	for _, run := range []string{"exec/stub", "exec/builtin"} {
		if random.IntN(2) == 0 {
			w.fail(run, probe.ExecTimedOut, probe.Executing)
			injected.WriteString(", " + run + " " + probe.ExecTimedOut.String())
		}
	}
	return injected.String()
}

// injectAtRandom makes some of the probes fail, and returns which and how.
func (w *world) injectAtRandom(random *rand.Rand) string {
	w.recover()
	var injected []string
	pick := func(classes ...probe.Class) probe.Class { return classes[random.IntN(len(classes))] }
	fail := func(one int, phase probe.Phase, classes []probe.Class, names ...string) {
		if random.IntN(one) > 0 {
			return
		}
		class := pick(classes...)
		for _, name := range names {
			if (name == "exec" || name == "status") && phase < probe.Executing {
				w.fail(name, probe.ExecNetwork, probe.Executing)
				continue
			}
			w.fail(name, class, phase)
		}
		injected = append(injected, strings.Join(names, "+")+" "+class.String())
	}
	names := []probe.Class{probe.DNSTimeout, probe.DNSNameNotResolved, probe.DNSServfail, probe.LocalNoRoute, probe.Unknown}
	wire := []probe.Class{probe.TCPRefused, probe.TCPTimedOut, probe.TCPReset, probe.TLSAuthorityInvalid, probe.TLSDateInvalid,
		probe.ProxyUnreachable, probe.LocalNoRoute, probe.LocalDenied, probe.Unknown}
	answers := []probe.Class{probe.HTTPServerError, probe.HTTPUnexpectedStatus, probe.HTTPEdgeBlocked, probe.HTTPTimedOut}
	fail(3, probe.Executing, []probe.Class{probe.ExecUsageLimit, probe.ExecNotFound, probe.ExecTimedOut, probe.Unknown,
		probe.ExecOverloaded, probe.HTTPEdgeBlocked}, "exec")
	fail(4, probe.Executing, []probe.Class{probe.ExecNotLoggedIn, probe.ExecConfigInvalid, probe.ExecNetwork, probe.ExecTimedOut,
		probe.Unknown}, "status")
	fail(4, probe.Streaming, []probe.Class{probe.StreamCut, probe.StreamIdleCut, probe.StreamStalled}, "stream")
	// A fault on a lower rung makes those above it fail too.
	fail(4, probe.Response, answers, "head")
	fail(6, probe.Connect, wire, "stream", "upgrade")
	fail(6, probe.Connect, wire, "head", "exec", "status")
	fail(6, probe.Connect, wire, "head", "stream", "upgrade", "exec", "status")
	fail(6, probe.Resolve, names, "dns", "head", "stream", "upgrade", "exec", "status")
	fail(3, probe.NoPhase, []probe.Class{probe.OK, probe.ExecStartFailed, probe.Unknown, probe.TCPTimedOut}, "inside")
	fail(6, probe.Resolve, names, "ns")
	fail(6, probe.Resolve, names, "direct")
	fail(6, probe.Connect, wire, "one")
	fail(6, probe.Connect, wire, "two", "three")
	return strings.Join(injected, ", ")
}
