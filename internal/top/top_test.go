package top

import (
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"netwatchd/internal/client"
	"netwatchd/internal/probe"
	"netwatchd/internal/screen"
)

func TestNoTerminal(t *testing.T) {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	if err := Run(t.Context(), Options{In: null, Out: null}); err != ErrNoTerminal {
		t.Errorf("got %v, want %v", err, ErrNoTerminal)
	}
}

// Minutes without attempts stay empty; those before the hour are left out.
func TestTrace(t *testing.T) {
	to := time.Date(2026, 11, 23, 12, 0, 30, 0, time.UTC)
	took := probe.Seconds(.01)
	at := func(minutes int) time.Time { return to.Truncate(time.Minute).Add(time.Duration(minutes) * time.Minute) }
	got := trace(client.Series{Probe: "head", Points: []client.Point{
		{At: at(-61), Attempts: 1}, {At: at(-59), Attempts: 1, P50: &took}, {At: at(0), Attempts: 3, Failed: map[probe.Class]uint64{probe.TCPRefused: 1, probe.TCPReset: 1}, P50: &took},
	}}, to)
	want := make([]screen.Step, screen.Hour)
	want[0], want[screen.Hour-1] = screen.Step{Attempts: 1, Took: took}, screen.Step{Attempts: 3, Failed: 2, Took: took}
	if diff := cmp.Diff(want, got.Steps); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
