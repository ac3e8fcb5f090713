package scenes

import (
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"netwatchd/internal/lab/parts"
	"netwatchd/internal/lab/world"
)

// shortSoak is part of every test run; make lab-soak takes longer.
const shortSoak = 20 * time.Second

var (
	soak  = flag.Duration("soak", shortSoak, "inject random faults for this long while a daemon runs")
	seed  = flag.Uint64("seed", 0, "seed of the order of faults; 0: random")
	pairs = flag.Int("pairs", 12, "how many pairs of faults are injected together")
)

// order is the documented precedence of causes.
var order = []string{"local_policy", "host_offline", "proxy", "resolver", "interception", "clock", "path", "edge_blocked", "upstream",
	"unexpected_answer", "stream", "account", "agent", "inconclusive", "sandbox", "sandbox_open",
	"resolver_degraded", "ipv6", "ipv4", "degraded", "healthy"}

// layers are scenes that can be combined: two of different keys do not touch the same part of the world.
var layers = map[string][]string{
	"network path": {"the link is down", "no default route", "the gateway drops everything", "only IPv6 is broken", "one control of three is down"},
	"names": {"a firewall on this host drops lookups", "the resolver is stopped", "the resolver answers SERVFAIL",
		"the resolver answers REFUSED for the service's name", "resolv.conf is missing", "names that do not exist resolve to a captive portal"},
	"streams": {"a middlebox refuses WebSocket upgrades", "a middlebox answers WebSocket upgrades with a page",
		"a WebSocket upgrade is not answered", "a stream is dropped at its first message", "a stream stalls"},
	"sandbox": {"bubblewrap without network, want: closed", "bubblewrap without network, want: open",
		"bubblewrap with network, want: closed", "the sandbox command fails", "the sandbox command is missing"},
	"service": {"the service's port is closed", "the service resets after ClientHello", "503", "429 with Retry-After",
		"200 instead of 405", "401", "only the service's TLS is inspected", "the service's certificate has expired",
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

// TestLayers injects two faults at once. The cause must be that of the lower rung: it hides the other fault, or is the
// more severe one.
func TestLayers(t *testing.T) {
	p := newPool(t)
	dice := dice(t)
	for range *pairs {
		kinds := slices.Sorted(maps.Keys(layers))
		dice.Shuffle(len(kinds), func(i, j int) { kinds[i], kinds[j] = kinds[j], kinds[i] })
		one, other := pick(t, dice, layers[kinds[0]]), pick(t, dice, layers[kinds[1]])
		t.Run(one.Name+" and "+other.Name, func(t *testing.T) {
			t.Parallel()
			both := combined(one, other)
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

// precedence is that of the scene's cause. A link that is down comes first: nothing is sent, so not even the host's
// own firewall rejects anything.
func precedence(s *Scene) int {
	if s.Name == "the link is down" {
		return -1
	}
	return slices.Index(order, s.Cause)
}

// combined is a scene of two faults at once.
func combined(one, other *Scene) *Scene {
	first := one
	if precedence(other) < precedence(one) {
		first = other
	}
	both := &Scene{Cause: first.Cause, Allow: []string{one.Cause, other.Cause}} // beside the main cause, or before the second fault is injected
	both.Config = one.Config
	if both.Config == (world.Config{}) {
		both.Config = other.Config
	}
	both.Inject = func(w *world.World) {
		for _, s := range []*Scene{one, other} {
			if s.Inject != nil {
				s.Inject(w)
			}
		}
	}
	return both
}

// holds checks what is true of every verdict, whatever the fault.
func (o Outcome) holds(t testing.TB) {
	t.Helper()
	for _, v := range []verdict{o.ByHand, o.Daemon} {
		control := slices.ContainsFunc(v.Results, func(r result) bool {
			return (r.Role == "control.name" || r.Role == "control.address") && r.Class == "ok"
		})
		if v.Severity == "page" && len(v.Results) > 0 && !control {
			t.Errorf("%q pages although no control was reached", v.Cause)
		}
		if head := v.of("head", "host"); v.Cause == "healthy" && head != "" && head != "ok" {
			t.Errorf("healthy although the service was not reached: %+v", v.Results)
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

// TestSoak injects random faults while a daemon runs in each world, and allows pages only if the service is at fault.
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
	fmt.Printf("%d scenes, %d daemon starts, %d reloads, %d status reads, %d false pages, at most %d MB; verdicts: %v\n",
		all.scenes, all.starts, all.reloads, all.reads, all.pages, all.resident>>20, all.causes)
}

// A tally counts what one daemon reported.
type tally struct {
	scenes, starts, reloads, reads, pages int
	resident                              int // the most memory that a daemon had after a scene, in bytes

	daemon *parts.Daemon
	env    []string // of the daemon
	config string   // text of its configuration
	last   string
	since  time.Time // the world is in its present state; during an injection a server may be gone for a moment
	causes map[string]int
}

func (y *tally) add(other *tally) {
	y.scenes, y.starts, y.reloads = y.scenes+other.scenes, y.starts+other.starts, y.reloads+other.reloads
	y.reads, y.pages = y.reads+other.reads, y.pages+other.pages
	y.resident = max(y.resident, other.resident)
	for cause, n := range other.causes {
		y.causes[cause] += n
	}
}

func (y *tally) soak(t *testing.T, w *world.World, order *rand.Rand, until time.Time) {
	for time.Now().Before(until) {
		s := &All[order.IntN(len(All))]
		t.Run(s.Name, func(scene *testing.T) {
			c := s.Config
			c.Intermittent = "failures: 2, of: 4" // the daemon lives on, and notices soon that a fault is over
			w.Begin(scene, c)
			if s.Before != nil {
				s.Before(w)
			}
			y.watch(t, scene, w)
			y.inject(scene, w, s, time.Duration(order.IntN(8000))*time.Millisecond)
			y.resident = max(y.resident, resident(y.daemon.PID()))
		})
	}
}

// resident returns the memory of a process, in bytes: the second field of /proc/PID/statm is its pages (proc(5)).
func resident(pid int) int {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	fields := strings.Fields(string(text))
	if err != nil || len(fields) < 2 {
		return 0
	}
	pages, _ := strconv.Atoi(fields[1])
	return pages * os.Getpagesize()
}

// watch makes a daemon watch the world with the scene's configuration. It reloads the running daemon, or starts
// another if the environment differs; the daemon outlives the scene.
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
	if err := y.daemon.Eventually(2*patience, func() error { return healthy(w, begun) }); err != nil {
		scene.Fatalf("before the fault: %v", err)
	}
}

func healthy(w *world.World, since time.Time) error {
	v, err := read(w)
	switch {
	case err != nil:
		return err
	case v.Cause != "healthy" || !v.after(since):
		return fmt.Errorf("cause %q: %s: %+v", v.Cause, v.Title, v.Evidence)
	}
	return nil
}

// inject injects the fault for this long, then removes it, and follows the verdict until it is healthy.
func (y *tally) inject(t *testing.T, w *world.World, s *Scene, lasts time.Duration) {
	y.scenes++
	injected := time.Now()
	t.Run("fault", func(t *testing.T) {
		if s.Inject == nil {
			return
		}
		w.Lend(t)
		s.Inject(w)
		y.since = time.Now()
		y.follow(t, w, s, func(verdict) bool { return time.Since(injected) > lasts })
	})
	if s.Cause == "account" {
		return // the agent is not run again for half an hour
	}
	w.Lend(t)
	repaired := time.Now()
	y.since = repaired
	y.follow(t, w, s, func(v verdict) bool {
		if time.Since(repaired) > patience {
			t.Errorf("%q %v after the repair: %s: %+v", v.Cause, patience, v.Title, v.Evidence)
			return true
		}
		return v.Cause == "healthy" && v.after(repaired)
	})
}

// follow reads the daemon's verdict until enough returns true.
func (y *tally) follow(t *testing.T, w *world.World, s *Scene, enough func(verdict) bool) {
	t.Helper()
	err := y.daemon.Eventually(2*patience, func() error {
		v, err := read(w)
		if err != nil {
			return err
		}
		y.reads++
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
