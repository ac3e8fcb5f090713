package history

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"testing"
	"time"

	"netwatchd/internal/causes"
	"netwatchd/internal/incident"
	"netwatchd/internal/ledger"
	"netwatchd/internal/probe"
	"netwatchd/internal/rollup"
	"netwatchd/internal/store"
)

// victim is the environment variable that turns the test binary into a process to kill. Its value is the directory of
// the store.
const victim = "NETWATCHD_TEST_VICTIM"

func TestMain(m *testing.M) {
	if dir := os.Getenv(victim); dir != "" {
		writeOn(dir)
	}
	os.Exit(m.Run())
}

// What a victim writes in each minute.
const (
	victimProbes   = 300
	victimAttempts = 2
)

func victimKey(n int) ledger.Key {
	return ledger.Key{Service: "many", Probe: fmt.Sprint("probe", n), Kind: probe.KindDNS}
}

// writeOn writes minute after minute at once: attempts, and an incident of a service per minute. It prints each minute
// once it is written, and never returns.
func writeOn(dir string) {
	rec := New(Options{Dir: dir, Log: slog.New(slog.DiscardHandler)})
	for at := time.Now().Truncate(time.Minute); ; at = at.Add(time.Minute) {
		rec.currentMinute = at
		for range victimAttempts {
			for n := range victimProbes {
				key := victimKey(n)
				rec.Attempted(probe.Result{Spec: probe.Spec{Service: key.Service, Name: key.Probe, Kind: key.Kind}, Class: probe.OK, Elapsed: .01}, time.Second)
			}
		}
		judged(&life{Recorder: rec}, serviceOf(at), causes.Upstream, causes.Healthy)
		rec.endMinute(at.Add(time.Minute))
		rec.write(context.Background())
		if rec.Fault() == "" {
			fmt.Println(at.Unix())
		}
	}
}

func serviceOf(at time.Time) string { return fmt.Sprint("service", at.Unix()) }

// victims is how many processes are killed, one after the other.
const victims = 12

// A daemon that is killed at any time has stored everything it reported as written, exactly once, and the next one
// continues from there.
func TestKilled(t *testing.T) {
	dir := t.TempDir()
	written := make(map[int64]uint64) // in how many runs
	for range victims {
		for _, minute := range killedAfter(t, dir, time.Duration(rand.IntN(150))*time.Millisecond) {
			written[minute]++
		}
	}
	if len(written) == 0 {
		t.Fatal("nothing was written")
	}
	h, err := store.Check(t.Context(), dir)
	if err != nil || len(h.Faults) > 0 {
		t.Fatalf("%+v, %v", h, err)
	}
	s, err := store.OpenToRead(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	found, _, err := s.Incidents(t.Context(), incident.Filter{})
	if err != nil {
		t.Fatal(err)
	}
	incidents := make(map[string]int)
	for _, i := range found {
		incidents[i.Service]++
	}
	key := victimKey(victimProbes - 1)
	curves := rollup.NewCurves([]ledger.Key{key}, time.Now().Add(-time.Hour), time.Now().Add(1000*time.Hour), time.Minute)
	if err := s.Series(t.Context(), curves); err != nil {
		t.Fatal(err)
	}
	attempts := make(map[int64]uint64)
	for _, p := range curves.Points(key) {
		attempts[p.At.Unix()] = p.Count
	}
	for minute, lives := range written {
		// A process may be killed between writing a minute and printing it.
		got, least, most := attempts[minute], lives*victimAttempts, uint64(victims*victimAttempts)
		if service := serviceOf(time.Unix(minute, 0)); incidents[service] != 1 || got < least || got > most || got%victimAttempts != 0 {
			t.Errorf("minute %d: %d incidents, %d attempts; want 1, and %d to %d", minute, incidents[service], got, least, most)
		}
	}
	for service, n := range incidents {
		if n > 1 {
			t.Errorf("%s has %d incidents", service, n)
		}
	}
	t.Logf("%d minutes were written", len(written))
}

// killedAfter starts a victim, kills it some time after its first minute, and returns the minutes that it printed.
func killedAfter(t *testing.T, dir string, after time.Duration) (minutes []int64) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), victim+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(out)
	for {
		line, err := lines.ReadString('\n')
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if len(minutes) == 0 {
			time.AfterFunc(after, func() { _ = cmd.Process.Kill() })
		}
		var minute int64
		if _, err := fmt.Sscan(line, &minute); err != nil {
			t.Fatal(err)
		}
		minutes = append(minutes, minute)
	}
	_ = cmd.Wait() // killed, as it should be
	return minutes
}
