// Package statusline prints the daemon's status as one short line, for a shell prompt or an agent's status line.
//
// It reads the status file and nothing else, and imports little, because a prompt waits for it: see package early.
package statusline

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"time"

	"netwatchd/internal/causes"
	"netwatchd/internal/humanize"
	"netwatchd/internal/statusfile/content"
)

// Options are what the reader can show.
type Options struct {
	Color bool
	ASCII bool
	Now   time.Time
}

// status is what the line needs of watch.Status.
type status struct {
	At         time.Time   `json:"at"`
	Services   []service   `json:"services"`
	HostFaults []hostFault `json:"host_faults"`
}

type service struct {
	Name  string       `json:"service"`
	Cause causes.Cause `json:"cause"`
	Since time.Time    `json:"since"`
}

type hostFault struct {
	Services []string `json:"services"`
}

// StaleAfter is the age from which a status shows that the daemon has stopped and is ignored: one is written every
// 15 s, so four writes were missed.
const StaleAfter = time.Minute

// The exit codes of `netwatchd status`.
const (
	healthy, fault = 0, 1
	// noVerdict is for a status without a clear verdict, and for none.
	noVerdict = 2
)

// Print writes one line for the newest status among the files at paths, and returns the exit code of `netwatchd status`
// for it. The line is also written if there is no status; then it begins with a question mark.
func Print(w io.Writer, paths []string, o Options) int {
	s, age, err := content.Latest(paths, reader(o.Now))
	line, code := "", noVerdict
	switch {
	case errors.Is(err, fs.ErrNotExist):
		line = "? netwatchd is not running"
	case errors.Is(err, fs.ErrPermission):
		line = "? netwatchd: no permission to read its status"
	case err != nil:
		line = "? netwatchd: its status cannot be read"
	case age > StaleAfter:
		line, code = "? netwatchd stopped "+brief(age)+" ago", s.code()
	case len(s.Services) == 0:
		line, code = "? netwatchd: no service", s.code()
	default:
		line, code = s.line(o), s.code()
	}
	fmt.Fprintln(w, line)
	return code
}

// reader returns a function that reads a status file, as of now.
func reader(now time.Time) func(path string) (*status, time.Duration, error) {
	return func(path string) (*status, time.Duration, error) {
		text, err := content.Read(path)
		if err != nil {
			return nil, 0, err
		}
		var s status
		if err := json.Unmarshal(text, &s); err != nil {
			return nil, 0, err
		}
		age := now.Sub(s.At)
		if s.At.IsZero() || age < -content.FutureLimit {
			return nil, 0, errors.New("it holds no status of a time that can be")
		}
		return &s, age, nil
	}
}

func (s *status) code() int {
	all := make([]causes.Cause, len(s.Services))
	for i, service := range s.Services {
		all[i] = service.Cause
	}
	return Code(all)
}

// Code returns the exit code for the verdicts on all services: that of the worst one. An inconclusive service does not
// hide the fault of another.
func Code(all []causes.Cause) int {
	code := healthy
	for _, c := range all {
		switch {
		case c.Fault():
			return fault
		case !c.Usable():
			code = noVerdict
		}
	}
	return code
}

// A group is services that the line names together.
type group struct {
	names []string
	cause causes.Cause
	since time.Time
}

// groupsShown keeps the line short: the rest is counted.
const groupsShown = 3

// line is one group after the other, the worst first; a group is a mark, names, and unless it is healthy its cause and
// since when it holds.
func (s *status) line(o Options) string {
	groups := s.groups()
	var parts []string
	rest := 0
	for _, g := range groups {
		if len(parts) >= groupsShown && g.cause != causes.Healthy {
			rest += len(g.names)
			continue
		}
		parts = append(parts, g.text(o))
	}
	if rest > 0 {
		parts = append(parts, fmt.Sprintf("+%d", rest))
	}
	return strings.Join(parts, "  ")
}

// groups puts together the services with one fault of this host, and the healthy ones.
func (s *status) groups() []*group {
	var all []*group
	shared := make(map[string]*group) // by service
	well := &group{cause: causes.Healthy}
	for _, service := range s.Services {
		g := shared[service.Name]
		switch {
		case service.Cause == causes.Healthy:
			g = well
		case g == nil:
			g = &group{cause: service.Cause, since: service.Since}
			all = append(all, g)
			for _, name := range s.sharing(service.Name) {
				shared[name] = g
			}
		}
		g.names = append(g.names, service.Name)
	}
	slices.SortStableFunc(all, func(a, b *group) int { return rank(b.cause) - rank(a.cause) })
	if len(well.names) > 0 {
		all = append(all, well)
	}
	return all
}

// sharing returns the services with which one has a fault of this host in common.
func (s *status) sharing(service string) []string {
	for _, f := range s.HostFaults {
		if slices.Contains(f.Services, service) {
			return f.Services
		}
	}
	return nil
}

// rank is higher for what is worse: a fault, then no clear verdict, then what works in part.
func rank(c causes.Cause) int {
	switch {
	case c.Fault():
		return 2
	case !c.Usable():
		return 1
	}
	return 0
}

func (g *group) text(o Options) string {
	color, mark := markOf(g.cause)
	if o.ASCII {
		mark = asciiMarks[mark]
	}
	text := mark + " " + namesOf(g.names)
	if g.cause != causes.Healthy {
		text += " " + g.cause.String() + " " + brief(o.Now.Sub(g.since))
	}
	if o.Color {
		return color + text + "\x1b[0m"
	}
	return text
}

// markOf returns the mark of a verdict and the color of the terminal in which it is written.
func markOf(c causes.Cause) (color, mark string) {
	switch {
	case c == causes.Healthy:
		return "\x1b[92m", "✓"
	case c == causes.Starting, c == causes.Suspended:
		return "\x1b[2m", "…"
	case c.Fault() && c != causes.SelfSandboxed:
		return "\x1b[91m", "✗"
	}
	return "\x1b[93m", "!"
}

var asciiMarks = map[string]string{"✓": "+", "…": ".", "✗": "x", "!": "!"}

// namesShown keeps the line short: more services are counted.
const namesShown = 3

func namesOf(all []string) string {
	if len(all) > namesShown {
		return humanize.Count(len(all), "service")
	}
	clean := make([]string, len(all))
	for i, name := range all {
		clean[i] = printable(name)
	}
	return strings.Join(clean, ",")
}

// printable replaces what the configuration does not allow in a name: it would be an escape sequence of a terminal.
func printable(name string) string {
	return strings.Map(func(r rune) rune {
		if r <= ' ' || r > '~' {
			return '?'
		}
		return r
	}, name)
}

// brief is a span in its larger unit: "3 min".
func brief(d time.Duration) string {
	words := strings.Fields(humanize.Span(d))
	return strings.Join(words[:2], " ")
}
