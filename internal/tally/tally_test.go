package tally

import (
	"math/rand/v2"
	"testing"
	"time"

	"netwatchd/internal/probe"
)

var limits = Limits{Failures: 3, Of: 20}

// play counts one attempt for each character: x fails. It returns the Tally after the last one.
func play(ends string) (t Tally) {
	for _, end := range ends {
		r := probe.Result{Spec: probe.Spec{Name: "head"}, Class: probe.OK}
		if end == 'x' {
			r.Class = probe.HTTPServerError
		}
		if t.Count > 0 || end == 'x' {
			t.Add(r, limits)
		}
	}
	return t
}

func TestStands(t *testing.T) {
	const calmed = "...................." // 20
	for _, test := range []struct {
		name, ends string
		want       bool
	}{
		{"one failure", "x....", false},
		{"two", "x....x....", false},
		{"every fifth", "....x....x....x", true},
		{"every other", "x.x.x", true},
		{"an outage", "xxxxxxxxxxxx", false},
		{"an outage that ended", "xxxxxxxxxxxx........", false},
		{"two outages", "xxxxx....xxxxx....", false},
		{"rarely", "x.........x.........x", false},
		{"over for a while", "x.x.x" + calmed + calmed, true},
		{"over", "x.x.x" + calmed + calmed + calmed, false},
		{"one more in time", "x.x.x" + calmed + calmed + "x" + calmed + calmed, true},
		{"becomes an outage", "x.x.x" + "xxxxxxxxxxxxxxxxxxxx", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := play(test.ends)
			if got.Stands != test.want {
				t.Errorf("%s: stands %v, want %v", test.ends, got.Stands, test.want)
			}
		})
	}
}

func TestShare(t *testing.T) {
	got := play("x....x....x....")
	if failed, of := got.Share(limits); failed != 3 || of != 15 {
		t.Errorf("got %d of %d, want 3 of 15", failed, of)
	}
	if got := play("x..xx.xxx"); got.Row() != 3 {
		t.Errorf("%d in a row, want 3", got.Row())
	}
	if got.Last.Class != probe.HTTPServerError {
		t.Errorf("last: %v", got.Last.Class)
	}
}

// A probe that fails by chance, as often as every eighth time or every other time, does so for a day without a break.
func TestStandsForADay(t *testing.T) {
	random := rand.New(rand.NewPCG(4, 2026))
	for _, share := range []float64{0.125, 0.2, 0.5} {
		var got Tally
		begun, breaks := false, 0
		for range 2880 {
			r := probe.Result{Class: probe.OK}
			if random.Float64() < share {
				r.Class = probe.TCPTimedOut
			}
			got.Add(r, limits)
			if begun && !got.Stands {
				breaks++
			}
			begun = begun || got.Stands
		}
		if !begun || breaks > 0 {
			t.Errorf("%v of the attempts fail: stands %v, %d attempts in breaks", share, begun, breaks)
		}
	}
}

func TestIsValid(t *testing.T) {
	now := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	kept := func(change func(*Tally)) *Tally {
		last := probe.Result{Spec: probe.Spec{Name: "head"}, Class: probe.TCPReset, Start: now.Add(-time.Minute)}
		t := &Tally{Failed: 5, Count: 3, Stands: true, Last: last, At: now.Add(-time.Second)}
		change(t)
		return t
	}
	for name, test := range map[string]struct {
		change func(*Tally)
		want   bool
	}{
		"as kept":                     {func(*Tally) {}, true},
		"of the future":               {func(t *Tally) { t.At = now.Add(time.Minute) }, false},
		"a failure of the future":     {func(t *Tally) { t.Last.Start = now.Add(time.Minute) }, false},
		"too old":                     {func(t *Tally) { t.At = now.Add(-time.Hour) }, false},
		"no attempts":                 {func(t *Tally) { t.Count = 0 }, false},
		"more attempts than fit":      {func(t *Tally) { t.Count = 65 }, false},
		"more failures than attempts": {func(t *Tally) { t.Failed = 1 << 40 }, false},
		"no failure":                  {func(t *Tally) { t.Failed = 0 }, false},
		"a failure in the sandbox":    {func(t *Tally) { t.Last.Vantage = probe.FromSandbox }, false},
		"a failure that is none":      {func(t *Tally) { t.Last.Class = probe.OK }, false},
		"negative":                    {func(t *Tally) { t.Count = -1 }, false},
	} {
		if got := kept(test.change).IsValid(now); got != test.want {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
}
