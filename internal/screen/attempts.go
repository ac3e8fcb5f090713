package screen

import (
	"slices"

	"netwatchd/internal/ladder"
	"netwatchd/internal/outcome"
	"netwatchd/internal/probe"
	"netwatchd/internal/watch"
)

// attempts writes every attempt of the latest round, in the order of the ladder: its mark, probe, class and answer.
func (p *printer) attempts(s watch.ServiceStatus) {
	all := slices.Clone(s.Results)
	if len(all) == 0 {
		return
	}
	slices.SortStableFunc(all, func(a, b probe.Result) int { return outcome.Compare(&a, &b) })
	c := p.columns(all, p.width()-4)
	p.line(segment{faint, "  attempts"})
	before := ""
	for _, r := range all {
		class := classColor(r)
		if ladder.IsClosed(s, r) {
			class = faint
		}
		why := p.sanitize(outcomeText(r), textLimit)
		if !r.OK() && why == before && why != "" {
			why = "same error"
		} else if !r.OK() {
			before = why
		}
		p.attempt([]segment{{plain, "  "}, p.resultMark(s, r), {plain, " "}}, r, c, class, why)
	}
	p.blank()
}
