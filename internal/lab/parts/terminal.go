package parts

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/charmbracelet/x/vt"
	"github.com/creack/pty"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// terminalLimit bounds each wait for a terminal. A busy machine takes long to start a program.
const terminalLimit = time.Minute

// A Terminal is one in which a command of netwatchd runs, with the screen that a person would see.
type Terminal struct {
	t      testing.TB
	Cmd    *exec.Cmd
	master *os.File
	before unix.Termios

	mu     sync.Mutex
	screen *vt.Emulator
	raw    bytes.Buffer
	exited chan struct{}
}

// Open runs a command, made by [Netwatchd.Command], in a terminal of 80 columns and 24 lines.
func Open(t testing.TB, cmd *exec.Cmd) *Terminal {
	t.Helper()
	x := &Terminal{t: t, Cmd: cmd, screen: vt.NewEmulator(80, 24), exited: make(chan struct{})}
	x.screen.WriteString("what was there before")
	master, slave, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	x.master = master
	if err := pty.Setsize(master, &pty.Winsize{Cols: 80, Rows: 24}); err != nil {
		t.Fatal(err)
	}
	x.before = x.settings()
	x.Cmd.Stdin, x.Cmd.Stdout, x.Cmd.Stderr = slave, slave, slave
	x.Cmd.SysProcAttr.Setsid, x.Cmd.SysProcAttr.Setctty = true, true
	if err := x.Cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go x.show()
	go x.answer()
	go func() { x.Cmd.Wait(); close(x.exited) }()
	t.Cleanup(func() {
		x.Cmd.Process.Kill()
		<-x.exited
		slave.Close()
		master.Close()
		x.screen.InputPipe().(io.Closer).Close() // its own Close races with a Read that waits
		if t.Failed() {
			t.Logf("the screen:\n%s", x.Text())
		}
	})
	return x
}

// show shows what the command writes, until the terminal is closed.
func (x *Terminal) show() {
	buffer := make([]byte, 32<<10)
	for {
		n, err := x.master.Read(buffer)
		if err != nil {
			return
		}
		x.mu.Lock()
		x.raw.Write(buffer[:n])
		x.screen.Write(buffer[:n])
		x.mu.Unlock()
	}
}

// answer answers the command's terminal queries.
func (x *Terminal) answer() {
	buffer := make([]byte, 1<<10)
	for {
		n, err := x.screen.Read(buffer)
		if err != nil {
			return
		}
		x.master.Write(buffer[:n])
	}
}

// Text returns what is on the screen.
func (x *Terminal) Text() string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.screen.String()
}

// Written returns all bytes that the command wrote.
func (x *Terminal) Written() string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.raw.String()
}

func (x *Terminal) settings() unix.Termios {
	x.t.Helper()
	settings, err := unix.IoctlGetTermios(int(x.master.Fd()), unix.TCGETS)
	if err != nil {
		x.t.Fatal(err)
	}
	return *settings
}

// Awaits waits until all of words are on the screen.
func (x *Terminal) Awaits(words ...string) {
	x.t.Helper()
	err := Eventually(terminalLimit, func() error {
		text := strings.Join(strings.Fields(x.Text()), " ") // wherever its lines are broken
		for _, word := range words {
			if !strings.Contains(text, word) {
				return fmt.Errorf("no %q on the screen", word)
			}
		}
		return nil
	})
	if err != nil {
		x.t.Fatal(err)
	}
}

// Keys types keys.
func (x *Terminal) Keys(keys string) {
	x.t.Helper()
	if _, err := x.master.WriteString(keys); err != nil {
		x.t.Fatal(err)
	}
}

// Resize resizes the terminal and notifies the command.
func (x *Terminal) Resize(columns, rows int) {
	x.t.Helper()
	x.mu.Lock()
	x.screen.Resize(columns, rows)
	x.mu.Unlock()
	if err := pty.Setsize(x.master, &pty.Winsize{Cols: uint16(columns), Rows: uint16(rows)}); err != nil {
		x.t.Fatal(err)
	}
}

// Ended checks that the command succeeded and restored the terminal.
func (x *Terminal) Ended() {
	x.t.Helper()
	select {
	case <-x.exited:
	case <-time.After(terminalLimit):
		x.t.Fatal("it does not end")
	}
	if code := x.Cmd.ProcessState.ExitCode(); code != 0 {
		x.t.Errorf("exit code %d", code)
	}
	x.Awaits("what was there before")
	if diff := cmp.Diff(x.before, x.settings()); diff != "" {
		x.t.Errorf("the terminal is not as it was (-before +after):\n%s", diff)
	}
	if raw := x.Written(); strings.LastIndex(raw, "\x1b[?25h") < strings.LastIndex(raw, "\x1b[?25l") {
		x.t.Error("the cursor stays hidden")
	}
}
