package screen

import (
	"bytes"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"

	"netwatchd/internal/ladder"
	"netwatchd/internal/redact"
)

// An ink is a colour that means something: the log's own, so that a person learns them once.
type ink string

const (
	plain ink = ""
	faint ink = "\x1b[2m"
	bold  ink = "\x1b[1m"
	red   ink = "\x1b[91m"
	green ink = "\x1b[92m"
	amber ink = "\x1b[93m"
)

// A paper collects lines, so that a terminal gets them in one write.
type paper struct {
	Options
	bytes.Buffer
	brief bool // there are many services: each in as few lines as tell what to do
}

func (p *paper) to(w io.Writer) error {
	_, err := w.Write(p.Bytes())
	return err
}

// in is text in ink, if there is colour.
func (p *paper) in(i ink, text string) string {
	if !p.Color || i == plain || text == "" {
		return text
	}
	return string(i) + text + "\x1b[0m"
}

// A cell is a piece of text with its ink; its width is that of the text alone.
type cell struct {
	ink  ink
	text string
}

// line writes cells as they stand, without blanks at the end.
func (p *paper) line(cells ...cell) {
	for len(cells) > 0 && strings.TrimSpace(cells[len(cells)-1].text) == "" {
		cells = cells[:len(cells)-1]
	}
	for i, c := range cells {
		if i == len(cells)-1 {
			c.text = strings.TrimRight(c.text, " ")
		}
		p.WriteString(p.in(c.ink, c.text))
	}
	p.WriteByte('\n')
}

func (p *paper) gap() { p.WriteByte('\n') }

// heading writes text after a mark, in the mark's ink.
func (p *paper) heading(mark ladder.Mark, text string) {
	m := p.mark(mark)
	for i, words := range wrap(p.clean(text, textLimit), p.width()-2) {
		if i > 0 {
			m.text = " "
		}
		p.line(m, cell{plain, " "}, cell{m.ink, words})
	}
}

// labelled writes text after a label, wrapped, its lines under each other.
func (p *paper) labelled(label string, i ink, text string) {
	for n, words := range wrap(p.clean(text, textLimit), p.width()-labelWidth) {
		if n > 0 {
			label = ""
		}
		p.line(cell{faint, pad("  "+label, labelWidth)}, cell{i, words})
	}
}

// labelWidth lines up "host", "also:", "missing:" and "do:".
const labelWidth = 11

// textLimit bounds one text from outside: four lines say enough.
const textLimit = 320

// clean makes text from outside fit for a terminal: one line, no control characters, no marks that turn the direction of
// writing, and for a terminal without UTF-8 no others than its own.
func (p *paper) clean(text string, limit int) string {
	text = strings.Map(func(r rune) rune {
		switch {
		case unicode.Is(unicode.Cf, r):
			return -1
		case p.ASCII && r > unicode.MaxASCII:
			return plainer(r)
		}
		return r
	}, text)
	text = redact.Line(text, limit)
	if p.ASCII {
		text = strings.ReplaceAll(text, "…", "...")
	}
	return text
}

func plainer(r rune) rune {
	switch r {
	case '–', '—':
		return '-'
	case '’', '‘':
		return '\''
	case '“', '”':
		return '"'
	case '…':
		return '.'
	}
	return '?'
}

// fit cleans text and cuts it to width columns.
func (p *paper) fit(text string, width int) string {
	text = p.clean(text, 4*max(width, 1))
	if length(text) <= width {
		return text
	}
	dots := "…"
	if p.ASCII {
		dots = "..."
	}
	return strings.TrimRight(string([]rune(text)[:max(width-length(dots), 0)]), " ,:;") + dots
}

func length(text string) int { return utf8.RuneCountInString(text) }

func pad(text string, width int) string {
	return text + strings.Repeat(" ", max(width-length(text), 0))
}

func padLeft(text string, width int) string {
	return strings.Repeat(" ", max(width-length(text), 0)) + text
}

// wrap breaks text at blanks; a word longer than a line keeps its own, so that it can be copied.
func wrap(text string, width int) []string {
	var lines []string
	var line string
	for word := range strings.FieldsSeq(text) {
		switch {
		case line == "":
			line = word
		case length(line)+1+length(word) <= width:
			line += " " + word
		default:
			lines = append(lines, line)
			line = word
		}
	}
	return append(lines, line)
}

type sign struct {
	ink         ink
	mark, ascii string
}

var signs = [...]sign{
	ladder.Untried: {faint, "–", "-"},
	ladder.OK:      {green, "✓", "+"},
	ladder.Partly:  {amber, "!", "!"},
	ladder.Closed:  {faint, "✗", "x"},
	ladder.Blocked: {faint, "…", "."},
	ladder.Failed:  {red, "✗", "x"},
}

func (p *paper) mark(m ladder.Mark) cell {
	s := signs[m]
	if p.ASCII {
		return cell{s.ink, s.ascii}
	}
	return cell{s.ink, s.mark}
}

// inked is the ink of the words beside a mark: what is well, or follows from something else, stays in the background.
func inked(m ladder.Mark) ink {
	switch m {
	case ladder.Failed:
		return red
	case ladder.Partly:
		return amber
	case ladder.OK:
		return plain
	}
	return faint
}
