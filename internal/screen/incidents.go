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

// Incidents writes a list of incidents, the latest first, out of total.
func Incidents(w io.Writer, all []*incident.Incident, total int, o Options) error {
	p := &printer{Options: o}
	if len(all) == 0 {
		p.line(p.mark(ladder.OK), segment{green, " no incidents in the stored history"})
		return p.to(w)
	}
	same := incident.SameFault(all)
	for n, i := range all {
		if n > 0 {
			p.blank()
		}
		p.incident(i, same[i.ID])
	}
	if more := total - len(all); more > 0 {
		p.blank()
		p.line(segment{faint, fmt.Sprintf("and %d more (--limit=0 lists all)", more)})
	}
	return p.to(w)
}

// Observations writes a list of observations, the latest first, out of total; nothing if there are none.
func Observations(w io.Writer, all []*incident.Incident, total int, o Options) error {
	if len(all) == 0 {
		return nil
	}
	p := &printer{Options: o}
	p.blank()
	p.line(segment{bold, "observations, not faults"})
	for _, i := range all {
		p.blank()
		span := i.Opened.Local().Format(time.DateTime)
		if i.Recurrences > 0 {
			last := i.Closed.Local().Format(time.DateTime)
			span += fmt.Sprintf(", seen %s, last %s", humanize.Count(i.Recurrences+1, "time"), last)
		}
		p.line(p.mark(ladder.Closed), segment{bold, " " + p.sanitize(i.ID, textLimit)}, segment{faint, "  " + span})
		p.labelled("title", plain, i.Title)
		if i.Ended != "" {
			p.labelled("ended", plain, i.Ended)
		}
		for _, note := range i.Notes {
			p.labelled("note", plain, note.Text)
		}
	}
	if more := total - len(all); more > 0 {
		p.blank()
		p.line(segment{faint, fmt.Sprintf("and %d more (--limit=0 lists all)", more)})
	}
	return p.to(w)
}

// incident writes one incident; same is that of another service which shows the same fault, or nil.
func (p *printer) incident(i, same *incident.Incident) {
	m, id := p.pastMark(), segment{bold, " " + p.sanitize(i.ID, textLimit)}
	span := i.Opened.Local().Format(time.DateTime)
	if i.IsOpen() {
		m = p.mark(ladder.Failed)
		span += ", ongoing for " + humanize.Span(p.Now.Sub(i.Opened))
	} else {
		span += ", lasted " + humanize.Span(i.Closed.Sub(i.Opened))
	}
	if i.Recurrences > 0 {
		span += ", recurred " + humanize.Count(i.Recurrences, "time")
	}
	p.line(m, id, segment{faint, "  " + span})
	p.labelled("causes", plain, strings.Join(chain(i), " > "))
	title := "title"
	if !i.IsOpen() {
		title = "was" // a closed incident no longer holds
	}
	p.labelled(title, plain, i.Title)
	if same != nil {
		p.labelled("same", plain, "one fault of this host with "+same.ID)
	}
	for _, note := range i.Notes {
		p.labelled("note", plain, note.Text)
	}
}

// pastMark marks what is over: neither good nor bad.
func (p *printer) pastMark() segment { return segment{faint, p.mark(ladder.OK).text} }

// chainLimit is how many causes fit on a line; the full report lists all.
const chainLimit = 6

// chain names the causes in order.
func chain(i *incident.Incident) []string {
	var words []string
	for _, cause := range i.Chain() {
		words = append(words, cause.String())
	}
	if extra := len(words) - chainLimit; extra > 0 {
		words = append([]string{words[0], "..."}, words[extra+2:]...)
	}
	return words
}
