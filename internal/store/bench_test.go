package store

import (
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"netwatchd/internal/probe"
)

// manyProbes are as many as are a normal configuration, each made every thirty seconds.
const manyProbes = 10_000

func manyMinutes(n int, r *rand.Rand) Minute {
	m := Minute{At: noon.Add(time.Duration(n) * time.Minute), Parts: make([]Part, manyProbes)}
	for i := range m.Parts {
		m.Parts[i].Key = Key{Service: "shop", Probe: fmt.Sprint("probe", i), Kind: probe.KindDNS}
		for range 2 {
			class := probe.OK
			if r.IntN(1000) == 0 {
				class = probe.DNSTimeout
			}
			m.Parts[i].Add(class, probe.Seconds(.02+r.ExpFloat64()*.01))
		}
	}
	return m
}

// BenchmarkMinute writes a minute of ten thousand probes.
func BenchmarkMinute(b *testing.B) {
	s, err := Open(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	r := rand.New(rand.NewPCG(1, 2))
	minutes := []Minute{manyMinutes(0, r), manyMinutes(1, r)}
	n := 2
	write := func() {
		minutes[n%2].At = noon.Add(time.Duration(n) * time.Minute)
		if err := s.Write(b.Context(), &Batch{Minutes: minutes[n%2 : n%2+1]}); err != nil {
			b.Fatal(err)
		}
		n++
	}
	write() // the first one gives ten thousand series their numbers
	for b.Loop() {
		write()
	}
}

// BenchmarkWeek writes the roll-ups of ten thousand probes, and reads one of them. It writes a few hours and says what a
// week comes to; NETWATCHD_BENCH_HOURS=168 writes the week.
func BenchmarkWeek(b *testing.B) {
	hours := 3
	if text := os.Getenv("NETWATCHD_BENCH_HOURS"); text != "" {
		if _, err := fmt.Sscan(text, &hours); err != nil {
			b.Fatal(err)
		}
	}
	s, err := Open(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	r := rand.New(rand.NewPCG(1, 2))
	samples := make([]Minute, 10) // making them takes longer than writing them
	for i := range samples {
		samples[i] = manyMinutes(i, r)
	}
	var gathering, longest time.Duration
	for n := range hours * 60 {
		m := samples[r.IntN(len(samples))]
		m.At = noon.Add(time.Duration(n) * time.Minute)
		if err := s.Write(b.Context(), &Batch{Minutes: []Minute{m}}); err != nil {
			b.Fatal(err)
		}
		if n%60 == 59 {
			begun := time.Now()
			if err := s.Tidy(b.Context(), m.At.Add(time.Minute), 90*24*time.Hour); err != nil {
				b.Fatal(err)
			}
			gathering += time.Since(begun)
			longest = max(longest, time.Since(begun))
		}
	}
	if _, err := s.db.Exec("PRAGMA wal_checkpoint(TRUNCATE)"); err != nil {
		b.Fatal(err)
	}
	info, err := os.Stat(s.Path())
	if err != nil {
		b.Fatal(err)
	}
	k := samples[0].Parts[manyProbes/2].Key
	for b.Loop() {
		c := NewCurves([]Key{k}, noon, noon.Add(time.Duration(hours)*time.Hour), 10*time.Minute)
		if err := s.Series(b.Context(), c); err != nil || len(c.Points(k)) != hours*6 {
			b.Fatalf("%d points, %v", len(c.Points(k)), err)
		}
	}
	b.ReportMetric(float64(info.Size())/float64(hours)*168/1e6, "MB/week")
	b.ReportMetric(float64(info.Size())/float64(hours)/60/manyProbes, "B/minute/probe")
	b.ReportMetric(gathering.Seconds()*1000/float64(hours), "ms/gathered-hour")
	b.ReportMetric(longest.Seconds()*1000, "ms/longest-gather")
}
