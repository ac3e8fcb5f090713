// Package top shows what is going on to a person who stays before their terminal.
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

// A Look is a look at what is going on; service is the one to show in full, empty for the worst. It fails in nothing: what
// went wrong is part of the scene.
type Look func(ctx context.Context, service string) *screen.Scene

// Options are what Run needs.
type Options struct {
	In, Out *os.File
	Getenv  func(string) string
	Look    Look
}

// ErrNoTerminal says that there is nobody to show it to.
var ErrNoTerminal = errors.New("top needs a terminal: use 'netwatchd status' once, or 'netwatchd status --json' in a script")

// Run shows it until the person quits or ctx ends, and leaves the terminal as it was.
func Run(ctx context.Context, o Options) error {
	if !isatty.IsTerminal(o.In.Fd()) || !isatty.IsTerminal(o.Out.Fd()) {
		return ErrNoTerminal
	}
	if name := o.Getenv("TERM"); name == "" || name == "dumb" {
		return scroll(ctx, o)
	}
	m := &model{ctx: ctx, look: o.Look, options: screen.For(o.Out, o.Getenv)}
	program := tea.NewProgram(m, tea.WithContext(ctx), tea.WithInput(o.In), tea.WithOutput(o.Out), tea.WithoutSignalHandler())
	_, err := program.Run()
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return nil // asked to end, and ended
	}
	return err
}

// pause is between two looks: ages are told in seconds. Where a look takes long, since there are ten thousand services, the
// pause is so many times as long, that looking costs the daemon a tenth of a core at most.
const (
	pause      = time.Second
	pauseTimes = 10
)

// A model is what bubbletea shows and tells of keys.
type model struct {
	ctx     context.Context
	look    Look
	options screen.Options
	height  int

	scene   *screen.Scene
	service string // that was chosen; empty: the worst
}

type (
	seen struct {
		scene *screen.Scene
		took  time.Duration
	}
	again struct{}
)

// Init begins to look.
func (m *model) Init() tea.Cmd { return m.lookNow }

func (m *model) lookNow() tea.Msg {
	begun := time.Now()
	return seen{m.look(m.ctx, m.service), time.Since(begun)}
}

// Update takes in what has happened.
func (m *model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.options.Width, m.height = msg.Width, msg.Height
	case seen:
		m.scene = msg.scene
		return m, tea.Tick(max(pause, pauseTimes*msg.took), func(time.Time) tea.Msg { return again{} })
	case again:
		return m, m.lookNow
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
	}
	return nil
}

// choose goes by so many services; what is known of the next one's probes comes with the next look.
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

// View is what the screen shows.
func (m *model) View() tea.View {
	v := tea.NewView("")
	v.AltScreen = true
	if m.scene != nil && m.height > 0 {
		o := m.options
		o.Now = time.Now()
		v.SetContent(screen.Top(m.scene, m.height, o))
	}
	return v
}

// scroll is for terminals that can only write on: the status again whenever a verdict has moved.
func scroll(ctx context.Context, o Options) error {
	options := screen.For(o.Out, o.Getenv)
	var told string
	for ctx.Err() == nil {
		begun := time.Now()
		s := o.Look(ctx, "")
		if now := gist(s); now != told && ctx.Err() == nil {
			told = now
			if err := tell(o.Out, s, options); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(max(pause, pauseTimes*time.Since(begun))):
		}
	}
	return nil
}

// gist is what has to change for a scene to be worth telling again.
func gist(s *screen.Scene) string {
	var text strings.Builder
	text.WriteString(s.Trouble)
	if s.Status != nil {
		for _, v := range s.Status.Services {
			text.WriteString(fmt.Sprintf("\n%s %v %v", v.Service, v.Cause, v.Since.Unix()))
		}
	}
	return text.String()
}

func tell(w io.Writer, s *screen.Scene, o screen.Options) error {
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
