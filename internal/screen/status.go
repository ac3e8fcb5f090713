package screen

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"time"

	"netwatchd/internal/diagnose"
	"netwatchd/internal/humanize"
	"netwatchd/internal/ladder"
	"netwatchd/internal/watch"
)

// Status writes what a running daemon knows: as Check does, with how old it is and since when each verdict holds.
func Status(w io.Writer, s *watch.Status, o Options) error {
	p := &paper{Options: o}
	p.services(s, true)
	p.remarks(s)
	p.gap()
	p.line(cell{faint, p.clean(fmt.Sprintf("as of %s, %s ago; netwatchd %s",
		s.At.Format(time.TimeOnly), humanize.Span(p.now(s).Sub(s.At)), cmp.Or(s.Version, "of unknown version")), textLimit)})
	return p.to(w)
}

func (p *paper) now(s *watch.Status) time.Time {
	if p.Now.IsZero() {
		return s.At
	}
	return p.Now
}

// since says how long a verdict holds, and how it was reached.
func (p *paper) since(status *watch.Status, s watch.Standing) {
	words := fmt.Sprintf("since %s, for %s", p.moment(status, s.Since), humanize.Span(p.now(status).Sub(s.Since)))
	if s.Delay > 0 && s.Cause.Fault() {
		words += fmt.Sprintf("; named %.1f s after the first failed attempt", float64(s.Delay))
	}
	if s.Severity > diagnose.None {
		words += "; severity " + s.Severity.String()
	}
	if s.Budget != nil && p.Verbose {
		words += fmt.Sprintf("; %d runs of the agent left today", *s.Budget)
	}
	for _, line := range wrap(words, p.width()-2) {
		p.line(cell{faint, "  " + line})
	}
}

// moment leaves the date out while it is today's.
func (p *paper) moment(status *watch.Status, t time.Time) string {
	t = t.In(status.At.Location())
	if t.Format(time.DateOnly) == p.now(status).In(t.Location()).Format(time.DateOnly) {
		return t.Format(time.TimeOnly)
	}
	return t.Format(time.DateTime)
}

// tableRows keeps a table with the worst services below it on one screen.
const tableRows = 10

// table is a row per service, the worst first; those that do not fit become one line.
func (p *paper) table(s *watch.Status) {
	all := worstFirst(s.Services)
	shown := all[:p.rows(all)]
	name, cause := length("service"), length("cause")
	for _, row := range shown {
		name = max(name, length(p.fit(row.Service, p.nameLimit())))
		cause = max(cause, len(row.Cause.String()))
	}
	if len(shown) == 0 {
		p.line(p.mark(ladder.OK), cell{green, fmt.Sprintf(" all %d services are healthy", len(all))})
		return
	}
	p.line(cell{faint, "  " + pad("service", name) + "  " + pad("cause", cause) + "  " + padLeft("for", spanWidth)})
	for _, row := range shown {
		p.row(s, row, name, cause)
	}
	p.rest(all[len(shown):])
}

// rows is how many services the table shows: all if they fit, else those that are not well.
func (p *paper) rows(all []watch.Standing) int {
	if p.Verbose || len(all) <= tableRows {
		return len(all)
	}
	well := slices.IndexFunc(all, func(s watch.Standing) bool { return s.Cause == diagnose.Healthy })
	if well < 0 {
		well = len(all)
	}
	return min(well, tableRows)
}

func (p *paper) nameLimit() int { return p.width() / 3 }

const spanWidth = len("23 h 59 min")

func (p *paper) row(s *watch.Status, row watch.Standing, name, cause int) {
	title := ""
	if row.Cause != diagnose.Healthy {
		title = p.fit(titleOnly(row), p.width()-name-cause-spanWidth-8)
	}
	if p.width() < twoColumns {
		title = "" // what is worst is told in full below
	}
	m := p.mark(markOf(row.Cause))
	p.line(m, cell{plain, " " + pad(p.fit(row.Service, p.nameLimit()), name) + "  "},
		cell{inkOf(row.Cause), pad(row.Cause.String(), cause)},
		cell{faint, "  " + padLeft(humanize.Span(p.now(s).Sub(row.Since)), spanWidth) + "  "}, cell{plain, title})
}

func titleOnly(s watch.Standing) string {
	if said := s.Service + ": "; len(s.Title) > len(said) && s.Title[:len(said)] == said {
		return s.Title[len(said):]
	}
	return s.Title
}

func (p *paper) rest(hidden []watch.Standing) {
	if len(hidden) == 0 {
		return
	}
	healthy := 0
	for _, s := range hidden {
		if s.Cause == diagnose.Healthy {
			healthy++
		}
	}
	words := fmt.Sprintf("  and %d more, all healthy", len(hidden))
	if healthy < len(hidden) {
		words = fmt.Sprintf("  and %d more, %d of them not healthy", len(hidden), len(hidden)-healthy)
	}
	p.line(cell{faint, words})
}

// worstFirst orders by how bad a cause is, then by what it asks of people, then by name.
func worstFirst(all []watch.Standing) []watch.Standing {
	return slices.SortedStableFunc(slices.Values(all), func(a, b watch.Standing) int {
		return cmp.Or(cmp.Compare(rank(b), rank(a)), cmp.Compare(a.Service, b.Service))
	})
}

// rank counts what is not known yet as less urgent than what is known to be half well.
func rank(s watch.Standing) int {
	order := [...]int{ladder.Blocked: 1, ladder.Partly: 2, ladder.Failed: 3}
	return 10*order[markOf(s.Cause)] + int(s.Severity)
}
