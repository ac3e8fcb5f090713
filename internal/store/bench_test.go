package store

import (
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"netwatchd/internal/ledger"
	"netwatchd/internal/probe"
	"netwatchd/internal/rollup"
)

// manyProbes is the size of a large but normal configuration. Each probe runs every thirty seconds.
const manyProbes = 10_000

func manyMinutes(n int, r *rand.Rand) rollup.Minute {
	m := rollup.Minute{At: noon.Add(time.Duration(n) * time.Minute), Parts: make([]rollup.Part, manyProbes)}
	for i := range m.Parts {
		m.Parts[i].Key = ledger.Key{Service: "shop", Probe: fmt.Sprint("probe", i), Kind: probe.KindDNS}
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
	minutes := []rollup.Minute{manyMinutes(0, r), manyMinutes(1, r)}
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

// BenchmarkHistory writes the roll-ups of ten thousand probes, hour by hour like the daemon, and reads what a page
// shows. It writes a few hours; NETWATCHD_BENCH_HOURS=720 writes a month, which takes a quarter of an hour.
func BenchmarkHistory(b *testing.B) {
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
	writing, gathering := writeHours10k(b, s, hours)
	if _, err := s.db.Exec("PRAGMA wal_checkpoint(TRUNCATE)"); err != nil {
		b.Fatal(err)
	}
	info, err := os.Stat(s.Path())
	if err != nil {
		b.Fatal(err)
	}
	b.Run("written", func(b *testing.B) {
		for b.Loop() {
		}
		b.ReportMetric(float64(info.Size())/1e6, "MB")
		b.ReportMetric(writing.Seconds()*1000/float64(hours*60), "ms/minute")
		b.ReportMetric(gathering.Seconds()*1000/float64(hours), "ms/hour")
	})
	var keys []ledger.Key // as many as one page shows
	for i := range 24 {
		keys = append(keys, ledger.Key{Service: "shop", Probe: fmt.Sprint("probe", i*manyProbes/24), Kind: probe.KindDNS})
	}
	now := noon.Add(time.Duration(hours) * time.Hour)
	for _, r := range []struct{ span, step time.Duration }{
		{time.Hour, time.Minute}, {24 * time.Hour, 5 * time.Minute}, {7 * 24 * time.Hour, 30 * time.Minute}, {90 * 24 * time.Hour, 6 * time.Hour},
	} {
		b.Run(fmt.Sprint("read ", r.span), func(b *testing.B) {
			for b.Loop() {
				c := rollup.NewCurves(keys, now.Add(-r.span), now, r.step)
				if err := s.Series(b.Context(), c); err != nil || len(c.Points(keys[1])) == 0 {
					b.Fatalf("%d points, %v", len(c.Points(keys[1])), err)
				}
			}
		})
	}
}

// writeHours10k writes them, and returns how long the writing and the maintenance took.
func writeHours10k(b *testing.B, s *Store, hours int) (writing, gathering time.Duration) {
	r := rand.New(rand.NewPCG(1, 2))
	samples := make([]rollup.Minute, 10) // making them takes longer than writing them
	for i := range samples {
		samples[i] = manyMinutes(i, r)
	}
	for n := range hours * 60 {
		m := samples[r.IntN(len(samples))]
		m.At = noon.Add(time.Duration(n) * time.Minute)
		begun := time.Now()
		if err := s.Write(b.Context(), &Batch{Minutes: []rollup.Minute{m}}); err != nil {
			b.Fatal(err)
		}
		writing += time.Since(begun)
		if n%60 == 59 {
			begun := time.Now()
			if err := s.Maintain(b.Context(), m.At.Add(time.Minute), 90*24*time.Hour); err != nil {
				b.Fatal(err)
			}
			gathering += time.Since(begun)
		}
	}
	return writing, gathering
}
