package demo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/mattn/go-isatty"

	"netwatchd/internal/screen"
	"netwatchd/internal/top"
)

// ErrNoTerminal is returned if a menu cannot be shown.
var ErrNoTerminal = errors.New("the menu needs a terminal with cursor control: 'netwatchd demo --play' runs " +
	"through all faults without one")

// HasTerminal reports whether Show can show its menu.
func HasTerminal(in, out *os.File, getenv func(string) string) bool {
	return isatty.IsTerminal(in.Fd()) && isatty.IsTerminal(out.Fd()) && top.HasCursor(getenv)
}

// Show shows a menu of the faults above the live status, until the user quits or ctx ends.
func (d *Demo) Show(ctx context.Context, in, out *os.File, getenv func(string) string) error {
	if !HasTerminal(in, out, getenv) {
		return ErrNoTerminal
	}
	m := &menu{demo: d}
	return top.Run(ctx, top.Options{In: in, Out: out, Getenv: getenv, Read: m.read, Panel: m.panel, Key: m.key})
}

// A menu is what the user sees above the status.
type menu struct {
	demo   *Demo
	mu     sync.Mutex // the status is read by another goroutine
	failed error      // of the last Inject
}

// read reads the scene. It is for one goroutine at a time.
func (m *menu) read(ctx context.Context, service string) *screen.Scene {
	scene := m.demo.reader.Read(ctx, service)
	if ended := m.demo.daemon.err(); ended != nil {
		scene.Trouble = ended.Error()
	}
	return scene
}

// key injects the fault with this key.
func (m *menu) key(name string) {
	i := slices.IndexFunc(faults, func(f Fault) bool { return f.Key == name })
	if i < 0 {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.failed = m.demo.Inject(i)
}

// panel lists the faults in two columns if they fit, and marks the present one.
func (m *menu) panel(o screen.Options) []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	lines := []string{"Press a key to inject a fault. The status page: " + m.demo.Page, ""}
	entries := make([]string, len(faults))
	widest := 0
	for i, f := range faults {
		mark := "  "
		if i == m.demo.now {
			mark = "> "
		}
		entries[i] = fmt.Sprintf("%s%s  %s", mark, f.Key, f.Title)
		widest = max(widest, len(entries[i]))
	}
	rows := len(entries)
	if 2*widest+2 <= o.Width {
		rows = (len(entries) + 1) / 2
	}
	for i := range rows {
		line := entries[i]
		if i+rows < len(entries) {
			line += strings.Repeat(" ", widest-len(line)+2) + entries[i+rows]
		}
		lines = append(lines, line)
	}
	if m.failed != nil {
		lines = append(lines, "The fault was not injected: "+m.failed.Error())
	}
	for i, line := range lines {
		lines[i] = line[:min(len(line), max(o.Width, 1))] // ASCII only: bytes are cells
	}
	return append(lines, "")
}
