package store

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"netwatchd/internal/incident"
	"netwatchd/internal/ledger"
	"netwatchd/internal/probe"
	"netwatchd/internal/rollup"
)

var head = ledger.Key{Service: "codex", Probe: "head", Kind: probe.KindHTTP}

func rolled(classes ...probe.Class) rollup.Rollup {
	var u rollup.Rollup
	for n, c := range classes {
		u.Add(c, probe.Seconds(n+1)/100)
	}
	return u
}

func minuteAt(minute int, classes ...probe.Class) rollup.Minute {
	return rollup.Minute{At: noon.Add(time.Duration(minute) * time.Minute), Parts: []rollup.Part{{Key: head, Rollup: rolled(classes...)}}}
}

func counts(t *testing.T, s *Store, from, to int, step time.Duration) map[int]uint64 {
	t.Helper()
	c := rollup.NewCurves([]ledger.Key{head}, noon.Add(time.Duration(from)*time.Minute), noon.Add(time.Duration(to)*time.Minute), step)
	if err := s.Series(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	got := make(map[int]uint64)
	for _, p := range c.Points(head) {
		got[int(p.At.Sub(noon)/time.Minute)] = p.Count
	}
	return got
}

// Measurements read the same before and after their hour is rolled up, even if the clock is set back.
func TestSeries(t *testing.T) {
	s := opened(t, t.TempDir())
	write(t, s, Batch{Minutes: []rollup.Minute{
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
	if err := s.Maintain(t.Context(), noon.Add(90*time.Minute), 90*24*time.Hour); err != nil {
		t.Fatal(err)
	}
	check("after")
	var left int
	if err := s.db.QueryRow("SELECT count(*) FROM minutes").Scan(&left); err != nil || left != 1 {
		t.Errorf("%d minutes are left, %v; want that of the current hour", left, err)
	}
	// The clock is set back into an hour that is already rolled up.
	write(t, s, Batch{Minutes: []rollup.Minute{minuteAt(1, probe.TCPRefused), minuteAt(30, probe.OK)}})
	fine[1], fine[30], coarse[0] = 4, 1, 7
	check("set back")
	if err := s.Maintain(t.Context(), noon.Add(90*time.Minute), 90*24*time.Hour); err != nil {
		t.Fatal(err)
	}
	check("set back and rolled up")
	// After a week only hours are left.
	if err := s.Maintain(t.Context(), noon.Add(8*24*time.Hour), 90*24*time.Hour); err != nil {
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

func TestGaps(t *testing.T) {
	s := opened(t, t.TempDir())
	at := func(minute int) time.Time { return noon.Add(time.Duration(minute) * time.Minute) }
	run := func(started, seen, ended int) *incident.DaemonRun {
		r := &incident.DaemonRun{Version: "1", Started: at(started), Seen: at(seen)}
		if ended > 0 {
			r.Ended = at(ended)
		}
		return r
	}
	for _, b := range []Batch{
		{Run: run(-30, -10, 0)}, // ended before
		{Run: run(5, 20, 21)},
		{Run: run(30, 40, 0)}, // killed
		{Run: run(45, 50, 0), Entries: []Entry{Suspend{incident.Suspend{At: at(60), Away: 7 * time.Minute}}}},
	} {
		write(t, s, b)
	}
	if first, err := s.Begin(t.Context()); err != nil || first.IsZero() || first.After(at(90)) {
		t.Errorf("the first run: %v, %v", first, err)
	}
	got, err := s.Gaps(t.Context(), at(0), at(90))
	want := []incident.Gap{{From: at(0), To: at(5), Suspended: false}, {From: at(21), To: at(30), Suspended: false}, {From: at(40), To: at(45), Suspended: false}, {From: at(53), To: at(60), Suspended: true}}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if got, err := s.Gaps(t.Context(), at(46), at(50)); err != nil || len(got) > 0 {
		t.Errorf("while it runs: %v, %v; want none", got, err)
	}
}
