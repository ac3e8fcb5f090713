//go:build !race

package top

import (
	"context"
	"io"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/creack/pty"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"netwatchd/internal/screen"
)

// A panic while reading restores the terminal and returns an error.
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
		text, _ := io.ReadAll(master) // returns an error once the other side is closed
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
	var reads atomic.Int32
	err = Run(t.Context(), Options{In: slave, Out: slave, Getenv: func(string) string { return "xterm" }, Read: func(context.Context, string) *screen.Scene {
		if reads.Add(1) == 2 {
			panic("planted")
		}
		return &screen.Scene{Trouble: "nothing yet"}
	}})
	if err == nil {
		t.Error("no error")
	}
	if diff := cmp.Diff(before, settings()); diff != "" {
		t.Errorf("the terminal settings were not restored (-before +after):\n%s", diff)
	}
	slave.Close()
	const leave = "\x1b[?1049l" // the alternate screen
	if text := <-written; !strings.Contains(text, "nothing yet") || !strings.Contains(text, leave) {
		t.Errorf("got %q; want the scene, and the alternate screen left", text)
	}
}
