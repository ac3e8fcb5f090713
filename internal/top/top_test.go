package top

import (
	"context"
	"io"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"netwatchd/internal/client"
	"netwatchd/internal/probe"
	"netwatchd/internal/screen"
)

// A look that panics leaves the terminal as it was, and says so.
func TestPanic(t *testing.T) {
	master, slave, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer master.Close()
	if err := pty.Setsize(master, &pty.Winsize{Cols: 80, Rows: 24}); err != nil {
		t.Fatal(err)
	}
	written := make(chan string)
	go func() {
		text, _ := io.ReadAll(master) // ends with an error once the other side is closed
		written <- string(text)
	}()
	settings := func() *unix.Termios {
		s, err := unix.IoctlGetTermios(int(slave.Fd()), unix.TCGETS)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	before := settings()
	var looks atomic.Int32
	err = Run(t.Context(), Options{In: slave, Out: slave, Getenv: func(string) string { return "xterm" }, Look: func(context.Context, string) *screen.Scene {
		if looks.Add(1) == 2 {
			panic("planted")
		}
		return &screen.Scene{Trouble: "nothing yet"}
	}})
	if err == nil {
		t.Error("no error")
	}
	if diff := cmp.Diff(before, settings()); diff != "" {
		t.Errorf("the terminal is not as it was (-before +after):\n%s", diff)
	}
	slave.Close()
	const leave = "\x1b[?1049l" // the alternate screen
	if text := <-written; !strings.Contains(text, "nothing yet") || !strings.Contains(text, leave) {
		t.Errorf("it wrote %q; want what was seen, and the screen given back", text)
	}
}

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

// Minutes without attempts stay empty, and those before the hour are left out.
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
