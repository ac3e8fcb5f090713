package screen

import (
	"fmt"
	"io"
	"strings"
	"time"

	"netwatchd/internal/humanize"
	"netwatchd/internal/incident"
	"netwatchd/internal/ladder"
)

// Incidents writes a list of incidents, the latest first, of which there are total.
func Incidents(w io.Writer, all []*incident.Incident, total int, o Options) error {
	p := &paper{Options: o}
	if len(all) == 0 {
		p.line(p.mark(ladder.OK), cell{green, " nothing was wrong, as far as the store goes back"})
		return p.to(w)
	}
	for n, i := range all {
		if n > 0 {
			p.gap()
		}
		p.incident(i)
	}
	if more := total - len(all); more > 0 {
		p.gap()
		p.line(cell{faint, fmt.Sprintf("and %d more: --limit=0 lists all", more)})
	}
	return p.to(w)
}

func (p *paper) incident(i *incident.Incident) {
	m, id := p.mark(ladder.OK), cell{bold, " " + p.clean(i.ID, textLimit)}
	span := "since " + i.Opened.Local().Format(time.DateTime)
	if i.IsOpen() {
		m = p.mark(ladder.Failed)
		span += ", for " + humanize.Span(p.Now.Sub(i.Opened)) + ", not over"
	} else {
		span += ", for " + humanize.Span(i.Closed.Sub(i.Opened))
	}
	if i.Returns > 0 {
		span += fmt.Sprintf(", came back %d times", i.Returns)
	}
	p.line(m, id, cell{faint, "  " + span})
	p.labelled("causes", plain, strings.Join(chain(i), " > "))
	p.labelled("last", plain, i.Title)
	for _, note := range i.Notes {
		p.labelled("note", plain, note.Text)
	}
}

// chainLimit is how many causes fit on a line; the record has them all.
const chainLimit = 6

// chain is the causes as they followed each other.
func chain(i *incident.Incident) []string {
	var words []string
	for _, s := range i.Causes {
		if word := s.Cause.String(); len(words) == 0 || words[len(words)-1] != word {
			words = append(words, word)
		}
	}
	if extra := len(words) - chainLimit; extra > 0 {
		words = append([]string{words[0], "..."}, words[extra+2:]...)
	}
	return words
}
