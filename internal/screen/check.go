package screen

import (
	"fmt"
	"io"
	"net"
	"slices"
	"strings"

	"netwatchd/internal/causes"
	"netwatchd/internal/humanize"
	"netwatchd/internal/ladder"
	"netwatchd/internal/overview"
	"netwatchd/internal/probe"
	"netwatchd/internal/watch"
)

// Check writes the result of one round: for each service the verdict first, then the ladder unless it is healthy, the
// evidence, and last what to do. Several services begin with a sentence about all of them, and a fault of this host
// that they share is written once. With many services, only those with a fault are written in full; the others are
// rows of a table.
func Check(w io.Writer, s *watch.Status, o Options) error {
	p := &printer{Options: o}
	p.services(s, false)
	p.remarks(s)
	return p.to(w)
}

// remarks writes the problems of netwatchd itself, and notes on what it does not monitor.
func (p *printer) remarks(s *watch.Status) {
	for i, trouble := range s.Trouble {
		p.labelled(first(i, "warning:"), amber, trouble)
	}
	for i, note := range s.Notes {
		p.labelled(first(i, "note:"), faint, note)
	}
}

// inFull is how many services are written in full: more do not fit on a screen.
const inFull = 3

func (p *printer) services(s *watch.Status, aged bool) {
	full := s.Services
	p.sumUp(s.Services)
	if len(full) > inFull {
		p.table(s)
		p.brief = !p.Verbose
		full = p.toldOnce(withFault(s.Services))
		full = full[:min(len(full), inFull)]
		if len(full) > 0 {
			p.blank()
		}
	} else if len(full) > 1 {
		full = p.toldOnce(worstFirst(full))
	}
	broken := len(full) > 1 && full[0].Cause.Fault() && !p.Verbose
	for i, service := range full {
		if i > 0 {
			p.blank()
		}
		if broken && service.Cause == causes.Healthy {
			p.headline(service) // what is broken needs the room
			continue
		}
		p.service(s, service, aged)
	}
	if len(s.Services) == 0 {
		p.heading(ladder.Partial, noService)
	}
}

// sumUp writes one sentence about all of several services, unless the table or the one fault of all says the same.
func (p *printer) sumUp(all []watch.ServiceStatus) {
	ordered := worstFirst(all)
	p.overview = watch.Overview(ordered)
	switch {
	case len(all) < 2, len(all) > inFull && ordered[0].Cause == causes.Healthy,
		!p.Verbose && len(p.overview.SharedWith(ordered[0].Service)) == len(all)-1:
		return
	}
	p.heading(ladder.MarkOf(ordered[0].Cause), p.overview.String())
	p.blank()
}

// toldOnce leaves out the services whose fault another one's verdict tells of.
func (p *printer) toldOnce(ordered []watch.ServiceStatus) []watch.ServiceStatus {
	if p.Verbose {
		return ordered
	}
	return slices.DeleteFunc(ordered, func(s watch.ServiceStatus) bool { return p.overview.SameAs(s.Service) != "" })
}

const noService = "no service is configured: add one to the configuration"

// withFault returns the services with a fault or an inconclusive verdict, the worst first.
func withFault(all []watch.ServiceStatus) []watch.ServiceStatus {
	var some []watch.ServiceStatus
	for _, s := range worstFirst(all) {
		if s.Cause.Fault() || s.Cause == causes.Inconclusive {
			some = append(some, s)
		}
	}
	return some
}

func (p *printer) service(status *watch.Status, s watch.ServiceStatus, aged bool) {
	rungs := ladder.Of(s)
	p.headline(s)
	if aged {
		p.since(status, s)
	}
	p.aside(s)
	quiet := s.Cause == causes.Healthy && !p.Verbose
	switch {
	case quiet:
		p.summary(s, rungs)
	case p.brief:
		p.evidence(s.Evidence)
	case len(s.Results)+len(s.Evidence) > 0:
		p.blank()
		p.ladder(rungs)
		if s.Cause != causes.Healthy && len(s.Evidence) > 0 {
			p.blank()
			p.evidence(s.Evidence)
		}
		p.blank()
	}
	if p.Verbose {
		p.attempts(s)
	}
	p.notes(s, quiet && !ladder.HasSandbox(rungs))
}

// headline writes the first line of a verdict.
func (p *printer) headline(s watch.ServiceStatus) {
	m := p.mark(ladder.MarkOf(s.Cause))
	title := p.names(s) + ": " + titleOnly(s) + " (" + s.Cause.String() + ")"
	for i, words := range wrap(p.sanitize(title, textLimit), p.width()-2) {
		if i > 0 {
			m.text = " "
		}
		before, cause, last := strings.Cut(words, "("+s.Cause.String()+")")
		segments := []segment{m, {plain, " "}, {colorOf(s.Cause), before}}
		if last {
			segments = append(segments, segment{faint, "(" + s.Cause.String() + ")" + cause})
		}
		p.line(segments...)
	}
}

// aside writes the small type below the title.
func (p *printer) aside(s watch.ServiceStatus) {
	text := ladder.Aside(s.Verdict)
	if text == "" {
		return
	}
	for _, line := range wrap(p.sanitize(text, textLimit), p.width()-2) {
		p.line(segment{faint, "  " + line})
	}
}

// names lists the service and those that suffer from the same fault of this host.
func (p *printer) names(s watch.ServiceStatus) string {
	return overview.Names(append([]string{s.Service}, p.overview.SharedWith(s.Service)...))
}

// headline returns the service and the title of its verdict.
func headline(s watch.ServiceStatus) string {
	return s.Service + ": " + titleOnly(s)
}

func colorOf(c causes.Cause) color {
	return signs[ladder.MarkOf(c)].color
}

// summary writes the decisive answer from the host and, beside it, from the sandbox.
func (p *printer) summary(s watch.ServiceStatus, rungs []ladder.Rung) {
	host := p.truncate(answer(s), p.width()/2)
	segments := []segment{{faint, pad("  host", labelWidth)}, {plain, host}}
	if inside, ok := highest(rungs); ok && s.Note == "" { // the note already says it
		segments = append(segments, segment{faint, "      sandbox  "},
			segment{plain, p.truncate(inside, p.width()-labelWidth-cellWidth(host)-15)})
	}
	if host != "" {
		p.line(segments...)
	}
}

// answered returns the service's success that stands for all of them: of an http probe if there is one, and the first
// by name, because results are in the order of arrival. It is nil if nothing succeeded from this host.
func answered(s watch.ServiceStatus) *probe.Result {
	var best *probe.Result
	for i, r := range s.Results {
		if r.Role != probe.OfService || r.Vantage != probe.FromHost || !r.OK() {
			continue
		}
		isHTTP := r.Kind == probe.KindHTTP
		switch {
		case best == nil, isHTTP && best.Kind != probe.KindHTTP,
			isHTTP && r.Name < best.Name: // "head" before "routing"
			best = &s.Results[i]
		}
	}
	return best
}

// answer returns what the service answered, to an http probe if there is one.
func answer(s watch.ServiceStatus) string {
	best := answered(s)
	switch {
	case best == nil:
		return ""
	case best.Status > 0:
		return fmt.Sprintf("%d in %s", best.Status, humanize.Latency(best.Elapsed.Duration()))
	}
	return best.Name + " in " + humanize.Latency(best.Elapsed.Duration())
}

// highest describes the highest rung tested in the sandbox. It reports false if none was.
func highest(rungs []ladder.Rung) (string, bool) {
	var words string
	for i, r := range rungs {
		switch r.Sandbox.Mark {
		case ladder.OK, ladder.Partial, ladder.Closed, ladder.Failed:
			words = r.Name + ": " + r.Sandbox.Words
			if i == ladder.Host || r.Sandbox.Mark == ladder.Closed {
				words = r.Sandbox.Words // "host: …" would be the other side, and a closed sandbox has no rung
			}
		}
	}
	return words, words != ""
}

// notes writes the other findings, what is missing, and what to do.
func (p *printer) notes(s watch.ServiceStatus, quiet bool) {
	for i, f := range s.Also {
		p.labelled(first(i, "also:"), amber, strings.TrimPrefix(f.Title, s.Service+": ")+" ("+f.Cause.String()+")")
	}
	if s.StatusPageReport != nil {
		p.labelled("hearsay:", faint, s.StatusPageReport.String())
	}
	if len(s.Missing) > 0 {
		missing := make([]string, len(s.Missing))
		for i, name := range s.Missing {
			missing[i] = ladder.MissingText(name)
		}
		p.labelled("missing:", plain, strings.Join(missing, ", "))
	}
	if s.Advice != "" && !quiet {
		p.labelled("do:", bold, s.Advice)
	}
	if !quiet {
		for i, l := range ladder.Links(s.Verdict) {
			p.labelled(first(i, "see:"), plain, l.Name+" "+l.URL)
		}
	}
}

func first(i int, label string) string {
	if i > 0 {
		return ""
	}
	return label
}

// evidenceLines keeps a verdict and its ladder within 24 lines.
const evidenceLines = 3

func (p *printer) evidence(all []probe.Result) {
	shown := all
	switch {
	case p.brief:
		shown = all[:min(len(all), 1)]
	case !p.Verbose:
		shown = all[:min(len(all), evidenceLines)]
	}
	columns := p.columns(shown, p.width()-labelWidth)
	before := ""
	for i, r := range shown {
		why := p.sanitize(outcomeText(r), textLimit)
		if !r.OK() && why == before && why != "" {
			why = "same error"
		} else {
			before = why
		}
		p.attempt([]segment{{faint, pad("  "+first(i, "evidence"), labelWidth)}}, r, columns, classColor(r), why)
	}
	if rest := len(all) - len(shown); rest > 0 && !p.brief {
		p.line(segment{faint, pad("", labelWidth) + fmt.Sprintf("and %d more", rest)})
	}
}

type evidenceColumns struct{ who, class int }

// columns returns the widths for rs on lines of width columns.
func (p *printer) columns(rs []probe.Result, width int) (c evidenceColumns) {
	for _, r := range rs {
		c.who = min(max(c.who, cellWidth(p.sanitize(who(r), textLimit))), whoLimit)
		c.class = max(c.class, len(r.Class.String()))
	}
	c.who = min(c.who, width-c.class-2)
	return c
}

// whoLimit holds "1.1.1.1/service (direct)".
const whoLimit = 24

func who(r probe.Result) string {
	if r.Vantage == probe.FromHost || r.Role == probe.OfHost { // the check of the sandbox is itself named "sandbox"
		return r.Name
	}
	return r.Name + " (" + r.Vantage.String() + ")"
}

// attempt writes one result after label: its probe, its class and its error, which gets lines of its own if it is long.
func (p *printer) attempt(label []segment, r probe.Result, c evidenceColumns, class color, why string) {
	indent := 0
	for _, s := range label {
		indent += cellWidth(s.text)
	}
	head := append(label, segment{plain, pad(p.truncate(who(r), c.who), c.who) + "  "},
		segment{class, pad(r.Class.String(), c.class) + "  "})
	if indent+c.who+2+c.class+2+cellWidth(why) <= p.width() {
		p.line(append(head, segment{faint, why})...)
		return
	}
	p.line(head...)
	for _, line := range wrap(why, p.width()-indent-2) {
		p.line(segment{plain, pad("", indent+2)}, segment{faint, line})
	}
}

// outcomeText returns the error message, or the facts and the latency of a success.
func outcomeText(r probe.Result) string {
	if r.OK() {
		return strings.TrimSpace(facts(r) + " " + humanize.Latency(r.Elapsed.Duration()))
	}
	return r.Why + peerIfUnnamed(r)
}

// peerIfUnnamed names the address at which an attempt of the service failed, unless its error does.
func peerIfUnnamed(r probe.Result) string {
	peer, _, err := net.SplitHostPort(r.Peer)
	ofService := r.Role == probe.OfService || r.Role == probe.ServiceAddress
	if err != nil || !ofService || r.Why == "" || strings.Contains(r.Why, peer) {
		return ""
	}
	return " (at " + peer + ")"
}

func classColor(r probe.Result) color {
	if r.OK() {
		return green
	}
	return red
}

// facts returns the decisive facts of a success.
func facts(r probe.Result) string {
	switch {
	case r.Role == probe.ServiceAddress && r.Status > 0:
		return fmt.Sprintf("%d at %s", r.Status, r.Peer)
	case r.Status > 0:
		return fmt.Sprint(r.Status)
	case len(r.Answers) > 0:
		return strings.Join(r.Answers[:min(len(r.Answers), 2)], " ")
	}
	return r.Peer
}
