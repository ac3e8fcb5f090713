package screen

import (
	"fmt"
	"io"
	"strings"

	"netwatchd/internal/doctor"
	"netwatchd/internal/ladder"
)

// Doctor writes a line for each check, below it what to change, word for word, and at the end whether all is well.
func Doctor(w io.Writer, r doctor.Report, o Options) error {
	p := &paper{Options: o}
	width := 0
	for _, f := range r.Findings {
		width = max(width, length(f.Check))
	}
	count := make(map[doctor.Outcome]int)
	for _, f := range r.Findings {
		count[f.Outcome]++
		p.finding(f, width)
	}
	p.gap()
	mark, words := summed(count)
	p.heading(mark, words)
	return p.to(w)
}

var outcomeMarks = [...]ladder.Mark{
	doctor.Well: ladder.OK, doctor.Note: ladder.Untried, doctor.Advice: ladder.Partly, doctor.Unknown: ladder.Partly, doctor.Fault: ladder.Failed,
}

func (p *paper) finding(f doctor.Finding, width int) {
	m, check := p.mark(outcomeMarks[f.Outcome]), f.Check
	says := p.clean(f.Says, textLimit)
	if f.Outcome == doctor.Unknown {
		says = "cannot tell: " + says
	}
	indent := width + 4
	for i, words := range wrap(says, p.width()-indent) {
		if i > 0 {
			m.text, check = " ", ""
		}
		p.line(m, cell{plain, " " + pad(check, width) + "  "}, cell{inked(outcomeMarks[f.Outcome]), words})
	}
	for _, change := range f.Do {
		p.change(change)
	}
}

// change is to be copied: it is neither wrapped nor cut.
func (p *paper) change(c doctor.Change) {
	where := "run:"
	if c.In != "" {
		where = "in " + p.clean(c.In, textLimit) + ":"
	}
	p.line(cell{faint, "    " + where})
	for _, line := range c.Lines {
		p.line(cell{plain, "      "}, cell{bold, strings.Repeat(" ", leading(line)) + p.clean(line, len(line))})
	}
}

// leading is how far a line is indented, which in YAML means something.
func leading(line string) int { return len(line) - len(strings.TrimLeft(line, " ")) }

// summed is the last line.
func summed(count map[doctor.Outcome]int) (ladder.Mark, string) {
	var parts []string
	for _, part := range []struct {
		outcome     doctor.Outcome
		one, others string
	}{
		{doctor.Fault, "one fault", "%d faults"},
		{doctor.Unknown, "one thing that cannot be told", "%d things that cannot be told"},
		{doctor.Advice, "one thing that could be better", "%d things that could be better"},
	} {
		switch n := count[part.outcome]; n {
		case 0:
		case 1:
			parts = append(parts, part.one)
		default:
			parts = append(parts, fmt.Sprintf(part.others, n))
		}
	}
	switch {
	case len(parts) == 0:
		return ladder.OK, "all is well"
	case count[doctor.Fault] > 0:
		return ladder.Failed, strings.Join(parts, ", ")
	case count[doctor.Unknown] > 0:
		return ladder.Partly, "no fault; " + strings.Join(parts, ", ")
	}
	return ladder.OK, "well; " + strings.Join(parts, ", ")
}
