package screen

import (
	"bytes"
	"io"
	"strings"
	"unicode"

	"github.com/charmbracelet/x/ansi"

	"netwatchd/internal/ladder"
	"netwatchd/internal/overview"
	"netwatchd/internal/redact"
)

// A color is an ANSI sequence with a fixed meaning, the same as in the log.
type color string

const (
	plain color = ""
	faint color = "\x1b[2m"
	bold  color = "\x1b[1m"
	red   color = "\x1b[91m"
	green color = "\x1b[92m"
	amber color = "\x1b[93m"
)

// A printer buffers lines, so that the terminal gets them in one write.
type printer struct {
	Options
	bytes.Buffer
	brief    bool // many services: as few lines as possible for each
	overview overview.Overview
}

func (p *printer) to(w io.Writer) error {
	_, err := w.Write(p.Bytes())
	return err
}

func (p *printer) colored(c color, text string) string {
	if !p.Color || c == plain || text == "" {
		return text
	}
	return string(c) + text + "\x1b[0m"
}

// A segment is a piece of a line in one color.
type segment struct {
	color color
	text  string
}

// line writes segments next to each other, without trailing blanks.
func (p *printer) line(segments ...segment) {
	for len(segments) > 0 && strings.TrimSpace(segments[len(segments)-1].text) == "" {
		segments = segments[:len(segments)-1]
	}
	var joined segment // neighbors of one color are written as one
	for _, next := range segments {
		if next.color != joined.color {
			p.WriteString(p.colored(joined.color, joined.text))
			joined = segment{color: next.color}
		}
		joined.text += next.text
	}
	p.WriteString(p.colored(joined.color, strings.TrimRight(joined.text, " ")))
	p.WriteByte('\n')
}

func (p *printer) blank() { p.WriteByte('\n') }

// heading writes text after a mark, in the mark's color.
func (p *printer) heading(mark ladder.Mark, text string) {
	m := p.mark(mark)
	for i, line := range wrap(p.sanitize(text, textLimit), p.width()-2) {
		if i > 0 {
			m.text = " "
		}
		p.line(m, segment{plain, " "}, segment{m.color, line})
	}
}

// labelled writes text after a label, wrapped and indented.
func (p *printer) labelled(label string, c color, text string) {
	for n, line := range wrap(p.sanitize(text, textLimit), p.width()-labelWidth) {
		if n > 0 {
			label = ""
		}
		p.line(segment{faint, pad("  "+label, labelWidth)}, segment{c, line})
	}
}

// labelWidth aligns "host", "evidence", "warning:" and "do:".
const labelWidth = 11

// textLimit bounds one text from outside to about four lines.
const textLimit = 320

// sanitize returns text from outside as one printable line of at most limit bytes, in ASCII if the terminal has no
// UTF-8.
func (p *printer) sanitize(text string, limit int) string {
	text = redact.Line(text, limit)
	if !p.ASCII {
		return text
	}
	return strings.Map(func(r rune) rune {
		if r > unicode.MaxASCII {
			return '?'
		}
		return r
	}, asciiReplacer.Replace(text))
}

var asciiReplacer = strings.NewReplacer("–", "-", "—", "-", "’", "'", "‘", "'", "“", `"`, "”", `"`, "…", "...")

// truncate sanitizes text and shortens it to width columns.
func (p *printer) truncate(text string, width int) string {
	text = p.sanitize(text, 4*max(width, 1))
	if cellWidth(text) <= width {
		return text
	}
	dots := "…"
	if p.ASCII {
		dots = "..."
	}
	return strings.TrimRight(ansi.Truncate(text, max(width-cellWidth(dots), 0), ""), " ,:;") + dots
}

// cellWidth is the number of terminal columns text takes: two for a CJK character, none for a combining accent.
func cellWidth(text string) int { return ansi.StringWidth(text) }

func pad(text string, width int) string {
	return text + strings.Repeat(" ", max(width-cellWidth(text), 0))
}

func padLeft(text string, width int) string {
	return strings.Repeat(" ", max(width-cellWidth(text), 0)) + text
}

// wrap breaks text at blanks only: a URL or a command longer than a line stays whole, so that it can be copied.
// ansi.Wordwrap would also break at hyphens.
func wrap(text string, width int) []string {
	var lines []string
	var line string
	for word := range strings.FieldsSeq(text) {
		switch {
		case line == "":
			line = word
		case cellWidth(line)+1+cellWidth(word) <= width:
			line += " " + word
		default:
			lines = append(lines, line)
			line = word
		}
	}
	return append(lines, line)
}

type sign struct {
	color       color
	mark, ascii string
}

var signs = [...]sign{
	ladder.NotTested: {faint, "–", "-"},
	ladder.OK:        {green, "✓", "+"},
	ladder.Partial:   {amber, "!", "!"},
	ladder.Closed:    {faint, "–", "-"}, // no cross: a sandbox that is closed as configured is no failure
	ladder.Blocked:   {faint, "…", "."},
	ladder.Failed:    {red, "✗", "x"},
}

func (p *printer) mark(m ladder.Mark) segment {
	s := signs[m]
	if p.ASCII {
		return segment{s.color, s.ascii}
	}
	return segment{s.color, s.mark}
}

// markColor is the color of the words beside a mark: what works, or only follows from another failure, stays in the
// background.
func markColor(m ladder.Mark) color {
	switch m {
	case ladder.Failed:
		return red
	case ladder.Partial:
		return amber
	case ladder.OK:
		return plain
	}
	return faint
}
