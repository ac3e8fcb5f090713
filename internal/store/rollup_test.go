package store

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"netwatchd/internal/probe"
)

var head = Key{Service: "codex", Probe: "head", Kind: probe.KindHTTP}

func rolled(classes ...probe.Class) Rollup {
	var u Rollup
	for n, c := range classes {
		u.Add(c, probe.Seconds(n+1)/100)
	}
	return u
}

func TestRollup(t *testing.T) {
	u := rolled(probe.OK, probe.DNSTimeout, probe.OK, probe.DNSTimeout, probe.TCPRefused)
	if u.Count != 5 || u.OK() != 2 || u.Failed() != 3 || u.Min != 0.01 || u.Max != 0.03 || u.Mean() != 0.02 {
		t.Errorf("%+v: want 2 of 5 to be well, 10 to 30 ms", u)
	}
	var none Rollup
	none.Merge(&u)
	if diff := cmp.Diff(u, none); diff != "" {
		t.Errorf("nothing and u (-want +got):\n%s", diff)
	}
	if (&Rollup{}).Quantile(.5) != 0 || (&Rollup{}).Mean() != 0 {
		t.Error("nothing has a latency")
	}
}

func TestQuantile(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var u Rollup
	var all []float64
	for range 10_000 {
		took := r.ExpFloat64() * .05
		all = append(all, took)
		u.Add(probe.OK, probe.Seconds(took))
	}
	slices.Sort(all)
	for _, q := range []float64{.01, .5, .9, .99} {
		want := all[int(q*float64(len(all)))]
		if got := float64(u.Quantile(q)); got < want*.94 || got > want*1.06 {
			t.Errorf("quantile %v: %v, want %v", q, got, want)
		}
	}
}

func TestPack(t *testing.T) {
	first, second := rolled(probe.OK, probe.OK, probe.DNSTimeout), rolled(probe.TCPRefused)
	var p packer
	p.add(7, &first)
	p.add(1<<40, &second)
	third, fourth := rolled(probe.OK, probe.OK, probe.OK, probe.OK), rolled(probe.OK)
	p.add(2, &third)
	p.add(3, &fourth)
	got := make(map[uint64]Rollup)
	if err := unpack(p.pack(), func(n uint64, u *Rollup) { got[n] = *u }); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[uint64]Rollup{7: first, 1 << 40: second, 2: third, 3: fourth}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func FuzzUnpack(f *testing.F) {
	u := rolled(probe.OK, probe.DNSTimeout)
	var p packer
	p.add(1, &u)
	f.Add(p.pack())
	f.Fuzz(func(t *testing.T, pack []byte) {
		_ = unpack(pack, func(_ uint64, u *Rollup) { u.Quantile(.5) }) // it must not panic, nor take memory it was not given
	})
}

func minuteAt(minute int, classes ...probe.Class) Minute {
	return Minute{noon.Add(time.Duration(minute) * time.Minute), []Part{{head, rolled(classes...)}}}
}

func counts(t *testing.T, s *Store, from, to int, step time.Duration) map[int]uint64 {
	t.Helper()
	c := NewCurves([]Key{head}, noon.Add(time.Duration(from)*time.Minute), noon.Add(time.Duration(to)*time.Minute), step)
	if err := s.Series(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	got := make(map[int]uint64)
	for _, p := range c.Points(head) {
		got[int(p.At.Sub(noon)/time.Minute)] = p.Count
	}
	return got
}

// What was written is read back the same before and after its hour was gathered, a clock set back included.
func TestSeries(t *testing.T) {
	s := opened(t, t.TempDir())
	write(t, s, Batch{Minutes: []Minute{
		minuteAt(0, probe.OK), minuteAt(1, probe.OK, probe.OK), minuteAt(59, probe.DNSTimeout), minuteAt(61, probe.OK),
		minuteAt(1, probe.OK), // again: a restart within the minute
		minuteAt(-1, probe.OK),
	}})
	fine := map[int]uint64{-1: 1, 0: 1, 1: 3, 59: 1, 61: 1}
	coarse := map[int]uint64{-60: 1, 0: 5, 60: 1}
	check := func(when string) {
		t.Helper()
		if diff := cmp.Diff(fine, counts(t, s, -100, 100, time.Minute)); diff != "" {
			t.Errorf("%s, by minutes (-want +got):\n%s", when, diff)
		}
		if diff := cmp.Diff(coarse, counts(t, s, -100, 100, time.Hour)); diff != "" {
			t.Errorf("%s, by hours (-want +got):\n%s", when, diff)
		}
	}
	check("before")
	if err := s.Tidy(t.Context(), noon.Add(90*time.Minute), 90*24*time.Hour); err != nil {
		t.Fatal(err)
	}
	check("after")
	var left int
	if err := s.db.QueryRow("SELECT count(*) FROM minutes").Scan(&left); err != nil || left != 1 {
		t.Errorf("%d minutes are left, %v; want that of the hour that goes on", left, err)
	}
	// The clock is set back into the hour that was gathered.
	write(t, s, Batch{Minutes: []Minute{minuteAt(1, probe.TCPRefused), minuteAt(30, probe.OK)}})
	fine[1], fine[30], coarse[0] = 4, 1, 7
	check("set back")
	if err := s.Tidy(t.Context(), noon.Add(90*time.Minute), 90*24*time.Hour); err != nil {
		t.Fatal(err)
	}
	check("set back and gathered")
	// After a week there are hours.
	if err := s.Tidy(t.Context(), noon.Add(8*24*time.Hour), 90*24*time.Hour); err != nil {
		t.Fatal(err)
	}
	fine = coarse
	check("a week later")
	if got := counts(t, s, 0, 60, time.Minute); got[0] != 7 {
		t.Errorf("a week later: %v, want the hour's 7 at its beginning", got)
	}
	for _, services := range [][]string{nil, {head.Service}, {"absent", head.Service}} {
		keys, err := s.Keys(t.Context(), services...)
		if err != nil || len(keys) != 1 || keys[0] != head {
			t.Errorf("keys of %v: %v, %v; want %v", services, keys, err, head)
		}
	}
	if keys, err := s.Keys(t.Context(), "absent"); err != nil || len(keys) > 0 {
		t.Errorf("keys of a service that is not there: %v, %v", keys, err)
	}
}

// A pack read for one series tells of it what a pack read whole does.
func TestUnpackSome(t *testing.T) {
	var p packer
	all := map[uint64]Rollup{}
	for n, classes := range [][]probe.Class{
		{probe.OK}, {probe.TCPRefused}, {}, {probe.OK, probe.OK, probe.DNSTimeout}, {probe.OK, probe.OK, probe.OK, probe.OK, probe.TCPReset, probe.TCPRefused},
		{probe.OK, probe.OK},
	} {
		u := rolled(classes...)
		p.add(uint64(n), &u)
	}
	pack := p.pack()
	if err := unpack(pack, func(n uint64, u *Rollup) { all[n] = *u }); err != nil || len(all) != 6 {
		t.Fatalf("%d of 6, %v", len(all), err)
	}
	for n, want := range all {
		got := map[uint64]Rollup{}
		err := unpackSome(pack, func(number uint64) bool { return number == n }, func(n uint64, u *Rollup) { got[n] = *u })
		if diff := cmp.Diff(map[uint64]Rollup{n: want}, got); diff != "" || err != nil {
			t.Errorf("%d: %v (-want +got):\n%s", n, err, diff)
		}
	}
}

func TestAbsences(t *testing.T) {
	s := opened(t, t.TempDir())
	at := func(minute int) time.Time { return noon.Add(time.Duration(minute) * time.Minute) }
	run := func(started, seen, ended int) *Run {
		r := &Run{Version: "1", Started: at(started), Seen: at(seen)}
		if ended > 0 {
			r.Ended = at(ended)
		}
		return r
	}
	for _, b := range []Batch{
		{Run: run(-30, -10, 0)}, // over before
		{Run: run(5, 20, 21)},
		{Run: run(30, 40, 0)}, // killed
		{Run: run(45, 50, 0), Entries: []Entry{Suspend{At: at(60), Away: 7 * time.Minute}}},
	} {
		write(t, s, b)
	}
	got, err := s.Absences(t.Context(), at(0), at(90))
	want := []Absence{{at(0), at(5), false}, {at(21), at(30), false}, {at(40), at(45), false}, {at(53), at(60), true}}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if got, err := s.Absences(t.Context(), at(46), at(50)); err != nil || len(got) > 0 {
		t.Errorf("while it runs: %v, %v; want none", got, err)
	}
}
