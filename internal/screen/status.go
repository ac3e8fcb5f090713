package screen

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"time"

	"netwatchd/internal/causes"
	"netwatchd/internal/humanize"
	"netwatchd/internal/ladder"
	"netwatchd/internal/overview"
	"netwatchd/internal/watch"
)

// Status writes the status of a running daemon: like Check, with its age and with the time since each verdict holds.
func Status(w io.Writer, s *watch.Status, o Options) error {
	p := &printer{Options: o}
	if age := p.now(s).Sub(s.At); age > staleAfter {
		p.labelled("warning:", amber, fmt.Sprintf("the daemon has stopped; this is its last status, from %s ago: "+
			"start it with 'netwatchd run', or check once with 'netwatchd check'", humanize.Span(age)))
		p.blank()
	}
	p.services(s, true)
	p.remarks(s)
	p.blank()
	p.line(segment{faint, p.sanitize(fmt.Sprintf("as of %s, %s ago; netwatchd %s",
		s.At.Format(time.TimeOnly), humanize.Span(p.now(s).Sub(s.At)), cmp.Or(s.Version, "(unknown version)")), textLimit)})
	return p.to(w)
}

func (p *printer) now(s *watch.Status) time.Time {
	if p.Now.IsZero() {
		return s.At
	}
	return p.Now
}

// since writes since when a verdict holds, how fast it was reached, and its severity.
func (p *printer) since(status *watch.Status, s watch.ServiceStatus) {
	words := fmt.Sprintf("since %s (%s)", p.shortTime(status, s.Since), humanize.Span(p.now(status).Sub(s.Since)))
	if s.Delay > 0 && s.Cause.Fault() {
		words += "; detected " + humanize.Latency(s.Delay.Duration()) + " after the first failed attempt"
	}
	if s.Severity > causes.None {
		words += "; severity: " + s.Severity.String()
	}
	if s.Budget != nil && p.Verbose {
		words += "; " + humanize.Count(*s.Budget, "agent run") + " left today"
	}
	if s.BudgetTokens != nil && p.Verbose {
		words += fmt.Sprintf("; %d tokens left today", *s.BudgetTokens)
	}
	if s.Usage != nil && s.Usage.Runs > 0 && p.Verbose {
		words += "; the agent's runs used " + s.Usage.String()
	}
	for _, line := range wrap(words, p.width()-2) {
		p.line(segment{faint, "  " + line})
	}
}

// shortTime omits the date if it is today.
func (p *printer) shortTime(status *watch.Status, t time.Time) string {
	t = t.In(status.At.Location())
	if t.Format(time.DateOnly) == p.now(status).In(t.Location()).Format(time.DateOnly) {
		return t.Format(time.TimeOnly)
	}
	return t.Format(time.DateTime)
}

// tableRows keeps the table and the worst services below it on one screen.
const tableRows = 10

// table writes a row per service, the worst first; those that do not fit are counted in one line.
func (p *printer) table(s *watch.Status) {
	all := worstFirst(s.Services)
	shown := all[:p.rows(all)]
	name, cause := cellWidth("service"), cellWidth("cause")
	for _, row := range shown {
		name = max(name, cellWidth(p.truncate(row.Service, p.nameLimit())))
		cause = max(cause, len(row.Cause.String()))
	}
	if len(shown) == 0 {
		p.line(p.mark(ladder.OK), segment{green, fmt.Sprintf(" all %d services are healthy", len(all))})
		return
	}
	p.line(segment{faint, "  " + pad("service", name) + "  " + pad("cause", cause) + "  " + padLeft("for", spanWidth)})
	for _, row := range shown {
		p.row(s, row, name, cause)
	}
	p.rest(all[len(shown):])
}

// rows is how many services the table shows: all if they fit, else those that are not healthy.
func (p *printer) rows(all []watch.ServiceStatus) int {
	if p.Verbose || len(all) <= tableRows {
		return len(all)
	}
	healthy := slices.IndexFunc(all, func(s watch.ServiceStatus) bool { return s.Cause == causes.Healthy })
	if healthy < 0 {
		healthy = len(all)
	}
	return min(healthy, tableRows)
}

func (p *printer) nameLimit() int { return p.width() / 3 }

const spanWidth = len("23 h 59 min")

func (p *printer) row(s *watch.Status, row watch.ServiceStatus, name, cause int) {
	title := ""
	if row.Cause != causes.Healthy {
		title = p.truncate(cmp.Or(p.sameFault(row), titleOnly(row)), p.width()-name-cause-spanWidth-8)
	}
	if p.width() < twoColumns {
		title = "" // the worst are written in full below
	}
	m := p.mark(ladder.MarkOf(row.Cause))
	p.line(m, segment{plain, " " + pad(p.truncate(row.Service, p.nameLimit()), name) + "  "},
		segment{colorOf(row.Cause), pad(row.Cause.String(), cause)},
		segment{faint, "  " + padLeft(humanize.Span(p.now(s).Sub(row.Since)), spanWidth) + "  "}, segment{plain, title})
}

// sameFault says which service's verdict tells of the fault of s; empty if that is s itself.
func (p *printer) sameFault(s watch.ServiceStatus) string {
	if same := p.overview.SameAs(s.Service); same != "" {
		return "same fault as " + same
	}
	return ""
}

func titleOnly(s watch.ServiceStatus) string {
	return overview.Title(&s.Verdict)
}

func (p *printer) rest(hidden []watch.ServiceStatus) {
	if len(hidden) == 0 {
		return
	}
	healthy := 0
	for _, s := range hidden {
		if s.Cause == causes.Healthy {
			healthy++
		}
	}
	words := fmt.Sprintf("  and %d more, all healthy", len(hidden))
	if healthy < len(hidden) {
		words = fmt.Sprintf("  and %d more, %d of them not healthy", len(hidden), len(hidden)-healthy)
	}
	p.line(segment{faint, words})
}

// worstFirst sorts by mark, then by severity, then by name.
func worstFirst(all []watch.ServiceStatus) []watch.ServiceStatus {
	return slices.SortedStableFunc(slices.Values(all), func(a, b watch.ServiceStatus) int {
		return cmp.Or(cmp.Compare(rank(b), rank(a)), cmp.Compare(a.Service, b.Service))
	})
}

// rank puts what is not known yet below what is known to be degraded.
func rank(s watch.ServiceStatus) int {
	order := [...]int{ladder.Blocked: 1, ladder.Partial: 2, ladder.Failed: 3}
	return 10*order[ladder.MarkOf(s.Cause)] + int(s.Severity)
}
