package screen

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"netwatchd/internal/diagnose"
	"netwatchd/internal/humanize"
	"netwatchd/internal/incident"
	"netwatchd/internal/ladder"
	"netwatchd/internal/probe"
	"netwatchd/internal/watch"
)

// A Scene is what a person who stays has before them.
type Scene struct {
	Status    *watch.Status  // nil: nothing is known
	From      string         // where it comes from: an address, or a file
	Trouble   string         // why it is not live; empty: it is
	Service   string         // the one that is shown in full; empty: the worst
	Latest    []probe.Result // of its probes
	Traces    []Trace        // of them
	Incidents []*incident.Incident
	More      int // incidents beyond those
}

// A Trace is how one probe has been, in steps of the same length, the oldest first.
type Trace struct {
	Probe   string
	Vantage probe.Vantage
	Steps   []Step
}

// A Step is what was attempted within one step of a trace.
type Step struct {
	Attempts, Failed uint64
	Took             probe.Seconds // of those that succeeded, the median
}

// Order is the order in which the services of a status are shown: the worst first.
func Order(s *watch.Status) []string {
	names := make([]string, 0, len(s.Services))
	for _, service := range worstFirst(s.Services) {
		names = append(names, service.Service)
	}
	return names
}

// Top lays a scene out on a screen of height lines, each no wider than the screen. What does not fit is left out, the least
// telling first.
func Top(s *Scene, height int, o Options) string {
	p := &paper{Options: o}
	head := p.part(func(p *paper) { p.masthead(s) })
	foot := p.part(func(p *paper) {
		p.line(cell{faint, p.fit("q quits, up and down choose a service; netwatchd explain ID: an incident's record", p.width())})
	})
	room := height - len(head) - len(foot)
	body := p.body(s, room)
	body = body[:min(len(body), max(room, 0))]
	for len(body) < room {
		body = append(body, "")
	}
	return strings.Join(slices.Concat(head, body, foot), "\n")
}

// Line is text from outside on one line, fit for a terminal.
func Line(text string, o Options) string { return (&paper{Options: o}).clean(text, textLimit) }

// part is what write writes, line by line.
func (p *paper) part(write func(*paper)) []string {
	q := &paper{Options: p.Options}
	write(q)
	lines := strings.Split(q.String(), "\n")
	return lines[:len(lines)-1] // the last line ends, too
}

func (p *paper) masthead(s *Scene) {
	name := "netwatchd"
	if s.Status != nil && s.Status.Version != "" {
		name += " " + p.fit(s.Status.Version, 20)
	}
	clock := p.Now.Format(time.TimeOnly)
	from := p.fit(s.From, p.width()-length(name)-length(clock)-5)
	p.line(cell{bold, name}, cell{faint, "  " + pad(from, p.width()-length(name)-length(clock)-3)}, cell{plain, " " + clock})
	trouble := []string{s.Trouble}
	if s.Status != nil {
		trouble = append(trouble, s.Status.Trouble...)
	}
	for _, text := range trouble {
		for _, words := range wrap(p.clean(text, textLimit), p.width()-2) {
			if words != "" {
				p.line(cell{amber, words})
			}
		}
	}
}

// What is shown at least of what can be shortened, in lines with their heading.
const (
	fewProbes    = 3
	fewIncidents = 2
)

// body is everything between head and foot.
func (p *paper) body(s *Scene, room int) []string {
	if s.Status == nil {
		return nil
	}
	if len(s.Status.Services) == 0 {
		return p.part(func(p *paper) { p.heading(ladder.Partly, "nothing is watched: name a service in the configuration") })
	}
	all := worstFirst(s.Status.Services)
	chosen := max(slices.IndexFunc(all, func(v watch.Standing) bool { return v.Service == s.Service }), 0)
	menu := p.part(func(p *paper) { p.menu(s, all, chosen, room/menuShare) })
	said := p.inFull(s.Status, all[chosen], room-len(menu))
	probes := p.part(func(p *paper) { p.traces(s, all[chosen]) })
	incidents := p.part(func(p *paper) { p.latest(s) })
	notes := p.part(func(p *paper) { p.remarks(&watch.Status{Notes: s.Status.Notes}) })
	over := len(menu) + len(said) + len(probes) + len(incidents) + len(notes) - room
	notes, over = shorten(notes, 0, over)
	incidents, over = shorten(incidents, fewIncidents, over)
	probes, _ = shorten(probes, fewProbes, over)
	return slices.Concat(menu, said, probes, incidents, notes)
}

// shorten takes over lines off the end of part, but leaves the least; it returns how many are over still.
func shorten(part []string, least, over int) (shorter []string, still int) {
	keep := min(len(part), max(len(part)-max(over, 0), least))
	return part[:keep], over - (len(part) - keep)
}

// menuShare is the part of the screen that the list of services may take, one in so many lines.
const menuShare = 4

// menu lists services, the worst first and the chosen one among them; a single one needs no list.
func (p *paper) menu(s *Scene, all []watch.Standing, chosen, rows int) {
	if len(all) < 2 {
		return
	}
	rows = min(max(rows, 2), len(all))
	from := min(max(chosen-rows/2, 0), len(all)-rows)
	shown := all[from : from+rows]
	name, cause := 0, 0
	for _, row := range shown {
		name = max(name, length(p.fit(row.Service, p.nameLimit())))
		cause = max(cause, len(row.Cause.String()))
	}
	for n, row := range shown {
		pointer := cell{plain, "  "}
		if from+n == chosen {
			pointer = cell{bold, "> "}
		}
		p.line(pointer, p.mark(markOf(row.Cause)), cell{plain, " " + pad(p.fit(row.Service, p.nameLimit()), name) + "  "},
			cell{inkOf(row.Cause), pad(row.Cause.String(), cause)},
			cell{faint, "  for " + humanize.Span(p.now(s.Status).Sub(row.Since))})
	}
	if rest := len(all) - len(shown); rest > 0 {
		p.line(cell{faint, fmt.Sprintf("    and %d more", rest)})
	}
	p.gap()
}

// inFull is the verdict on one service with its ladder and what to do; without the ladder where there is no room for it.
func (p *paper) inFull(status *watch.Status, s watch.Standing, room int) []string {
	verdict := p.part(func(p *paper) { p.headline(s); p.since(status, s); p.gap() })
	climbed := ladder.Of(s)
	rungs := p.part(func(p *paper) { p.ladder(climbed); p.gap() })
	nothing := s.Cause == diagnose.Healthy && !ladder.SeenFromSandbox(climbed) // is to be done
	todo := p.part(func(p *paper) { p.notes(s, nothing) })
	if len(todo) > 0 {
		todo = append(todo, "")
	}
	if len(verdict)+len(rungs)+len(todo) > room {
		rungs = nil
	}
	return slices.Concat(verdict, rungs, todo)
}

// traces is a line for each probe of a service, those that fail first.
func (p *paper) traces(s *Scene, of watch.Standing) {
	var failing, well []probe.Result // or shut out of the sandbox, which is well enough
	for _, r := range s.Latest {
		if r.OK() || ladder.Shut(of, r) {
			well = append(well, r)
		} else {
			failing = append(failing, r)
		}
	}
	latest := append(failing, well...)
	name, end := length("probes"), length("now")
	for _, r := range latest {
		name = max(name, length(p.fit(who(r), whoLimit)))
		end = max(end, length(ended(r)))
	}
	steps := min(p.width()-name-end-8, Hour)
	if len(latest) == 0 || steps <= 0 {
		return
	}
	p.line(cell{faint, "    " + pad("probes", name) + "  " + pad(p.fit(fmt.Sprintf("the last %d minutes, %s: none succeeded", steps, p.glyphs().none), steps), steps) + "  now"})
	for _, r := range latest {
		cells := []cell{{plain, "  "}, p.resultMark(r), {plain, " " + pad(p.fit(who(r), whoLimit), name) + "  "}}
		failure, class := red, classInk(r)
		if ladder.Shut(of, r) {
			failure, class = faint, faint
		}
		cells = append(cells, p.sparks(s.steps(r), steps, failure)...)
		p.line(append(cells, cell{plain, "  "}, cell{class, ended(r)})...)
	}
	p.gap()
}

// Hour is how many steps a trace has: minutes.
const Hour = 60

// ended is how the latest attempt did, in few words.
func ended(r probe.Result) string {
	if r.OK() {
		return humanize.Latency(r.Elapsed.Duration())
	}
	return r.Class.String()
}

func (p *paper) resultMark(r probe.Result) cell {
	switch {
	case r.OK():
		return p.mark(ladder.OK)
	case r.Vantage == probe.FromSandbox: // which may well be as configured
		return p.mark(ladder.Closed)
	}
	return p.mark(ladder.Failed)
}

func (s *Scene) steps(r probe.Result) []Step {
	i := slices.IndexFunc(s.Traces, func(t Trace) bool { return t.Probe == r.Name && t.Vantage == r.Vantage })
	if i < 0 {
		return nil
	}
	return s.Traces[i].Steps
}

// bars are how high a latency is, from the least up, and that there was none since all attempts failed.
type bars struct {
	levels []rune
	none   string
}

func (p *paper) glyphs() bars {
	if p.ASCII {
		return bars{[]rune("_.-=+*#"), "x"}
	}
	return bars{[]rune("▁▂▃▄▅▆▇█"), "×"}
}

// sparks are the last of steps, a column each, under each other for all probes: now is at the right. Where all
// failed they have the ink of a failure, where some did they are amber; a gap stays one.
func (p *paper) sparks(steps []Step, width int, failure ink) []cell {
	steps = steps[max(len(steps)-width, 0):]
	top := scale(steps)
	cells := []cell{{plain, strings.Repeat(" ", width-len(steps))}}
	glyphs := p.glyphs()
	for _, step := range steps {
		switch {
		case step.Attempts == 0:
			cells = append(cells, cell{plain, " "})
		case step.Failed >= step.Attempts:
			cells = append(cells, cell{failure, glyphs.none})
		default:
			level := int(float64(len(glyphs.levels)-1) * float64(min(step.Took/top, 1)))
			i := green
			if step.Failed > 0 {
				i = amber
			}
			cells = append(cells, cell{i, string(glyphs.levels[level])})
		}
	}
	return cells
}

// scale is what the highest bar stands for: twice the median at least, so that a steady probe is a line at half the height and
// what is out of the ordinary stands out.
func scale(steps []Step) probe.Seconds {
	var took []probe.Seconds
	for _, step := range steps {
		if step.Attempts > step.Failed {
			took = append(took, step.Took)
		}
	}
	if len(took) == 0 {
		return 1
	}
	slices.Sort(took)
	return max(took[len(took)-1], 2*took[len(took)/2], 1e-6)
}

// latest is a line for each of the latest incidents.
func (p *paper) latest(s *Scene) {
	if len(s.Incidents) == 0 {
		return
	}
	p.line(cell{faint, "    incidents"})
	for _, i := range s.Incidents {
		m, until := p.mark(ladder.Failed), p.Now
		if !i.IsOpen() {
			m, until = p.mark(ladder.OK), *i.Closed
		}
		span := humanize.Span(until.Sub(i.Opened))
		if i.Returns > 0 {
			span += fmt.Sprintf(", came back %d times", i.Returns)
		}
		id := p.fit(i.ID, p.width()/3)
		told := i.Opened.In(p.Now.Location()).Format("Jan 02 15:04") + ", for " + span
		causes := p.fit(strings.Join(chain(i), " > "), max(p.width()-length(id)-length(told)-8, 0))
		p.line(cell{plain, "  "}, m, cell{plain, " " + id}, cell{faint, "  " + told}, cell{plain, "  " + causes})
	}
	if s.More > 0 {
		p.line(cell{faint, fmt.Sprintf("    and %d more", s.More)})
	}
}
