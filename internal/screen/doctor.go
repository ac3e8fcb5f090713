package screen

import (
	"io"
	"strings"

	"netwatchd/internal/doctor"
	"netwatchd/internal/humanize"
	"netwatchd/internal/ladder"
)

// Doctor writes a line for each check, the exact change to make below it, and a summary at the end.
func Doctor(w io.Writer, r doctor.Report, o Options) error {
	p := &printer{Options: o}
	width := 0
	for _, f := range r.Findings {
		width = max(width, cellWidth(f.Check))
	}
	count := make(map[doctor.Outcome]int)
	for _, f := range r.Findings {
		count[f.Outcome]++
		p.finding(f, width)
	}
	p.blank()
	mark, words := summed(count)
	p.heading(mark, words)
	return p.to(w)
}

var outcomeMarks = [...]ladder.Mark{
	doctor.OK: ladder.OK, doctor.Note: ladder.NotTested, doctor.Advice: ladder.Partial, doctor.Unknown: ladder.Partial,
	doctor.Fault: ladder.Failed,
}

func (p *printer) finding(f doctor.Finding, width int) {
	m, check := p.mark(outcomeMarks[f.Outcome]), f.Check
	message := p.sanitize(f.Message, textLimit)
	if f.Outcome == doctor.Unknown {
		message = "inconclusive: " + message
	}
	indent := width + 4
	for i, words := range wrap(message, p.width()-indent) {
		if i > 0 {
			m.text, check = " ", ""
		}
		p.line(m, segment{plain, " " + pad(check, width) + "  "}, segment{markColor(outcomeMarks[f.Outcome]), words})
	}
	for _, change := range f.Fix {
		p.change(change)
	}
}

// change writes a change neither wrapped nor shortened, so that it can be copied.
func (p *printer) change(c doctor.Change) {
	where := "run:"
	if c.File != "" {
		where = "in " + p.sanitize(c.File, textLimit) + ":"
	}
	p.line(segment{faint, "    " + where})
	for _, line := range c.Lines {
		p.line(segment{plain, "      "}, segment{bold, strings.Repeat(" ", leading(line)) + p.sanitize(line, len(line))})
	}
}

// leading is the indentation of a line, which YAML needs.
func leading(line string) int { return len(line) - len(strings.TrimLeft(line, " ")) }

// summed is the mark and the text of the last line.
func summed(count map[doctor.Outcome]int) (ladder.Mark, string) {
	var parts []string
	for _, part := range []struct {
		outcome    doctor.Outcome
		noun, rest string
	}{
		{doctor.Fault, "problem", ""}, {doctor.Unknown, "check", " inconclusive"}, {doctor.Advice, "suggestion", ""},
	} {
		if n := count[part.outcome]; n > 0 {
			parts = append(parts, humanize.Count(n, part.noun)+part.rest)
		}
	}
	switch {
	case len(parts) == 0:
		return ladder.OK, "no problems found"
	case count[doctor.Fault] > 0:
		return ladder.Failed, strings.Join(parts, ", ")
	case count[doctor.Unknown] > 0:
		return ladder.Partial, "no problems found; " + strings.Join(parts, ", ")
	}
	return ladder.OK, "no problems found; " + strings.Join(parts, ", ")
}
