package rollup

import (
	"math/rand/v2"
	"netwatchd/internal/probe"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

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
	var p Packer
	p.Add(7, &first)
	p.Add(1<<40, &second)
	third, fourth := rolled(probe.OK, probe.OK, probe.OK, probe.OK), rolled(probe.OK)
	p.Add(2, &third)
	p.Add(3, &fourth)
	got := make(map[uint64]Rollup)
	if err := Unpack(p.Pack(), func(n uint64, u *Rollup) { got[n] = *u }); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[uint64]Rollup{7: first, 1 << 40: second, 2: third, 3: fourth}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func FuzzUnpack(f *testing.F) {
	u := rolled(probe.OK, probe.DNSTimeout)
	var p Packer
	p.Add(1, &u)
	f.Add(p.Pack())
	f.Fuzz(func(t *testing.T, pack []byte) {
		_ = Unpack(pack, func(_ uint64, u *Rollup) { u.Quantile(.5) }) // it must not panic, nor take memory it was not given
	})
}

// A pack read for one series tells of it what a pack read whole does.
func TestUnpackSome(t *testing.T) {
	var p Packer
	all := map[uint64]Rollup{}
	for n, classes := range [][]probe.Class{
		{probe.OK}, {probe.TCPRefused}, {}, {probe.OK, probe.OK, probe.DNSTimeout}, {probe.OK, probe.OK, probe.OK, probe.OK, probe.TCPReset, probe.TCPRefused},
		{probe.OK, probe.OK},
	} {
		u := rolled(classes...)
		p.Add(uint64(n), &u)
	}
	pack := p.Pack()
	if err := Unpack(pack, func(n uint64, u *Rollup) { all[n] = *u }); err != nil || len(all) != 6 {
		t.Fatalf("%d of 6, %v", len(all), err)
	}
	for n, want := range all {
		got := map[uint64]Rollup{}
		err := UnpackSome(pack, func(number uint64) bool { return number == n }, func(n uint64, u *Rollup) { got[n] = *u })
		if diff := cmp.Diff(map[uint64]Rollup{n: want}, got); diff != "" || err != nil {
			t.Errorf("%d: %v (-want +got):\n%s", n, err, diff)
		}
	}
}
