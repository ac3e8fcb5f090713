package scenes

import (
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"netwatchd/internal/lab/parts"
	"netwatchd/internal/lab/world"
)

// shortSoak is what every run of the tests can afford; make lab-soak takes longer.
const shortSoak = 20 * time.Second

var (
	soak  = flag.Duration("soak", shortSoak, "bend worlds at random for so long, with a daemon running throughout")
	seed  = flag.Uint64("seed", 0, "of what is bent in which order; 0: another one each time")
	pairs = flag.Int("pairs", 12, "how many pairs of faults are laid over each other")
)

// order is the precedence of causes, as users hold it.
var order = []string{"local_policy", "host_offline", "proxy", "resolver", "interception", "clock", "edge_blocked", "upstream",
	"unexpected_answer", "stream", "account", "agent", "inconclusive", "sandbox", "sandbox_open",
	"resolver_degraded", "ipv6", "ipv4", "degraded", "healthy"}

// layers are scenes that can be laid over each other: what one bends the other leaves alone.
var layers = map[string][]string{
	"on the way": {"the link is down", "no default route", "the gateway drops everything", "only IPv6 is broken", "one control of three is down"},
	"to names": {"a firewall on this host drops lookups", "the resolver is stopped", "the resolver answers SERVFAIL",
		"the resolver refuses the service's name", "resolv.conf is missing", "made-up names lead to a portal"},
	"of streams": {"something on the way refuses upgrades", "something on the way answers upgrades with a page",
		"an upgrade is not answered", "a stream is cut as soon as it is used", "a stream stalls"},
	"of the sandbox": {"bubblewrap without network, wanted closed", "bubblewrap without network, wanted open",
		"bubblewrap with network, wanted closed", "the sandbox's command refuses", "the sandbox's command is gone"},
	"at the service": {"the service's port is closed", "the service resets after ClientHello", "503", "429 with Retry-After",
		"200 instead of 405", "401", "TLS of the service alone is inspected", "its certificate has expired",
		"this host's clock is a year ahead"},
}

func named(t testing.TB, name string) *Scene {
	t.Helper()
	i := slices.IndexFunc(All, func(s Scene) bool { return s.Name == name })
	if i < 0 {
		t.Fatalf("no scene is called %q", name)
	}
	return &All[i]
}

// TestLayers lays two faults over each other: the one of the lower rung must be named, since the other cannot even be
// seen past it, or is the lesser one.
func TestLayers(t *testing.T) {
	p := newPool(t)
	dice := dice(t)
	for range *pairs {
		kinds := slices.Sorted(maps.Keys(layers))
		dice.Shuffle(len(kinds), func(i, j int) { kinds[i], kinds[j] = kinds[j], kinds[i] })
		one, other := pick(t, dice, layers[kinds[0]]), pick(t, dice, layers[kinds[1]])
		t.Run(one.Name+" and "+other.Name, func(t *testing.T) {
			t.Parallel()
			both := laid(one, other)
			o := play(t, p.borrow(t), both)
			o.judge(t)
			o.holds(t)
		})
	}
}

func pick(t testing.TB, dice *rand.Rand, from []string) *Scene {
	t.Helper()
	return named(t, from[dice.IntN(len(from))])
}

// precedence is that of the scene's cause. A link that is down comes before all: what sends nothing is refused nothing, so
// not even this host's own firewall shows.
func precedence(s *Scene) int {
	if s.Name == "the link is down" {
		return -1
	}
	return slices.Index(order, s.Cause)
}

// laid is the scene of two faults at once.
func laid(one, other *Scene) *Scene {
	first := one
	if precedence(other) < precedence(one) {
		first = other
	}
	both := &Scene{Cause: first.Cause, Allow: []string{one.Cause, other.Cause}} // beside it, or before the other fault is there
	both.Config = one.Config
	if both.Config == (world.Config{}) {
		both.Config = other.Config
	}
	both.Bend = func(w *world.World) {
		for _, s := range []*Scene{one, other} {
			if s.Bend != nil {
				s.Bend(w)
			}
		}
	}
	return both
}

// holds checks what is true of every verdict, whatever was bent.
func (o Outcome) holds(t testing.TB) {
	t.Helper()
	for _, v := range []verdict{o.Asked, o.Daemon} {
		control := slices.ContainsFunc(v.Results, func(r result) bool {
			return (r.Role == "control.name" || r.Role == "control.address") && r.Class == "ok"
		})
		if v.Severity == "page" && len(v.Results) > 0 && !control {
			t.Errorf("%q pages, and no control was reached", v.Cause)
		}
		if head := v.of("head", "host"); v.Cause == "healthy" && head != "" && head != "ok" {
			t.Errorf("healthy, though the service was not reached: %+v", v.Results)
		}
		if v.Cause != "healthy" && len(v.Evidence) == 0 {
			t.Errorf("%q without evidence", v.Cause)
		}
	}
}

func dice(t testing.TB) *rand.Rand {
	t.Helper()
	if *seed == 0 {
		*seed = rand.Uint64()
	}
	t.Logf("seed %d", *seed)
	return rand.New(rand.NewPCG(*seed, *seed))
}

// TestSoak bends worlds at random while a daemon runs in each throughout, and wants no page but where the service is at fault.
func TestSoak(t *testing.T) {
	p := newPool(t)
	dice := dice(t)
	until := time.Now().Add(*soak)
	all := &tally{causes: make(map[string]int)}
	var mu sync.Mutex
	t.Run("worlds", func(t *testing.T) {
		for i := range worlds {
			order := rand.New(rand.NewPCG(*seed, dice.Uint64()))
			t.Run(fmt.Sprint(i+1), func(t *testing.T) {
				t.Parallel()
				y := &tally{causes: make(map[string]int)}
				y.soak(t, p.borrow(t), order, until)
				mu.Lock()
				defer mu.Unlock()
				all.add(y)
			})
		}
	})
	fmt.Printf("%d scenes played, the daemons started %d times and told of another configuration %d times, %d looks, %d false pages; verdicts: %v\n",
		all.scenes, all.starts, all.reloads, all.looks, all.pages, all.causes)
}

// A tally is what a daemon said while its world was bent.
type tally struct {
	scenes, starts, reloads, looks, pages int

	daemon *parts.Daemon
	env    []string // of the daemon
	config string   // its text
	last   string
	since  time.Time // the world has been as it is; while it is being bent a server is gone for a moment
	causes map[string]int
}

func (y *tally) add(other *tally) {
	y.scenes, y.starts, y.reloads = y.scenes+other.scenes, y.starts+other.starts, y.reloads+other.reloads
	y.looks, y.pages = y.looks+other.looks, y.pages+other.pages
	for cause, n := range other.causes {
		y.causes[cause] += n
	}
}

func (y *tally) soak(t *testing.T, w *world.World, order *rand.Rand, until time.Time) {
	for time.Now().Before(until) {
		s := &All[order.IntN(len(All))]
		t.Run(s.Name, func(scene *testing.T) {
			w.Begin(scene, s.Config)
			if s.Before != nil {
				s.Before(w)
			}
			y.watch(t, scene, w)
			y.bend(scene, w, s, time.Duration(order.IntN(8000))*time.Millisecond)
		})
	}
}

// watch has a daemon watch the world as it is configured for the scene: the one that runs, unless its environment is
// another one; it outlives the scene.
func (y *tally) watch(t, scene *testing.T, w *world.World) {
	scene.Helper()
	path := w.WriteConfig()
	text, err := os.ReadFile(path)
	if err != nil {
		scene.Fatal(err)
	}
	switch {
	case y.daemon == nil || !slices.Equal(y.env, w.Env):
		if y.daemon != nil {
			y.daemon.Kill()
		}
		y.starts++
		os.Remove(w.StatusFile())
		y.daemon = w.Netwatchd().Start(t, "--config.file="+path)
	case string(text) != y.config:
		y.reloads++
		y.daemon.Signal(syscall.SIGHUP)
	}
	y.env, y.config = w.Env, string(text)
	begun := time.Now()
	if err := y.daemon.Eventually(2*patience, func() error { return well(w, begun) }); err != nil {
		scene.Fatalf("before anything was bent: %v", err)
	}
}

func well(w *world.World, since time.Time) error {
	v, err := read(w)
	switch {
	case err != nil:
		return err
	case v.Cause != "healthy" || !v.after(since):
		return fmt.Errorf("cause %q: %s: %+v", v.Cause, v.Title, v.Evidence)
	}
	return nil
}

// bend keeps the world bent for that long and follows the verdict, and then until all is well again.
func (y *tally) bend(t *testing.T, w *world.World, s *Scene, lasts time.Duration) {
	y.scenes++
	bent := time.Now()
	t.Run("bent", func(t *testing.T) {
		if s.Bend == nil {
			return
		}
		w.Lend(t)
		s.Bend(w)
		y.since = time.Now()
		y.follow(t, w, s, func(verdict) bool { return time.Since(bent) > lasts })
	})
	if s.Cause == "account" {
		return // the agent is not run again for half an hour
	}
	w.Lend(t)
	mended := time.Now()
	y.since = mended
	y.follow(t, w, s, func(v verdict) bool {
		if time.Since(mended) > patience {
			t.Errorf("%q still stands %v after all was well again: %s: %+v", v.Cause, patience, v.Title, v.Evidence)
			return true
		}
		return v.Cause == "healthy" && v.after(mended)
	})
}

// follow looks at the daemon's verdict until it has seen enough.
func (y *tally) follow(t *testing.T, w *world.World, s *Scene, enough func(verdict) bool) {
	t.Helper()
	err := y.daemon.Eventually(2*patience, func() error {
		v, err := read(w)
		if err != nil {
			return err
		}
		y.looks++
		if v.Cause != y.last && v.after(y.since) {
			y.causes[v.Cause]++
			if slices.Contains(s.Forbidden(s.Cause), v.Cause) {
				y.pages++
				t.Errorf("%q while %s: %s: %+v", v.Cause, s.Name, v.Title, v.Evidence)
			}
			y.last = v.Cause
		}
		if !enough(v) {
			return fmt.Errorf("cause %q", v.Cause)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}
