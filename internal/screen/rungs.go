package screen

import (
	"netwatchd/internal/humanize"
	"netwatchd/internal/ladder"
)

// twoColumns is the narrowest terminal on which host and sandbox stand side by side.
const twoColumns = 72

const rungWidth = 11 // "application"

func (p *paper) ladder(rungs []ladder.Rung) {
	inside := ladder.SeenFromSandbox(rungs)
	beside := inside && p.width() >= twoColumns
	width := p.width() - 4 - rungWidth - 2 // mark, blanks, name
	host := min(widestStep(rungs, func(r ladder.Rung) ladder.Step { return r.Host }), width)
	if beside {
		host = min(host, width*11/20)
		p.line(cell{faint, pad("", 4+rungWidth+2)}, cell{faint, pad("on this host", host+3)}, cell{faint, "in the sandbox"})
	}
	for _, r := range rungs {
		cells := []cell{{plain, "  "}, p.mark(r.Host.Mark), {nameInk(r.Host.Mark), " " + pad(r.Name, rungWidth) + "  "}}
		cells = append(cells, p.step(r.Host, host)...)
		if beside {
			cells = append(cells, cell{plain, "   "})
			cells = append(cells, p.inside(r.Sandbox, width-host-5)...)
		}
		p.line(cells...)
		if inside && !beside && r.Sandbox.Mark != ladder.Untried {
			p.line(append([]cell{{faint, "    in sandbox   "}}, p.inside(r.Sandbox, width-2)...)...)
		}
	}
}

// inside leaves a rung alone that was not tried in the sandbox: most never are.
func (p *paper) inside(s ladder.Step, width int) []cell {
	if s.Mark == ladder.Untried {
		return nil
	}
	return append([]cell{p.mark(s.Mark), {plain, " "}}, p.step(s, width)...)
}

func nameInk(m ladder.Mark) ink {
	if m == ladder.Untried || m == ladder.Blocked {
		return faint
	}
	return plain
}

// step is its words, and how long it took at the right edge of width columns.
func (p *paper) step(s ladder.Step, width int) []cell {
	took := humanize.Latency(s.Took.Duration())
	if took != "" {
		took = " " + took
	}
	words := p.fit(words(s), width-length(took))
	return []cell{{inked(s.Mark), pad(words, width-length(took))}, {faint, took}}
}

func words(s ladder.Step) string {
	if s.Mark == ladder.Untried {
		return "not tried"
	}
	return s.Words
}

// widestStep is how wide the column has to be for its widest step, the milliseconds included.
func widestStep(rungs []ladder.Rung, side func(ladder.Rung) ladder.Step) int {
	var widest int
	for _, r := range rungs {
		s := side(r)
		n := length(words(s))
		if took := humanize.Latency(s.Took.Duration()); took != "" {
			n += 3 + len(took)
		}
		widest = max(widest, n)
	}
	return widest
}
