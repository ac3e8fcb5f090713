// Package top shows the live status in a terminal, until the user quits.
package top

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/mattn/go-isatty"

	"netwatchd/internal/screen"
)

// A Reader returns the present scene. Service is the one to show in full; empty for the worst. It returns no error:
// what went wrong is part of the scene.
type Reader func(ctx context.Context, service string) *screen.Scene

// Options are what Run needs.
type Options struct {
	In, Out *os.File
	Getenv  func(string) string
	Read    Reader

	// Panel returns lines to show above the status. It may be nil, and is not shown on terminals without cursor control.
	Panel func(screen.Options) []string
	// Key handles a key, by its name in bubbletea, that top does not use itself. It may be nil.
	Key func(name string)
}

// ErrNoTerminal is returned if input or output is not a terminal.
var ErrNoTerminal = errors.New("top needs a terminal: use 'netwatchd status', or 'netwatchd status --json' in a script")

// HasCursor reports whether the terminal that getenv describes has cursor control.
func HasCursor(getenv func(string) string) bool {
	name := getenv("TERM")
	return name != "" && name != "dumb"
}

// Run shows the status until the user quits or ctx ends, and restores the terminal.
func Run(ctx context.Context, o Options) error {
	if !isatty.IsTerminal(o.In.Fd()) || !isatty.IsTerminal(o.Out.Fd()) {
		return ErrNoTerminal
	}
	if !HasCursor(o.Getenv) {
		return scroll(ctx, o)
	}
	m := &model{ctx: ctx, Options: o, options: screen.For(o.Out, o.Getenv)}
	program := tea.NewProgram(
		m,
		tea.WithContext(ctx),
		tea.WithInput(o.In),
		tea.WithOutput(o.Out),
		tea.WithoutSignalHandler(),
	)
	_, err := program.Run()
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return nil // ended as requested
	}
	return err
}

// pause is the time between two reads: ages are shown in seconds. If a read takes long, because there are ten thousand
// services, the pause is pauseFactor times as long, so that reading costs the daemon at most a tenth of a core.
const (
	pause       = time.Second
	pauseFactor = 10
)

// A model is the state behind the screen, see [tea.Model].
type model struct {
	Options
	ctx     context.Context
	options screen.Options
	height  int

	scene   *screen.Scene
	service string // chosen by the user; empty: the worst
}

type (
	sceneRead struct {
		scene *screen.Scene
		took  time.Duration
	}
	readAgain struct{}
)

// Init reads the first scene.
func (m *model) Init() tea.Cmd { return m.readNow }

func (m *model) readNow() tea.Msg {
	start := time.Now()
	return sceneRead{m.Read(m.ctx, m.service), time.Since(start)}
}

// Update handles one message.
func (m *model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.options.Width, m.height = msg.Width, msg.Height
	case sceneRead:
		m.scene = msg.scene
		return m, tea.Tick(max(pause, pauseFactor*msg.took), func(time.Time) tea.Msg { return readAgain{} })
	case readAgain:
		return m, m.readNow
	case tea.KeyPressMsg:
		return m, m.key(msg.String())
	}
	return m, nil
}

func (m *model) key(name string) tea.Cmd {
	switch name {
	case "q", "esc", "ctrl+c":
		return tea.Quit
	case "ctrl+z":
		return tea.Suspend
	case "up", "k":
		m.choose(-1)
	case "down", "j", "tab":
		m.choose(+1)
	default:
		if m.Key != nil {
			m.Key(name)
		}
	}
	return nil
}

// choose moves the selection by that many services. The probes of the new one come with the next read.
func (m *model) choose(by int) {
	if m.scene == nil || m.scene.Status == nil {
		return
	}
	names := screen.Order(m.scene.Status)
	if len(names) == 0 {
		return
	}
	now := max(slices.Index(names, m.service), 0)
	m.service = names[min(max(now+by, 0), len(names)-1)]
	next := *m.scene
	next.Service, next.Latest, next.Traces = m.service, nil, nil
	m.scene = &next
}

// View draws the scene.
func (m *model) View() tea.View {
	v := tea.NewView("")
	v.AltScreen = true
	if m.scene != nil && m.height > 0 {
		o := m.options
		o.Now = time.Now()
		var panel []string
		if m.Panel != nil {
			panel = m.Panel(o)
		}
		lines := append(panel, screen.Top(m.scene, m.height-len(panel), o))
		v.SetContent(strings.Join(lines, "\n"))
	}
	return v
}

// scroll is for terminals without cursor control: it prints the status again whenever a verdict changes.
func scroll(ctx context.Context, o Options) error {
	options := screen.For(o.Out, o.Getenv)
	var printed string
	for ctx.Err() == nil {
		start := time.Now()
		s := o.Read(ctx, "")
		if now := fingerprint(s); now != printed && ctx.Err() == nil {
			printed = now
			if err := printScene(o.Out, s, options); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(max(pause, pauseFactor*time.Since(start))):
		}
	}
	return nil
}

// fingerprint changes whenever a scene is worth printing again.
func fingerprint(s *screen.Scene) string {
	var text strings.Builder
	text.WriteString(s.Trouble)
	if s.Status != nil {
		for _, v := range s.Status.Services {
			text.WriteString(fmt.Sprintf("\n%s %v %v", v.Service, v.Cause, v.Since.Unix()))
		}
	}
	return text.String()
}

func printScene(w io.Writer, s *screen.Scene, o screen.Options) error {
	if s.Trouble != "" {
		if _, err := fmt.Fprintln(w, screen.Line(s.Trouble, o)); err != nil {
			return err
		}
	}
	if s.Status == nil {
		return nil
	}
	o.Now = time.Now()
	return screen.Status(w, s.Status, o)
}
