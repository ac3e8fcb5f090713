package screen

import (
	"netwatchd/internal/humanize"
	"netwatchd/internal/ladder"
	"netwatchd/internal/probe"
	"netwatchd/internal/redact"
)

// twoColumns is the minimum width for host and sandbox side by side.
const twoColumns = 72

const rungWidth = 11 // "application"

func (p *printer) ladder(rungs []ladder.Rung) {
	inside := ladder.HasSandbox(rungs)
	beside := inside && p.width() >= twoColumns
	width := p.width() - 4 - rungWidth - 2 // mark, blanks, name
	host := min(widest(rungs, func(r ladder.Rung) ladder.Step { return r.Host }), width)
	if beside {
		sandbox := widest(rungs, func(r ladder.Rung) ladder.Step { return r.Sandbox })
		host = min(host, max(width-5-sandbox, width/2)) // a gap of 3, a mark and a blank
		p.line(
			segment{faint, pad("", 4+rungWidth+2) + pad(ladder.Where(probe.FromHost), host+3) + ladder.Where(probe.FromSandbox)},
		)
	}
	for _, r := range rungs {
		segments := []segment{
			{plain, "  "},
			p.mark(r.Host.Mark),
			{nameColor(r.Host.Mark), " " + pad(r.Name, rungWidth) + "  "},
		}
		segments = append(segments, p.step(r.Host, host)...)
		if beside {
			segments = append(segments, segment{plain, "   "})
			segments = append(segments, p.inside(r.Sandbox, width-host-5)...)
		}
		p.line(segments...)
		if inside && !beside && r.Sandbox.Mark != ladder.NotTested {
			p.line(append([]segment{{faint, "    in sandbox   "}}, p.inside(r.Sandbox, width-2)...)...)
		}
	}
}

// inside writes nothing for a rung that was not tested in the sandbox: most never are.
func (p *printer) inside(s ladder.Step, width int) []segment {
	if s.Mark == ladder.NotTested {
		return nil
	}
	return append([]segment{p.mark(s.Mark), {plain, " "}}, p.step(s, width)...)
}

func nameColor(m ladder.Mark) color {
	if m == ladder.NotTested || m == ladder.Blocked {
		return faint
	}
	return plain
}

// step writes the words of a rung and, right-aligned in width columns, its latency. The latency is left out if it does
// not fit beside the words.
func (p *printer) step(s ladder.Step, width int) []segment {
	words, took := p.truncate(s.Words, width), latency(s)
	if cellWidth(words)+cellWidth(took) > width {
		took = ""
	}
	return []segment{{markColor(s.Mark), pad(words, width-cellWidth(took))}, {faint, took}}
}

// latency is the latency of a step with the blank before it; empty if there is none.
func latency(s ladder.Step) string {
	if took := humanize.Latency(s.Took.Duration()); took != "" {
		return " " + took
	}
	return ""
}

// widest is the width of the column for all steps of one side, their latencies included.
func widest(rungs []ladder.Rung, side func(ladder.Rung) ladder.Step) int {
	var n int
	for _, r := range rungs {
		s := side(r)
		took := latency(s)
		if took != "" {
			took = "  " + took
		}
		n = max(n, cellWidth(redact.Line(s.Words, textLimit))+cellWidth(took))
	}
	return n
}
