package ledger

import (
	"math"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"netwatchd/internal/probe"
)

var noon = time.Date(2026, 2, 20, 12, 0, 0, 0, time.UTC)

func result(service, name string, class probe.Class) probe.Result {
	return probe.Result{Spec: probe.Spec{Service: service, Name: name, Kind: probe.KindDNS}, Start: noon, Elapsed: 0.25, Class: class}
}

func TestRecordCounts(t *testing.T) {
	l := New()
	for _, class := range []probe.Class{probe.OK, probe.DNSTimeout, probe.OK, probe.DNSServfail} {
		l.Add(result("codex", "dns", class), time.Minute)
	}
	got := l.Snapshot(Snapshot{}).Records[0]
	want := Record{
		Key:    Key{Service: "codex", Probe: "dns", Kind: probe.KindDNS},
		Latest: Attempt{Start: noon, Elapsed: 0.25, Class: probe.DNSServfail},
		Counts: Counts{
			Interval: time.Minute, LastSuccess: noon.Add(250 * time.Millisecond), Succeeded: 2, Failed: 2,
			Classes:   []ClassCount{{probe.OK, 2}, {probe.DNSTimeout, 1}, {probe.DNSServfail, 1}},
			Durations: Histogram{Count: 4, Sum: 1, Classic: [len(Bounds)]uint32{7: 4}, Native: []Bucket{{Index: -16, Count: 4}}},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestWarningsAndTokensAddUp(t *testing.T) {
	l := New()
	r := result("codex", "exec", probe.OK)
	r.Kind, r.Target = probe.KindExec, "codex"
	r.Warnings, r.Tokens = []string{"a", "b"}, &probe.TokensSpent{Input: 10, CachedInput: 5, Output: 1}
	r.Requests, r.CostUSD = 2, new(0.25)
	l.Add(r, 0)
	r.Warnings = []string{"a"}
	l.Add(r, 0)
	other := result("claude", "exec", probe.OK)
	other.Kind, other.Target, other.Tokens = probe.KindExec, "claude", &probe.TokensSpent{Input: 1}
	l.Add(other, 0)
	all := l.Snapshot(Snapshot{}).Runs
	got := all["codex"]
	if got.Requests != 4 || got.CostUSD == nil || *got.CostUSD != 0.5 || *r.CostUSD != 0.25 {
		t.Errorf("requests and cost: got %+v", got)
	}
	if all["claude"].Tokens.Input != 1 || all["claude"].CostUSD != nil || len(all) != 2 {
		t.Errorf("another agent: got %+v", all)
	}
	if diff := cmp.Diff(map[string]uint64{"a": 2, "b": 1}, got.Warnings); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(probe.TokensSpent{Input: 20, CachedInput: 10, Output: 2}, got.Tokens); diff != "" {
		t.Errorf("tokens (-want +got):\n%s", diff)
	}
}

func TestRecordsAreSortedAndRemoved(t *testing.T) {
	l := New()
	for _, name := range []string{"c", "a", "d", "b"} {
		l.Add(result("two", name, probe.OK), time.Minute)
		l.Add(result("one", name, probe.OK), time.Minute)
	}
	l.Keep(func(k Key) bool { return k.Service == "two" && k.Probe != "c" })
	l.Add(result("one", "z", probe.OK), time.Minute)
	var latest, records []string
	for _, r := range l.Latest() {
		latest = append(latest, r.Service+"/"+r.Name)
	}
	for _, r := range l.Snapshot(Snapshot{}).Records {
		records = append(records, r.Service+"/"+r.Probe)
	}
	want := []string{"one/z", "two/a", "two/b", "two/d"}
	if diff := cmp.Diff([][]string{want, want}, [][]string{latest, records}); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestSnapshotDoesNotChange(t *testing.T) {
	l := New()
	add := func(class probe.Class, took probe.Seconds) {
		for _, name := range []string{"a", "b", "c"} {
			r := result("codex", name, class)
			r.Elapsed, r.Warnings = took, []string{"w"}
			l.Add(r, time.Minute)
		}
	}
	add(probe.OK, 0.1)
	before := l.Snapshot(Snapshot{})
	same := l.Snapshot(Snapshot{})
	add(probe.OK, 0.1)
	add(probe.DNSTimeout, 5)
	exported := cmpopts.IgnoreUnexported(Snapshot{})
	if diff := cmp.Diff(same, before, exported); diff != "" {
		t.Errorf("a snapshot changed (-before +after):\n%s", diff)
	}
	now := l.Snapshot(Snapshot{})
	if cmp.Equal(now, before, exported) {
		t.Error("adding results changed nothing")
	}
	if diff := cmp.Diff(now, l.Snapshot(same), exported); diff != "" {
		t.Errorf("in the memory of an earlier one it is another (-new +reused):\n%s", diff)
	}
}

func TestConcurrentUse(t *testing.T) {
	l := New()
	var all sync.WaitGroup
	for _, name := range []string{"a", "b", "c", "d"} {
		all.Go(func() {
			for range 500 {
				l.Add(result("codex", name, probe.OK), time.Minute)
				l.Snapshot(Snapshot{})
				l.Latest()
			}
		})
	}
	all.Wait()
	for _, rec := range l.Snapshot(Snapshot{}).Records {
		if rec.Succeeded != 500 {
			t.Errorf("%s: %d of 500 attempts", rec.Probe, rec.Succeeded)
		}
	}
}

// Every duration is counted in one classic and one native bucket, whose bounds are as defined.
func TestBuckets(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	durations := []float64{0, 1e-9, 1e-6, 0.001, 0.25, 1, 2, 90, 91, 1e6}
	for range 1000 {
		durations = append(durations, math.Exp(random.NormFloat64()*4-4))
	}
	for _, seconds := range durations {
		var h Histogram
		h.Observe(seconds)
		index := float64(h.Native[0].Index)
		over, upTo := math.Exp2((index-1)/(1<<Schema)), math.Exp2(index/(1<<Schema))
		if bounded := max(seconds, 1e-6); len(h.Native) != 1 || bounded <= over*(1-1e-12) || bounded > upTo*(1+1e-12) {
			t.Errorf("%v s: native bucket %v is (%v, %v]", seconds, index, over, upTo)
		}
		for i, bound := range Bounds {
			want := seconds <= bound && (i == 0 || seconds > Bounds[i-1])
			if got := h.Classic[i] == 1; got != want {
				t.Errorf("%v s: counted in the bucket up to %v: got %v, want %v", seconds, bound, got, want)
			}
		}
	}
}
