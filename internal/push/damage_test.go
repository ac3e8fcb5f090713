package push

import (
	"context"
	"encoding/binary"
	"fmt"
	"iter"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/klauspost/compress/snappy"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	dto "github.com/prometheus/client_model/go"
	"google.golang.org/protobuf/encoding/protodelim"

	"netwatchd/internal/panics"
)

// families are of every type that is exported, with native histograms, labels and staleness markers.
func exportedFamilies(t testing.TB) []*dto.MetricFamily {
	t.Helper()
	registry := prometheus.NewRegistry()
	runs := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "netwatchd_probe_runs_total", Help: "Attempts made."}, []string{"probe", "result"})
	durations := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "netwatchd_probe_run_duration_seconds", Help: "How long attempts took.",
		Buckets: prometheus.ExponentialBuckets(.001, 2, 12), NativeHistogramBucketFactor: 1.1}, []string{"probe"})
	scrapes := prometheus.NewSummaryVec(prometheus.SummaryOpts{Name: "netwatchd_summary_seconds", Help: "A summary.",
		Objectives: map[float64]float64{.5: .05, .99: .001}}, []string{"probe"})
	registry.MustRegister(runs, durations, scrapes, collectors.NewGoCollector())
	for i := range 40 {
		probe := fmt.Sprint("probe", i)
		runs.WithLabelValues(probe, "success").Add(float64(i * 7))
		runs.WithLabelValues(probe, "failure").Add(float64(i))
		for n := range 20 {
			durations.WithLabelValues(probe).Observe(float64(n*i) / 1000)
			scrapes.WithLabelValues(probe).Observe(float64(n) / 100)
		}
	}
	all, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	tracked := newTracker(noon)
	for range tracked.next(sequence(all)) {
	}
	runs.DeleteLabelValues("probe1", "success")
	durations.DeleteLabelValues("probe2")
	if all, err = registry.Gather(); err != nil {
		t.Fatal(err)
	}
	var out []*dto.MetricFamily
	for f := range tracked.next(sequence(all)) {
		out = append(out, f)
	}
	return out
}

func sequence(all []*dto.MetricFamily) iter.Seq[*dto.MetricFamily] {
	return func(yield func(*dto.MetricFamily) bool) {
		for _, f := range all {
			if !yield(f) {
				return
			}
		}
	}
}

// realEntries are entries as the queue holds them: one large, some small.
func realEntries(t testing.TB) (all []packed) {
	t.Helper()
	families := exportedFamilies(t)
	for _, some := range [][]*dto.MetricFamily{families, families[:1], families[len(families)-4:]} {
		for e, err := range entries(sequence(some)) {
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, e)
		}
	}
	return all
}

// named returns the entry that put would make.
func named(p packed, n int) entry {
	return entry{sequence: uint64(n), at: noon.UnixMilli() + int64(n), samples: p.samples}
}

func TestUndamagedEntriesAreRead(t *testing.T) {
	for i, p := range realEntries(t) {
		e := named(p, i)
		for form, file := range map[string][]byte{"sealed": seal(e.name(), p.body), "of an earlier version": p.body} {
			if e.unsealed = form != "sealed"; !e.unsealed {
				body, err := unseal(e.name(), file)
				if err != nil {
					t.Fatal(err)
				}
				file = body
			}
			if families, err := decode(e, file); err != nil || len(families) == 0 {
				t.Errorf("entry %d, %s: %d families, %v", i, form, len(families), err)
			}
		}
	}
}

// damage returns a copy of file that differs from it.
func damage(r *rand.Rand, file, other []byte) []byte {
	for {
		bad := append([]byte{}, file...)
		switch r.IntN(6) {
		case 0: // a bit
			i := r.IntN(len(bad))
			bad[i] ^= 1 << r.IntN(8)
		case 1: // some octets
			for range 1 + r.IntN(8) {
				bad[r.IntN(len(bad))] = byte(r.Uint32())
			}
		case 2: // the end is missing, as after a power cut
			bad = bad[:r.IntN(len(bad))]
		case 3: // a block of zeros, as after a power cut
			at := r.IntN(len(bad))
			clear(bad[at:min(len(bad), at+1+r.IntN(512))])
		case 4: // the end of another entry
			bad = append(bad[:r.IntN(len(bad))], other[r.IntN(len(other)):]...)
		case 5: // a part is missing or twice
			at, n := r.IntN(len(bad)), 1+r.IntN(64)
			to := max(0, min(len(bad), at+n-2*r.IntN(2)*n))
			bad = append(append([]byte{}, bad[:at]...), bad[to:]...)
		}
		if string(bad) != string(file) {
			return bad
		}
	}
}

// No damaged entry is accepted as a measurement, and none panics, whatever protocol it would be sent by.
func TestDamagedEntriesAreRefused(t *testing.T) {
	const tries = 24_000
	all := realEntries(t)
	files := make([][]byte, len(all))
	for i, p := range all {
		files[i] = seal(named(p, i).name(), p.body)
	}
	r := rand.New(rand.NewPCG(14, 1))
	before := panics.Count(panics.Push)
	accepted, acceptedUnsealed := 0, 0
	for n := range tries {
		i, j := r.IntN(len(all)), r.IntN(len(all))
		e := named(all[i], i)
		bad := damage(r, files[i], files[j])
		if body, err := unseal(e.name(), bad); err == nil {
			accepted++
			t.Errorf("try %d: accepted, %d octets", n, len(body))
		}
		// Entries of an earlier version have no checksum. What is accepted must still be fit to be sent.
		if n%4 > 0 {
			continue
		}
		e.unsealed = true
		if families, err := decode(e, damage(r, all[i].body, all[j].body)); err == nil {
			acceptedUnsealed++
			sendable(t, []snapshot{{e.at, families}})
		}
	}
	if n := panics.Count(panics.Push) - before; n > 0 {
		t.Errorf("%d panics were recovered", n)
	}
	t.Logf("%d of %d damaged entries accepted; without a checksum %d of %d", accepted, tries, acceptedUnsealed, tries/4)
}

// sendable encodes snapshots by every protocol.
func sendable(t testing.TB, all []snapshot) {
	t.Helper()
	table := newTable(nil, true)
	for _, s := range all {
		table.add(s.at, s.families)
	}
	encodeV2(table)
	encodeV1(table)
	if _, _, err := new(otlp).encode(all); err != nil {
		t.Error(err)
	}
}

// An entry that stands under the name of another one has another time.
func TestSwappedEntriesAreRefused(t *testing.T) {
	p := realEntries(t)[0]
	file := seal(named(p, 1).name(), p.body)
	other := named(p, 2)
	if _, err := unseal(other.name(), file); err == nil {
		t.Error("accepted")
	}
}

// A body cannot claim more memory than it justifies.
func TestClaimedLengthsAreBounded(t *testing.T) {
	claims := binary.AppendUvarint(nil, 4<<30-1)
	family := binary.AppendUvarint(nil, 2<<30)
	for name, body := range map[string][]byte{
		"snappy":   append(claims, 0),
		"protobuf": snappy.Encode(nil, family),
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if _, err := unpack(body); err == nil {
			t.Errorf("%s: accepted", name)
		}
		runtime.ReadMemStats(&after)
		if n := after.TotalAlloc - before.TotalAlloc; n > 1<<20 {
			t.Errorf("%s: %d octets allocated %d", name, len(body), n)
		}
	}
}

// Names are the only thing that is believed of an entry before it is read.
func TestNames(t *testing.T) {
	for name, valid := range map[string]bool{
		"0000000000000001-1000-5":                    true,
		"0000000000000001-1000-5.v2":                 true,
		"0000000000000001-0-5.v2":                    true,
		"0000000000000001-1000--5":                   false,
		"0000000000000001-1000-0":                    false,
		"0000000000000001-1000-05":                   false,
		"0000000000000001-1000-+5":                   false,
		"0000000000000001--1000-5":                   false,
		"0000000000000001-1000-99999999":             false,
		"0000000000000001-99999999999999-5":          false,
		"0000000000000001-99999999999999999999999-5": false,
		"ffffffffffffffff-1000-5":                    false, // none could follow it
		"000000000000000A-1000-5":                    false,
		"1-1000-5":                                   false,
		"0000000000000001-1000-5 ":                   false,
		"0000000000000001-1000-5\n":                  false,
		"0000000000000001-1000-5.v3":                 false,
		"protocol":                                   false,
		"":                                           false,
	} {
		if e, ok := parseName(name); ok != valid || ok && e.name() != name {
			t.Errorf("parseName(%q) = %+v, %v", name, e, ok)
		}
	}
}

// brokenQueue writes a queue that holds what was found to end the daemon, and returns how many of its entries are
// good.
func brokenQueue(t *testing.T, dir string) (good, damaged int) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	n := 0
	write := func(name string, content []byte) {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
		n++
	}
	gauge := func(name string) packed {
		f := up(noon)[0].families[0]
		f.Name = &name
		for e := range entries(sequence([]*dto.MetricFamily{f})) {
			return e
		}
		return packed{}
	}
	var noHistogram strings.Builder
	if _, err := protodelim.MarshalTo(&noHistogram, &dto.MetricFamily{Name: new("h"), Type: dto.MetricType_HISTOGRAM.Enum(), Metric: []*dto.Metric{{}}}); err != nil {
		t.Fatal(err)
	}
	write("0000000000000001-1000--5", []byte("x"))
	write("0000000000000002-2000-1", snappy.Encode(nil, []byte(noHistogram.String())))
	write("0000000000000003-3000-1", binary.AppendUvarint(nil, 4<<30-1))
	write("0000000000000004-4000-1.v2", []byte("nwq2"))
	write("0000000000000005-5000-1.v2", nil)
	write("ffffffffffffffff-6000-1", gauge("up").body)
	damaged = n
	write("0000000000000006-1771588800000-1", gauge("old").body)
	e := entry{sequence: 7, at: noon.UnixMilli(), samples: 1}
	write(e.name(), seal(e.name(), gauge("new").body))
	good = n - damaged
	write("protocol", []byte("9.9\n"))
	write("README", []byte("not ours"))
	return good, damaged
}

// A queue full of damage ends nothing: what is good is sent, the rest is kept aside and counted.
func TestDamagedQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		l := new(fakeReceiver)
		r := pushing(t, dir, l)
		queue := filepath.Join(dir, r.conf.Name)
		good, damaged := brokenQueue(t, queue)
		run(t, r, 0)
		var names []string
		for _, text := range l.received {
			_, name, _ := strings.Cut(text, ": ")
			names = append(names, name)
		}
		if len(names) < good || names[0] != "old" || names[1] != "new" {
			t.Errorf("received %q", l.received)
		}
		files, _ := os.ReadDir(filepath.Join(queue, damagedDir))
		if len(files) != damaged || counterOf(t, r.metrics.damaged) != float64(damaged) {
			t.Errorf("%d files set aside, %v counted, want %d", len(files), counterOf(t, r.metrics.damaged), damaged)
		}
		left, _ := os.ReadDir(queue)
		var found []string
		for _, f := range left {
			found = append(found, f.Name())
		}
		if got := strings.Join(found, " "); got != "README damaged protocol" {
			t.Errorf("left in the queue: %s", got)
		}
	})
}

func counterOf(t *testing.T, of *prometheus.CounterVec) float64 {
	t.Helper()
	var m dto.Metric
	if err := of.WithLabelValues("central").Write(&m); err != nil {
		t.Fatal(err)
	}
	return m.Counter.GetValue()
}

// panickyReceiver panics at one entry, as a bug in an encoder would.
type panickyReceiver struct{ fakeReceiver }

func (p *panickyReceiver) send(ctx context.Context, all []snapshot) (int, error) {
	for _, s := range all {
		if s.families[0].GetName() == "poison" {
			panic("index out of range")
		}
	}
	return p.fakeReceiver.send(ctx, all)
}

func TestPanicSetsOneEntryAside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		l := new(panickyReceiver)
		r := newReceiver(receiverAt(""), l, Options{Dir: dir, Started: time.Now(), Log: slog.New(slog.DiscardHandler), Now: time.Now}, newPushMetrics())
		l.began = time.Now().Add(r.offset())
		if err := r.spool.open(); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"first", "poison", "last"} {
			f := up(noon)[0].families[0]
			f.Name = &name
			r.enqueue(sequence([]*dto.MetricFamily{f}))
		}
		r.spool.close()
		before := panics.Count(panics.Push)
		run(t, r, 0)
		if got := strings.Join(l.received, ","); !strings.Contains(got, "first") || !strings.Contains(got, "last") || strings.Contains(got, "poison") {
			t.Errorf("received %q", l.received)
		}
		if files, _ := os.ReadDir(filepath.Join(dir, r.conf.Name, damagedDir)); len(files) != 1 || counterOf(t, r.metrics.damaged) != 1 {
			t.Errorf("%d files set aside", len(files))
		}
		if panics.Count(panics.Push) == before {
			t.Error("the panic was not counted")
		}
	})
}

// Damaged entries do not fill the disk.
func TestDamagedEntriesAreBounded(t *testing.T) {
	dir := t.TempDir()
	for i := range damagedKept + 20 {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%016x-1000--5", i)), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var l losses
	opened(t, dir, 1<<20, &l)
	files, _ := os.ReadDir(filepath.Join(dir, damagedDir))
	if len(files) != damagedKept || len(l) != damagedKept+20 {
		t.Errorf("%d files kept, %d reported", len(files), len(l))
	}
}

// A process without descriptors cannot read an entry, which says nothing about the entry.
func TestShortageDamagesNothing(t *testing.T) {
	if err := fmt.Errorf("open: %w", os.NewSyscallError("open", syscall.EMFILE)); !isShortage(err) {
		t.Errorf("%v is taken for damage", err)
	}
	if isShortage(os.ErrNotExist) || isShortage(nil) {
		t.Error("a missing file is no shortage")
	}
}

func FuzzEntry(f *testing.F) {
	for i, p := range realEntries(f) {
		e := named(p, i)
		f.Add(e.name(), seal(e.name(), p.body))
		e.unsealed = true
		f.Add(e.name(), p.body)
	}
	f.Add("0000000000000001-1000--5", []byte{})
	f.Add("0000000000000003-3000-1", binary.AppendUvarint(nil, 4<<30-1))
	f.Fuzz(func(t *testing.T, name string, file []byte) {
		e, ok := parseName(name)
		if !ok {
			return
		}
		if e.name() != name || e.samples < 0 || e.at < 0 {
			t.Fatalf("%q was read as %+v", name, e)
		}
		if !e.unsealed {
			body, err := unseal(name, file)
			if err != nil {
				return
			}
			file = body
		}
		before := panics.Count(panics.Push)
		families, err := decode(e, file)
		if panics.Count(panics.Push) > before {
			t.Fatal(err)
		}
		if err == nil {
			sendable(t, []snapshot{{e.at, families}})
		}
	})
}
