package screen

import (
	"fmt"
	"io"
	"strings"

	"netwatchd/internal/causes"
	"netwatchd/internal/diagnose"
	"netwatchd/internal/humanize"
	"netwatchd/internal/incident"
	"netwatchd/internal/ladder"
	"netwatchd/internal/probe"
)

// Column widths: the table is printed while the runs go on, so they are fixed.
const (
	runWidth     = 5
	vantageWidth = 9
	classWidth   = 23 // http.unexpected_status, exec.home_unwritable
	tookWidth    = 10
	tokensWidth  = 8
)

// BacktestHeading writes the column headings of the table of runs.
func BacktestHeading(w io.Writer, o Options) error {
	p := &printer{Options: o}
	p.line(segment{faint, "  " + pad("run", runWidth) + pad("from", vantageWidth) + pad("class", classWidth) +
		padLeft("took", tookWidth) + padLeft("tokens", tokensWidth) + "  error"})
	return p.to(w)
}

// BacktestRun writes the n-th run; a long error gets lines of its own. A run against a stub is not counted, so it has
// no number. A run that a sandbox denies, closed as want says, is no failure.
func BacktestRun(w io.Writer, n int, r probe.Result, want diagnose.Want, o Options) error {
	p := &printer{Options: o}
	m, class := ladder.OK, green
	if !r.OK() {
		m, class = ladder.Failed, red
	}
	if m == ladder.Failed && r.Vantage == probe.FromSandbox && want == diagnose.WantClosed {
		m, class = ladder.Closed, faint
	}
	spent := "-"
	if r.Tokens != nil {
		spent = fmt.Sprint(r.Tokens.Input + r.Tokens.Output)
	}
	number, from := fmt.Sprint(n), r.Vantage.String()
	if r.Role == probe.AgentStub {
		number, from = "-", "stub"
	}
	segments := []segment{p.mark(m), {plain, " " + pad(number, runWidth) + pad(from, vantageWidth)},
		{class, pad(r.Class.String(), classWidth)},
		{plain, padLeft(humanize.Latency(r.Elapsed.Duration()), tookWidth) + padLeft(spent, tokensWidth)}}
	why := p.sanitize(r.Why, textLimit)
	if 2+runWidth+vantageWidth+classWidth+tookWidth+tokensWidth+2+cellWidth(why) <= p.width() {
		p.line(append(segments, segment{faint, "  " + why})...)
		return p.to(w)
	}
	p.line(segments...)
	indent := 2 + runWidth
	for _, line := range wrap(why, p.width()-indent) {
		p.line(segment{plain, pad("", indent)}, segment{faint, line})
	}
	return p.to(w)
}

// A Backtest is the outcome of all runs.
type Backtest struct {
	HostOK, Host       int
	SandboxOK, Sandbox int
	Want               diagnose.Want
	Left               string // why there were no runs in the sandbox; empty if there were, or if there is no sandbox
	Verdict            diagnose.Verdict
	Incident           *incident.Incident // whose report has the runs; nil: none
}

// BacktestEnd writes the summary, and the verdict on a full round that includes these runs.
func BacktestEnd(w io.Writer, b Backtest, o Options) error {
	p := &printer{Options: o}
	p.blank()
	mark := ladder.Failed
	if b.HostOK == b.Host {
		mark = ladder.OK
	}
	p.heading(mark, b.summary())
	p.labelled("verdict", plain, strings.TrimSuffix(b.Verdict.Title, ".")+" ("+b.Verdict.Cause.String()+")")
	if b.Verdict.Cause != causes.Healthy {
		if b.Verdict.Note != "" {
			p.labelled("", plain, b.Verdict.Note)
		}
		p.labelled("do:", bold, b.Verdict.Advice)
	}
	if i := b.Incident; i != nil {
		kind := "incident"
		if i.Observation {
			kind = "observation, not a fault"
		}
		p.labelled("report", plain, kind+": netwatchd explain "+i.ID)
	}
	return p.to(w)
}

func (b Backtest) summary() string {
	words := fmt.Sprintf("host: %d of %s succeeded", b.HostOK, humanize.Count(b.Host, "run"))
	switch {
	case b.Left != "":
		return words + "; sandbox: not run, " + b.Left
	case b.Sandbox == 0:
		return words
	}
	words += fmt.Sprintf("; sandbox: %d of %s", b.SandboxOK, humanize.Count(b.Sandbox, "run"))
	switch {
	case b.SandboxOK == 0 && b.Want == diagnose.WantClosed:
		return words + ", as configured (want: closed)"
	case b.SandboxOK > 0 && b.Want == diagnose.WantClosed, b.SandboxOK < b.Sandbox && b.Want == diagnose.WantOpen:
		return words + ", not as configured (want: " + b.Want.String() + ")"
	}
	return words
}
