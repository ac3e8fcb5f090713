package history

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"iter"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	dto "github.com/prometheus/client_model/go"

	"netwatchd/internal/config"
	"netwatchd/internal/incident"
	"netwatchd/internal/probe"
	"netwatchd/internal/push"
	"netwatchd/internal/store"
	"netwatchd/internal/watch"
)

// faultEvery is how often a fault begins: a thousand a day.
const faultEvery = 86 * time.Second

var soakFor = flag.Duration("soak", time.Hour, "simulate this much time with a fault every 86 seconds; 24h has a thousand")

// A weather decides which probes fail, and how.
type weather struct {
	mu    sync.Mutex
	ends  map[string]probe.Class
	sleep time.Duration // of the host, to be reported once
}

func (w *weather) set(name string, class probe.Class) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ends[name] = class
}

// Jump reports the host's sleep. It is the watcher's clock.
func (w *weather) Jump() (suspended, stepped time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	suspended, w.sleep = w.sleep, 0
	return suspended, 0
}

func (w *weather) suspend(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sleep = d
}

// A vane is the prober of one probe.
type vane struct {
	*weather
	name  string
	phase probe.Phase
}

func (v vane) Probe(ctx context.Context) (probe.Facts, error) {
	v.mu.Lock()
	class := cmp.Or(v.ends[v.name], probe.OK)
	v.mu.Unlock()
	after := 20 * time.Millisecond
	if class == probe.TCPTimedOut || class == probe.DNSTimeout {
		after = time.Hour
	}
	select {
	case <-time.After(after):
	case <-ctx.Done():
		return probe.Facts{Phase: v.phase}, ctx.Err()
	}
	if class != probe.OK {
		return probe.Facts{Phase: v.phase}, probe.Failf(class, "as the soak wants it")
	}
	return probe.Facts{Phase: v.phase}, nil
}

func (w *weather) probe(service, name string, kind probe.Kind, role probe.Role, from probe.Vantage, phase probe.Phase) *probe.Probe {
	return &probe.Probe{
		Spec:   probe.Spec{Service: service, Name: name, Kind: kind, Role: role, Vantage: from, Timeout: 5 * time.Second},
		Prober: vane{w, name, phase},
	}
}

func (w *weather) plan() watch.Plan {
	environment := []*probe.Probe{
		w.probe("host", probe.CheckSandbox, probe.KindHost, probe.OfHost, probe.FromHost, probe.NoPhase),
		w.probe("resolvers", "ns", probe.KindDNS, probe.ResolverAsksControl, probe.FromHost, probe.Resolve),
		w.probe("resolvers", "direct", probe.KindDNS, probe.ResolverAsksService, probe.Direct, probe.Resolve),
		w.probe("controls", "one", probe.KindHTTP, probe.ControlByName, probe.FromHost, probe.Response),
		w.probe("controls", "two", probe.KindHTTP, probe.ControlByAddress, probe.FromHost, probe.Response),
	}
	plan := watch.Plan{Environment: func() watch.Environment { return watch.Environment{Probes: environment} }}
	for _, name := range []string{"codex", "shop"} {
		dns := w.probe(name, name+"/dns", probe.KindDNS, probe.OfService, probe.FromHost, probe.Resolve)
		head := w.probe(name, name+"/head", probe.KindHTTP, probe.OfService, probe.FromHost, probe.Connect)
		exec := w.probe(name, name+"/exec", probe.KindExec, probe.OfService, probe.FromHost, probe.Executing)
		plan.Services = append(plan.Services, watch.Service{
			Name: name, Every: 30 * time.Second, Confirmation: watch.Confirmation{Votes: 2, Of: 3},
			Tasks: []watch.Task{{Probe: dns, Interval: 30 * time.Second, RoundProbe: dns},
				{Probe: head, Interval: 30 * time.Second, RoundProbe: head}, {Probe: exec, Interval: time.Hour, Costly: true, Daily: 24}},
		})
	}
	return plan
}

// faults are what begins, one at a time, at random.
var faults = []struct {
	probes []string
	class  probe.Class
}{
	{[]string{"codex/head"}, probe.TCPRefused},
	{[]string{"codex/head"}, probe.TCPTimedOut},
	{[]string{"codex/head"}, probe.HTTPServerError},
	{[]string{"shop/head"}, probe.TLSDateInvalid},
	{[]string{"codex/exec"}, probe.ExecUnauthorized},
	{[]string{"codex/dns", "shop/dns", "ns"}, probe.DNSTimeout},
	{[]string{"codex/dns"}, probe.DNSNameNotResolved},
	{[]string{"codex/head", "shop/head", "one", "two"}, probe.LocalNoRoute},
	{[]string{"codex/head", "shop/head"}, probe.LocalResources},
	{[]string{"one"}, probe.HTTPUnexpectedBody},
}

// rough has one fault after the other, some beside a suspend, and now and then deletes the store.
func (w *weather) rough(rng *rand.Rand, dir string, until time.Time) (n int) {
	for ; time.Now().Before(until); n++ {
		f := faults[rng.IntN(len(faults))]
		for _, name := range f.probes {
			w.set(name, f.class)
		}
		if rng.IntN(20) == 0 {
			w.suspend(time.Duration(1+rng.IntN(600)) * time.Second)
		}
		if rng.IntN(100) == 0 {
			_ = os.Remove(filepath.Join(dir, store.File))
		}
		lasts := time.Duration(rng.Int64N(int64(faultEvery)))
		time.Sleep(lasts)
		for _, name := range f.probes {
			w.set(name, probe.OK)
		}
		time.Sleep(faultEvery - lasts)
	}
	return n
}

// use is what a process uses.
type use struct {
	goroutines int
	heap       uint64 // bytes
	rows       map[string]int64
}

func used(t *testing.T, dir string) use {
	t.Helper()
	synctest.Wait()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	u := use{goroutines: runtime.NumGoroutine(), heap: m.HeapAlloc, rows: make(map[string]int64)}
	h, err := store.Check(t.Context(), dir)
	if err != nil || len(h.Faults) > 0 {
		t.Errorf("the store: %+v, %v", h, err)
		return u
	}
	for _, c := range h.Counts {
		u.rows[c.Table] = c.Rows
	}
	return u
}

const (
	// soakKeep is how long history is kept in a soak, so that most of it is deleted on the way.
	soakKeep = time.Hour
	// soakQueue is the limit of the push queue, in bytes. Twenty minutes fill it.
	soakQueue = 4 << 10
	// soakResting is how many goroutines of the watcher may wait for another attempt. A leak has one for each fault.
	soakResting = 16
)

// After hours of faults, and as long without any as history is kept, everything is as it was before: goroutines, memory
// and rows of the store. The receiver of the metrics is gone all the time.
func TestSoak(t *testing.T) {
	dir := t.TempDir()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	var before, after use
	var n int
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		w := &weather{ends: make(map[string]probe.Class)}
		var running sync.WaitGroup
		rec := New(Options{Dir: dir, Keep: func() time.Duration { return soakKeep }, Log: slog.New(slog.DiscardHandler),
			Snapshot: func(context.Context) any { return 1 }})
		watcher := watch.New(w.plan(), watch.Options{Clock: w, Memory: rec, Ongoing: rec.Ongoing, Observers: []watch.Observer{rec}})
		pusher := push.New(config.Push{RemoteWrite: []config.Receiver{{Name: "gone", URL: "http://127.0.0.1:1/",
			Interval: 15 * time.Second, Timeout: 5 * time.Second, Protocol: config.AnyProtocol, Queue: soakQueue}}},
			push.Options{Dir: filepath.Join(dir, "push"), Started: time.Now(), Log: slog.New(slog.DiscardHandler)})
		running.Go(func() { rec.Run(ctx) })
		running.Go(func() { watcher.Run(ctx) })
		running.Go(func() { pusher.Run(ctx, oneSample) })

		time.Sleep(2*soakKeep + time.Hour) // a store of a healthy daemon, from which rows have been deleted
		before = used(t, dir)
		n = w.rough(rand.New(rand.NewPCG(seed, seed)), dir, time.Now().Add(*soakFor))
		time.Sleep(2*soakKeep + time.Hour)
		after = used(t, dir)

		open, total, err := rec.Incidents(ctx, incident.Filter{OpenOnly: true})
		if err != nil || len(open) > 0 {
			t.Errorf("%d incidents are open of %d, %v", len(open), total, err)
		}
		if fault := rec.Fault(); fault != "" {
			t.Errorf("history is not written: %s", fault)
		}
		stop()
		running.Wait()
	})
	t.Logf("%d faults; before %+v, after %+v", n, before, after)
	if after.goroutines > before.goroutines+soakResting {
		t.Errorf("%d goroutines, %d before", after.goroutines, before.goroutines)
	}
	for table, rows := range after.rows {
		if rows > before.rows[table]+soakSlack {
			t.Errorf("%s has %d rows, %d before", table, rows, before.rows[table])
		}
	}
	if size := queued(t, filepath.Join(dir, "push", "gone")); size > soakQueue || size == 0 {
		t.Errorf("the push queue has %d bytes, its limit is %d", size, soakQueue)
	}
	if after.heap > before.heap+soakHeap {
		t.Errorf("%d bytes of heap, %d before", after.heap, before.heap)
	}
}

const (
	// soakSlack is what a table may have more: the runs of the agent fall on other minutes, and each series that was
	// written anew has a row.
	soakSlack = 3
	// soakHeap is what the heap may have more: caches, and what other tests that run at the same time hold.
	soakHeap = 8 << 20
)

func oneSample(context.Context) iter.Seq2[*dto.MetricFamily, error] {
	name, value := "netwatchd_test", 1.0
	f := &dto.MetricFamily{Name: &name, Type: dto.MetricType_GAUGE.Enum(),
		Metric: []*dto.Metric{{Gauge: &dto.Gauge{Value: &value}}}}
	return func(yield func(*dto.MetricFamily, error) bool) { yield(f, nil) }
}

// queued returns the size of the files in a directory.
func queued(t *testing.T, dir string) (size int64) {
	t.Helper()
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if info, err := f.Info(); err == nil && info.Mode().IsRegular() {
			size += info.Size()
		} else if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
	}
	return size
}
