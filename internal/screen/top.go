package screen

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"netwatchd/internal/causes"
	"netwatchd/internal/humanize"
	"netwatchd/internal/incident"
	"netwatchd/internal/ladder"
	"netwatchd/internal/probe"
	"netwatchd/internal/watch"
)

// A Scene is what [Top] shows.
type Scene struct {
	Status    *watch.Status  // nil: nothing is known
	From      string         // an address, or a file
	Trouble   string         // why it is not live; empty: it is
	Service   string         // shown in full; empty: the worst
	Latest    []probe.Result // result of each of its probes
	Traces    []Trace        // of these probes
	Incidents []*incident.Incident
	More      int // incidents beyond those
}

// A Trace is the history of one probe in steps of one minute, the oldest first.
type Trace struct {
	Probe   string
	Vantage probe.Vantage
	Steps   []Step
}

// A Step counts the attempts within one minute.
type Step struct {
	Attempts, Failed uint64
	Took             probe.Seconds // median of those that succeeded
}

// Order is the order in which the services of a status are shown: the worst first.
func Order(s *watch.Status) []string {
	names := make([]string, 0, len(s.Services))
	for _, service := range worstFirst(s.Services) {
		names = append(names, service.Service)
	}
	return names
}

// Top lays out a scene in exactly height lines. What does not fit is left out, the least important first.
func Top(s *Scene, height int, o Options) string {
	p := &printer{Options: o}
	head := p.part(func(p *printer) { p.masthead(s) })
	foot := p.part(func(p *printer) {
		p.line(segment{faint, p.truncate("q: quit; up/down: select a service; netwatchd explain ID: full report", p.width())})
	})
	room := height - len(head) - len(foot)
	body := p.body(s, room)
	body = body[:min(len(body), max(room, 0))]
	for len(body) < room {
		body = append(body, "")
	}
	return strings.Join(slices.Concat(head, body, foot), "\n")
}

// Line sanitizes text from outside for a terminal.
func Line(text string, o Options) string { return (&printer{Options: o}).sanitize(text, textLimit) }

// part returns what write prints, line by line.
func (p *printer) part(write func(*printer)) []string {
	q := &printer{Options: p.Options, overview: p.overview}
	write(q)
	lines := strings.Split(q.String(), "\n")
	return lines[:len(lines)-1] // the last line ends in a line break too
}

func (p *printer) masthead(s *Scene) {
	name := "netwatchd"
	if s.Status != nil && s.Status.Version != "" {
		name += " " + p.truncate(s.Status.Version, 20)
	}
	clock := p.Now.Format(time.TimeOnly)
	from := p.truncate(s.From, p.width()-cellWidth(name)-cellWidth(clock)-5)
	p.line(
		segment{bold, name},
		segment{faint, "  " + pad(from, p.width()-cellWidth(name)-cellWidth(clock)-3)},
		segment{plain, " " + clock},
	)
	trouble := []string{s.Trouble}
	if s.Status != nil {
		trouble = append(trouble, s.Status.Trouble...)
	}
	for _, text := range trouble {
		for _, words := range wrap(p.sanitize(text, textLimit), p.width()-2) {
			if words != "" {
				p.line(segment{amber, words})
			}
		}
	}
}

// The minimum of lines, with the heading, of the parts that can be shortened.
const (
	fewProbes    = 3
	fewIncidents = 2
)

// body is everything between head and foot.
func (p *printer) body(s *Scene, room int) []string {
	if s.Status == nil {
		return nil
	}
	if len(s.Status.Services) == 0 {
		return p.part(func(p *printer) { p.heading(ladder.Partial, noService) })
	}
	all := worstFirst(s.Status.Services)
	p.overview = watch.Overview(all)
	chosen := max(slices.IndexFunc(all, func(v watch.ServiceStatus) bool { return v.Service == s.Service }), 0)
	menu := p.part(func(p *printer) { p.menu(s, all, chosen, room/menuShare) })
	verdict := p.inFull(s.Status, all[chosen], room-len(menu))
	probes := p.part(func(p *printer) { p.traces(s, all[chosen]) })
	incidents := p.part(func(p *printer) { p.latest(s) })
	notes := p.part(func(p *printer) { p.remarks(&watch.Status{Notes: s.Status.Notes}) })
	over := len(menu) + len(verdict) + len(probes) + len(incidents) + len(notes) - room
	notes, over = shorten(notes, 0, over)
	incidents, over = shorten(incidents, fewIncidents, over)
	probes, _ = shorten(probes, fewProbes, over)
	return slices.Concat(menu, verdict, probes, incidents, notes)
}

// shorten removes up to over lines from the end of part, but keeps least; still is how many are left to remove.
func shorten(part []string, least, over int) (shorter []string, still int) {
	keep := min(len(part), max(len(part)-max(over, 0), least))
	return part[:keep], over - (len(part) - keep)
}

// menuShare is the fraction of the screen for the list of services: one line in four.
const menuShare = 4

// menu sums up the services, and lists those around the chosen one, the worst first; a single one needs no list.
func (p *printer) menu(s *Scene, all []watch.ServiceStatus, chosen, rows int) {
	if len(all) < 2 {
		return
	}
	p.line(segment{colorOf(all[0].Cause), p.truncate(p.overview.String(), p.width())})
	rows = min(max(rows-1, 2), len(all)) // the sentence takes a line
	from := min(max(chosen-rows/2, 0), len(all)-rows)
	shown := all[from : from+rows]
	name, cause := 0, 0
	for _, row := range shown {
		name = max(name, cellWidth(p.truncate(row.Service, p.nameLimit())))
		cause = max(cause, len(row.Cause.String()))
	}
	for n, row := range shown {
		pointer := segment{plain, "  "}
		if from+n == chosen {
			pointer = segment{bold, "> "}
		}
		lasts := "  for " + humanize.Span(p.now(s.Status).Sub(row.Since))
		room := p.width() - name - cause - cellWidth(lasts) - 8 // pointer, mark, blanks
		p.line(
			pointer,
			p.mark(ladder.MarkOf(row.Cause)),
			segment{plain, " " + pad(p.truncate(row.Service, p.nameLimit()), name) + "  "},
			segment{colorOf(row.Cause), pad(row.Cause.String(), cause)},
			segment{faint, lasts + "  " + p.truncate(p.sameFault(row), room)},
		)
	}
	if rest := len(all) - len(shown); rest > 0 {
		p.line(segment{faint, fmt.Sprintf("    and %d more", rest)})
	}
	p.blank()
}

// inFull is the verdict on one service with its ladder and what to do; without the ladder if it does not fit.
func (p *printer) inFull(status *watch.Status, s watch.ServiceStatus, room int) []string {
	verdict := p.part(func(p *printer) { p.headline(s); p.since(status, s); p.aside(s); p.blank() })
	all := ladder.Of(s)
	rungs := p.part(func(p *printer) { p.ladder(all); p.blank() })
	quiet := s.Cause == causes.Healthy && !ladder.HasSandbox(all)
	todo := p.part(func(p *printer) { p.notes(s, quiet) })
	if len(todo) > 0 {
		todo = append(todo, "")
	}
	if len(verdict)+len(rungs)+len(todo) > room {
		rungs = nil
	}
	return slices.Concat(verdict, rungs, todo)
}

// traces writes a line for each probe of a service, failing ones first.
func (p *printer) traces(s *Scene, of watch.ServiceStatus) {
	var failing, passing []probe.Result
	for _, r := range s.Latest {
		if r.OK() || ladder.IsClosed(of, r) {
			passing = append(passing, r)
		} else {
			failing = append(failing, r)
		}
	}
	latest := append(failing, passing...)
	name, end := cellWidth("probes"), cellWidth("now")
	for _, r := range latest {
		name = max(name, cellWidth(p.truncate(who(r), whoLimit)))
		end = max(end, cellWidth(ended(r)))
	}
	steps := min(p.width()-name-end-8, Hour)
	if len(latest) == 0 || steps <= 0 {
		return
	}
	legend := p.truncate(fmt.Sprintf("last %d min (%s: all failed)", steps, p.glyphs().none), steps)
	p.line(segment{faint, "    " + pad("probes", name) + "  " + pad(legend, steps) + "  now"})
	for _, r := range latest {
		segments := []segment{
			{plain, "  "},
			p.resultMark(of, r),
			{plain, " " + pad(p.truncate(who(r), whoLimit), name) + "  "},
		}
		failure, class := red, classColor(r)
		if ladder.IsClosed(of, r) {
			failure, class = faint, faint
		}
		segments = append(segments, p.sparks(s.steps(r), steps, failure)...)
		p.line(append(segments, segment{plain, "  "}, segment{class, ended(r)})...)
	}
	p.blank()
}

// Hour is the number of steps in a trace.
const Hour = 60

// ended is the latency or the class of an attempt.
func ended(r probe.Result) string {
	if r.OK() {
		return humanize.Latency(r.Elapsed.Duration())
	}
	return r.Class.String()
}

func (p *printer) resultMark(of watch.ServiceStatus, r probe.Result) segment {
	switch {
	case r.OK():
		return p.mark(ladder.OK)
	case ladder.IsClosed(of, r):
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

// bars are glyphs for a latency, lowest first, and for a minute in which all attempts failed.
type bars struct {
	levels []rune
	none   string
}

func (p *printer) glyphs() bars {
	if p.ASCII {
		return bars{[]rune("_.-=+*#"), "x"}
	}
	return bars{[]rune("▁▂▃▄▅▆▇█"), "×"}
}

// sparks draws the last steps, a column each, with now at the right so that all probes line up. A minute in which all
// attempts failed has the color failure, one in which some failed is amber, and one without attempts is blank.
func (p *printer) sparks(steps []Step, width int, failure color) []segment {
	steps = steps[max(len(steps)-width, 0):]
	top := scale(steps)
	segments := []segment{{plain, strings.Repeat(" ", width-len(steps))}}
	glyphs := p.glyphs()
	for _, step := range steps {
		switch {
		case step.Attempts == 0:
			segments = append(segments, segment{plain, " "})
		case step.Failed >= step.Attempts:
			segments = append(segments, segment{failure, glyphs.none})
		default:
			level := int(float64(len(glyphs.levels)-1) * float64(min(step.Took/top, 1)))
			i := green
			if step.Failed > 0 {
				i = amber
			}
			segments = append(segments, segment{i, string(glyphs.levels[level])})
		}
	}
	return segments
}

// scale is the latency of the highest bar: at least twice the median, so that a steady probe is drawn at half height
// and an outlier stands out.
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

// latest writes a line for each of the latest incidents.
func (p *printer) latest(s *Scene) {
	if len(s.Incidents) == 0 {
		return
	}
	p.line(segment{faint, "    incidents"})
	for _, i := range s.Incidents {
		m, until := p.mark(ladder.Failed), p.Now
		if !i.IsOpen() {
			m, until = p.pastMark(), *i.Closed
		}
		when := i.Opened.In(p.Now.Location()).Format("Jan 02 15:04") + ", "
		switch {
		case p.width() < twoColumns:
		case i.IsOpen():
			when += "ongoing for "
		default:
			when += "lasted "
		}
		when += humanize.Span(until.Sub(i.Opened))
		if i.Recurrences > 0 {
			when += ", recurred " + humanize.Count(i.Recurrences, "time")
		}
		id := p.truncate(i.ID, p.width()/3)
		causes := ""
		if room := p.width() - cellWidth(id) - cellWidth(when) - 8; room > 0 {
			causes = p.truncate(strings.Join(chain(i), " > "), room)
		}
		p.line(segment{plain, "  "}, m, segment{plain, " " + id}, segment{faint, "  " + when}, segment{plain, "  " + causes})
	}
	if s.More > 0 {
		p.line(segment{faint, fmt.Sprintf("    and %d more", s.More)})
	}
}
