package screen

import (
	"fmt"
	"io"
	"strings"

	"netwatchd/internal/diagnose"
	"netwatchd/internal/humanize"
	"netwatchd/internal/ladder"
	"netwatchd/internal/probe"
	"netwatchd/internal/watch"
)

// Check writes what one round showed: for each service the verdict first, then the ladder if not all is well, what shows
// it, and last what to do. Where there are many services, those that need nobody become rows of a table.
func Check(w io.Writer, s *watch.Status, o Options) error {
	p := &paper{Options: o}
	p.services(s, false)
	p.remarks(s)
	return p.to(w)
}

// remarks are what is wrong with netwatchd itself, and what is not watched although one would expect it.
func (p *paper) remarks(s *watch.Status) {
	for i, trouble := range s.Trouble {
		p.labelled(first(i, "trouble:"), amber, trouble)
	}
	for i, note := range s.Notes {
		p.labelled(first(i, "note:"), faint, note)
	}
}

// inFull is how many services are written in full: more do not fit a screen.
const inFull = 3

func (p *paper) services(s *watch.Status, aged bool) {
	full := s.Services
	if len(full) > inFull {
		p.table(s)
		p.brief = !p.Verbose
		full = needingSomeone(s.Services)
		full = full[:min(len(full), inFull)]
		if len(full) > 0 {
			p.gap()
		}
	}
	for i, standing := range full {
		if i > 0 {
			p.gap()
		}
		p.standing(s, standing, aged)
	}
	if len(s.Services) == 0 {
		p.heading(ladder.Partly, "nothing is watched: name a service in the configuration")
	}
}

func needingSomeone(all []watch.Standing) []watch.Standing {
	var some []watch.Standing
	for _, s := range worstFirst(all) {
		if s.Cause.Fault() || s.Cause == diagnose.Inconclusive {
			some = append(some, s)
		}
	}
	return some
}

func (p *paper) standing(status *watch.Status, s watch.Standing, aged bool) {
	rungs := ladder.Of(s)
	p.headline(s)
	if aged {
		p.since(status, s)
	}
	quiet := s.Cause == diagnose.Healthy && !p.Verbose
	switch {
	case quiet:
		p.summary(s, rungs)
	case p.brief:
		p.evidence(s.Evidence)
	case len(s.Results)+len(s.Evidence) > 0:
		p.gap()
		p.ladder(rungs)
		if s.Cause != diagnose.Healthy && len(s.Evidence) > 0 {
			p.gap()
			p.evidence(s.Evidence)
		}
		p.gap()
	}
	p.notes(s, quiet && !ladder.SeenFromSandbox(rungs))
}

// headline is what a person reads first.
func (p *paper) headline(s watch.Standing) {
	m := p.mark(markOf(s.Cause))
	title := said(s) + "  (" + s.Cause.String() + ")"
	for i, words := range wrap(p.clean(title, textLimit), p.width()-2) {
		if i > 0 {
			m.text = " "
		}
		before, cause, last := strings.Cut(words, "("+s.Cause.String()+")")
		cells := []cell{m, {plain, " "}, {inkOf(s.Cause), before}}
		if last {
			cells = append(cells, cell{faint, "(" + s.Cause.String() + ")" + cause})
		}
		p.line(cells...)
	}
}

// said is the verdict's title, with the service it is about.
func said(s watch.Standing) string {
	if strings.HasPrefix(s.Title, s.Service+":") {
		return s.Title
	}
	return s.Service + ": " + s.Title
}

func markOf(c diagnose.Cause) ladder.Mark {
	switch {
	case c == diagnose.Healthy:
		return ladder.OK
	case c == diagnose.Starting, c == diagnose.Suspended:
		return ladder.Blocked
	case c.Fault() && c != diagnose.SelfSandboxed:
		return ladder.Failed
	}
	return ladder.Partly
}

func inkOf(c diagnose.Cause) ink {
	return signs[markOf(c)].ink
}

// summary is a healthy service in one line: the decisive answer from the host, and from the sandbox.
func (p *paper) summary(s watch.Standing, rungs []ladder.Rung) {
	host := p.fit(answer(s), p.width()/2)
	cells := []cell{{faint, pad("  host", labelWidth)}, {plain, host}}
	if inside, ok := highest(rungs); ok {
		cells = append(cells, cell{faint, "      sandbox  "},
			cell{plain, p.fit(inside, p.width()-labelWidth-length(host)-15)})
	}
	if host != "" {
		p.line(cells...)
	}
}

// answer is the service's own word: that of an http probe rather than of any other.
func answer(s watch.Standing) string {
	var best *probe.Result
	for i, r := range s.Results {
		own := r.Role == probe.OfService && r.Vantage == probe.FromHost && r.OK()
		if own && (best == nil || r.Kind == probe.KindHTTP && best.Kind != probe.KindHTTP) {
			best = &s.Results[i]
		}
	}
	switch {
	case best == nil:
		return ""
	case best.Status > 0:
		return fmt.Sprintf("%d in %s", best.Status, humanize.Latency(best.Elapsed.Duration()))
	}
	return best.Name + " in " + humanize.Latency(best.Elapsed.Duration())
}

// highest is how far an attempt inside the sandbox came.
func highest(rungs []ladder.Rung) (string, bool) {
	var words string
	for i, r := range rungs {
		switch r.Sandbox.Mark {
		case ladder.OK, ladder.Partly, ladder.Closed, ladder.Failed:
			words = r.Name + ": " + r.Sandbox.Words
			if i == ladder.Host {
				words = r.Sandbox.Words // "host" would be the other side
			}
		}
	}
	return words, words != ""
}

// notes are what else there is to say; a service that needs nothing says nothing.
func (p *paper) notes(s watch.Standing, unneeded bool) {
	for i, f := range s.Also {
		p.labelled(first(i, "also:"), amber, f.Title+"  ("+f.Cause.String()+")")
	}
	if len(s.Missing) > 0 {
		p.labelled("missing:", plain, strings.Join(s.Missing, ", "))
	}
	if s.Advice != "" && !unneeded {
		p.labelled("do:", bold, s.Advice)
	}
}

func first(i int, label string) string {
	if i > 0 {
		return ""
	}
	return label
}

// evidenceLines keeps a verdict with its ladder on one screen of 24 lines.
const evidenceLines = 3

func (p *paper) evidence(all []probe.Result) {
	shown := all
	switch {
	case p.brief:
		shown = all[:min(len(all), 1)]
	case !p.Verbose:
		shown = all[:min(len(all), evidenceLines)]
	}
	var columns exhibitColumns
	for _, r := range shown {
		columns.who = min(max(columns.who, length(p.clean(who(r), textLimit))), whoLimit)
		columns.class = max(columns.class, len(r.Class.String()))
	}
	said := ""
	for i, r := range shown {
		why := p.clean(because(r), textLimit)
		if why == said && why != "" {
			why = "likewise"
		} else {
			said = why
		}
		p.exhibit(first(i, "shown by"), r, columns, why)
	}
	if rest := len(all) - len(shown); rest > 0 && !p.brief {
		p.line(cell{faint, pad("", labelWidth) + fmt.Sprintf("and %d more", rest)})
	}
}

type exhibitColumns struct{ who, class int }

// whoLimit holds "1.1.1.1/service (direct)".
const whoLimit = 24

func who(r probe.Result) string {
	if r.Vantage == probe.FromHost || r.Role == probe.OfHost { // the look at the sandbox is called just that
		return r.Name
	}
	return r.Name + " (" + r.Vantage.String() + ")"
}

// exhibit is one result as evidence: which, how it ended, and in whose words; on lines of their own if they are long.
func (p *paper) exhibit(label string, r probe.Result, c exhibitColumns, why string) {
	head := []cell{{faint, pad("  "+label, labelWidth)}, {plain, pad(p.fit(who(r), c.who), c.who) + "  "},
		{classInk(r), pad(r.Class.String(), c.class) + "  "}}
	if labelWidth+c.who+2+c.class+2+length(why) <= p.width() {
		p.line(append(head, cell{faint, why})...)
		return
	}
	p.line(head...)
	for _, words := range wrap(why, p.width()-labelWidth-2) {
		p.line(cell{plain, pad("", labelWidth+2)}, cell{faint, words})
	}
}

// because is the error in its own words, or what a good answer showed.
func because(r probe.Result) string {
	if r.OK() {
		return strings.TrimSpace(seen(r) + " " + humanize.Latency(r.Elapsed.Duration()))
	}
	return r.Why
}

func classInk(r probe.Result) ink {
	if r.OK() {
		return green
	}
	return red
}

// seen is what a good answer showed.
func seen(r probe.Result) string {
	switch {
	case r.Status > 0:
		return fmt.Sprint(r.Status)
	case len(r.Answers) > 0:
		return strings.Join(r.Answers[:min(len(r.Answers), 2)], " ")
	}
	return r.Peer
}
