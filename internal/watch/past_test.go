package watch

import (
	"context"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"netwatchd/internal/causes"
	"netwatchd/internal/diagnose"
	"netwatchd/internal/probe"
	"netwatchd/internal/tally"
)

// inPieces makes attempts of a probe fail in pieces: fails is asked with the number of the attempt, from 1 on.
func (w *world) inPieces(name string, class probe.Class, fails func(n int) bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pieces[name] = func() end {
		if fails(len(w.begun[name])) {
			return end{class: class, after: usually}
		}
		return end{class: probe.OK, after: usually}
	}
}

// byChance picks one attempt in five, the same ones in each run of a test.
func byChance(seed uint64) func(n int) bool {
	return func(n int) bool { return rand.New(rand.NewPCG(seed, uint64(n))).Float64() < 0.2 }
}

// whole ends what inPieces began.
func (w *world) whole(name string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.pieces, name)
}

// A fault in pieces is one finding with one begin, and no outage: whichever requests fail, those of rounds or those
// that confirm a failure.
func TestFaultInPieces(t *testing.T) {
	t.Parallel()
	every := func(n int) func(int) bool { return func(i int) bool { return i%n == 0 } }
	for _, test := range []struct {
		name  string
		probe string
		class probe.Class
		fails func(int) bool
		long  time.Duration
		until time.Duration // when it must have been found
	}{
		{"every fifth request", "head", probe.HTTPServerError, every(5), 15 * time.Minute, 10 * time.Minute},
		{"every fourth: each of a regular round", "head", probe.HTTPServerError, every(4), 15 * time.Minute, 10 * time.Minute},
		{"every third", "head", probe.TCPReset, every(3), time.Hour, 10 * time.Minute},
		{"one in five by chance", "head", probe.TCPTimedOut, byChance(1), 48 * time.Hour, 30 * time.Minute},
		{"lookups, one in five by chance", "dns", probe.DNSServfail, byChance(2), 24 * time.Hour, 30 * time.Minute},
	} {
		t.Run(test.name, func(t *testing.T) {
			world, seen := newWorld(), new(moves)
			watching(t, world.plan(world.ladder()), Options{Observers: []Observer{seen}}, func(t *testing.T, w *Watcher) {
				time.Sleep(time.Hour)
				world.inPieces(test.probe, test.class, test.fails)
				time.Sleep(test.long)
				during := wantCause(t, w, causes.Degraded)
				if begun := time.Since(during.Since); begun < test.long-test.until {
					t.Errorf("it holds since %v, of %v", begun, test.long)
				}
				if !during.IsIncident() || !strings.Contains(during.Title, "attempts of "+test.probe+" failed: "+test.class.String()) {
					t.Errorf("title %q, incident: %v", during.Title, during.IsIncident())
				}
				world.whole(test.probe)
				time.Sleep(40 * time.Minute)
				wantCause(t, w, causes.Healthy)
			})
			want := []string{"starting -> healthy", "healthy -> degraded", "degraded -> healthy"}
			if diff := gocmp.Diff(want, seen.seen); diff != "" {
				t.Errorf("moves (-want +got):\n%s", diff)
			}
		})
	}
}

// Failures with an unknown error are a fault in pieces, too. Before enough of them are counted, one beside a success
// makes a round inconclusive; later none does.
func TestUnknownFaultInPieces(t *testing.T) {
	t.Parallel()
	world, seen := newWorld(), new(moves)
	watching(t, world.plan(world.ladder()), Options{Observers: []Observer{seen}}, func(t *testing.T, w *Watcher) {
		world.inPieces("head", probe.Unknown, byChance(3))
		time.Sleep(time.Hour)
		wantCause(t, w, causes.Degraded)
		settled := len(seen.seen)
		time.Sleep(24 * time.Hour)
		wantCause(t, w, causes.Degraded)
		if late := seen.seen[settled:]; len(late) > 0 {
			t.Errorf("moves after an hour: %v", late)
		}
	})
}

// If each request fails now and then, whatever it is for, no single one makes the service count as down.
func TestAllRequestsInPieces(t *testing.T) {
	t.Parallel()
	world, seen := newWorld(), new(moves)
	watching(t, world.plan(world.withStream()), Options{Observers: []Observer{seen}}, func(t *testing.T, w *Watcher) {
		world.inPieces("head", probe.HTTPServerError, byChance(10))
		world.inPieces("upgrade", probe.HTTPServerError, byChance(12))
		world.inPieces("stream", probe.StreamCut, func(n int) bool { return n%5 == 0 })
		time.Sleep(24 * time.Hour)
		wantCause(t, w, causes.Degraded)
	})
	if diff := gocmp.Diff([]string{"starting -> healthy", "healthy -> degraded"}, seen.seen); diff != "" {
		t.Errorf("moves (-want +got):\n%s", diff)
	}
}

// Requests that fail now and then, at whichever address, are not the fault of an address.
func TestPiecesAtAllAddresses(t *testing.T) {
	t.Parallel()
	world, seen := newWorld(), new(moves)
	watching(t, world.plan(world.withAddresses(first, second)), Options{Observers: []Observer{seen}}, func(t *testing.T, w *Watcher) {
		for i, name := range []string{"head", "head@" + first, "head@" + second} {
			world.inPieces(name, probe.HTTPServerError, byChance(uint64(7+i)))
		}
		time.Sleep(time.Hour)
		wantCause(t, w, causes.Degraded)
		settled := len(seen.seen)
		time.Sleep(24 * time.Hour)
		if got := wantCause(t, w, causes.Degraded); len(got.Intermittent) == 0 {
			t.Errorf("got %q", got.Title)
		}
		if late := seen.seen[settled:]; len(late) > 0 || slices.ContainsFunc(seen.seen, paged) {
			t.Errorf("moves in the first hour %v, after it %v", seen.seen[:settled], late)
		}
	})
}

// A stream that is dropped now and then, and holds when it is held again, is a fault in pieces.
func TestStreamInPieces(t *testing.T) {
	t.Parallel()
	world, seen := newWorld(), new(moves)
	watching(t, world.plan(world.withStream()), Options{Observers: []Observer{seen}}, func(t *testing.T, w *Watcher) {
		world.inPieces("stream", probe.StreamCut, func(n int) bool { return n%5 == 0 })
		time.Sleep(24 * time.Hour)
		wantCause(t, w, causes.Degraded)
	})
	if diff := gocmp.Diff([]string{"starting -> healthy", "healthy -> degraded"}, seen.seen); diff != "" {
		t.Errorf("moves (-want +got):\n%s", diff)
	}
}

// An outage in the middle of a fault in pieces is found within seconds, and leaves nothing of what was before it.
func TestOutageAmongPieces(t *testing.T) {
	world, seen := newWorld(), new(moves)
	watching(t, world.plan(world.ladder()), Options{Observers: []Observer{seen}}, func(t *testing.T, w *Watcher) {
		world.inPieces("head", probe.HTTPServerError, func(n int) bool { return n%5 == 0 })
		time.Sleep(15 * time.Minute)
		wantCause(t, w, causes.Degraded)
		world.inPieces("head", probe.HTTPServerError, func(int) bool { return true })
		time.Sleep(interval + 2*time.Second)
		wantCause(t, w, causes.Upstream)
		time.Sleep(time.Hour)
		world.whole("head")
		time.Sleep(interval + 2*time.Second)
		if got := wantCause(t, w, causes.Healthy); got.IsIncident() {
			t.Errorf("the incident goes on: %+v", got.Intermittent)
		}
	})
	want := []string{"starting -> healthy", "healthy -> degraded", "degraded -> upstream", "upstream -> healthy"}
	if diff := gocmp.Diff(want, seen.seen); diff != "" {
		t.Errorf("moves (-want +got):\n%s", diff)
	}
}

// A few failures in a day are none of anyone's business.
func TestRareFailuresAreNoFinding(t *testing.T) {
	world, seen := newWorld(), new(moves)
	watching(t, world.plan(world.ladder()), Options{Observers: []Observer{seen}}, func(t *testing.T, w *Watcher) {
		world.inPieces("head", probe.TCPTimedOut, func(n int) bool { return n%30 == 0 })
		time.Sleep(24 * time.Hour)
		wantCause(t, w, causes.Healthy)
	})
	if diff := gocmp.Diff([]string{"starting -> healthy"}, seen.seen); diff != "" {
		t.Errorf("moves (-want +got):\n%s", diff)
	}
}

// live runs a watcher of plan while do runs, as one life of the daemon. The caller has the bubble.
func live(t *testing.T, plan Plan, o Options, do func(t *testing.T, w *Watcher)) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	w := New(plan, o)
	var running sync.WaitGroup
	running.Go(func() { w.Run(ctx) })
	<-w.Ready()
	do(t, w)
	stop()
	running.Wait()
}

// A fault in pieces outlives a restart: it needs no new failures to be seen, keeps its begin, and is no change.
func TestFaultInPiecesOutlivesARestart(t *testing.T) {
	world, seen := newWorld(), new(moves)
	var begun time.Time
	o := Options{Observers: []Observer{seen}, Memory: make(memory), Ongoing: func(string) (causes.Cause, time.Time, bool) {
		return causes.Degraded, begun, !begun.IsZero()
	}}
	plan := world.plan(world.ladder())
	synctest.Test(t, func(t *testing.T) {
		live(t, plan, o, func(t *testing.T, w *Watcher) {
			world.inPieces("head", probe.HTTPServerError, func(n int) bool { return n%5 == 0 })
			time.Sleep(15*time.Minute + 7*time.Second)
			begun = wantCause(t, w, causes.Degraded).Since
			world.whole("head")
		})
		live(t, plan, o, func(t *testing.T, w *Watcher) {
			if got := wantCause(t, w, causes.Degraded); !got.Since.Equal(begun) {
				t.Errorf("since %v, want %v", got.Since, begun)
			}
			time.Sleep(time.Hour)
			wantCause(t, w, causes.Healthy)
		})
	})
	want := []string{"starting -> healthy", "healthy -> degraded", "degraded -> healthy"}
	if diff := gocmp.Diff(want, seen.seen); diff != "" {
		t.Errorf("moves (-want +got):\n%s", diff)
	}
}

// That the name was last at a private address is known after a restart too, but not for ever.
func TestRestartKeepsTheAddresses(t *testing.T) {
	for name, test := range map[string]struct {
		away   time.Duration
		damage func(*Kept)
		want   causes.Cause
	}{
		"over a weekend":  {3 * 24 * time.Hour, nil, causes.Resolver},
		"for a month":     {30 * 24 * time.Hour, nil, causes.Inconclusive},
		"of the future":   {0, func(k *Kept) { k.Known.At = k.Known.At.Add(time.Hour) }, causes.Inconclusive},
		"no address":      {0, func(k *Kept) { k.Known.Addresses = []netip.Addr{{}} }, causes.Inconclusive},
		"far too many":    {0, func(k *Kept) { k.Known.Addresses = slices.Repeat(k.Known.Addresses, 1000) }, causes.Inconclusive},
		"a damaged tally": {0, func(k *Kept) { k.Tallies = []tally.Tally{{Stands: true, Count: -7}} }, causes.Resolver},
	} {
		t.Run(name, func(t *testing.T) {
			world, kept := newWorld(), make(memory)
			s := world.ladder()
			s.Tasks[1].Probe.Prober = actor{world: world, name: "head", phase: probe.Response, answers: []string{"10.1.2.3"}}
			plan, o := world.plan(s), Options{Memory: kept}
			synctest.Test(t, func(t *testing.T) {
				live(t, plan, o, func(t *testing.T, w *Watcher) { wantCause(t, w, causes.Healthy) })
				if k := kept["codex"]; test.damage != nil {
					test.damage(&k)
					kept["codex"] = k
				}
				for _, name := range []string{"dns", "head", "direct"} {
					world.fail(name, probe.DNSNameNotResolved, probe.Resolve)
				}
				time.Sleep(test.away)
				live(t, plan, o, func(t *testing.T, w *Watcher) {
					time.Sleep(5 * time.Minute)
					wantCause(t, w, test.want)
				})
			})
		})
	}
}

// The evidence of a fault in pieces is a failure of an earlier round, beside a success of this one.
func TestEvidenceOfPieces(t *testing.T) {
	world := newWorld()
	watching(t, world.plan(world.ladder()), Options{}, func(t *testing.T, w *Watcher) {
		world.inPieces("head", probe.HTTPServerError, func(n int) bool { return n%5 == 0 })
		time.Sleep(15 * time.Minute)
		got := wantCause(t, w, causes.Degraded)
		if len(got.Evidence) < 3 || got.Evidence[0].Class != probe.HTTPServerError || !got.Evidence[1].OK() {
			t.Errorf("evidence: %v", got.Evidence)
		}
		want := []diagnose.Intermittent{{Probe: "head", Kind: probe.KindHTTP, Class: probe.HTTPServerError}}
		counts := got.Intermittent[0]
		if share := float64(counts.Failed) / float64(counts.Of); share < 0.15 || share > 0.25 {
			t.Errorf("%d of %d, want a fifth", counts.Failed, counts.Of)
		}
		counts.Failed, counts.Of, counts.Last = 0, 0, probe.Result{}
		if diff := gocmp.Diff(want, []diagnose.Intermittent{counts}); diff != "" {
			t.Errorf("intermittent (-want +got):\n%s", diff)
		}
	})
}
