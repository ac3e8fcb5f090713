package screen

import (
	"fmt"
	"io"
	"strings"

	"netwatchd/internal/diagnose"
	"netwatchd/internal/ladder"
	"netwatchd/internal/probe"
)

// The columns of a backtest, which is written as it goes on.
const (
	runWidth     = 5
	vantageWidth = 9
	classWidth   = 21 // exec.home_unwritable, exec.not_logged_in and the like
	secondsWidth = 7
	tokensWidth  = 8
)

// BacktestHeading writes the heading of the table of runs.
func BacktestHeading(w io.Writer, o Options) error {
	p := &paper{Options: o}
	p.line(cell{faint, "  " + pad("run", runWidth) + pad("from", vantageWidth) + pad("class", classWidth) +
		padLeft("seconds", secondsWidth) + padLeft("tokens", tokensWidth) + "  why"})
	return p.to(w)
}

// BacktestRun writes one run; its reason stands on lines of its own if it is long.
func BacktestRun(w io.Writer, n int, r probe.Result, o Options) error {
	p := &paper{Options: o}
	m := ladder.OK
	if !r.OK() {
		m = ladder.Failed
	}
	spent := "-"
	if r.Tokens != nil {
		spent = fmt.Sprint(r.Tokens.Input + r.Tokens.Output)
	}
	cells := []cell{p.mark(m), {plain, " " + pad(fmt.Sprint(n), runWidth) + pad(r.Vantage.String(), vantageWidth)},
		{classInk(r), pad(r.Class.String(), classWidth)},
		{plain, padLeft(fmt.Sprintf("%.1f", float64(r.Elapsed)), secondsWidth) + padLeft(spent, tokensWidth)}}
	why := p.clean(r.Why, textLimit)
	if 2+runWidth+vantageWidth+classWidth+secondsWidth+tokensWidth+2+length(why) <= p.width() {
		p.line(append(cells, cell{faint, "  " + why})...)
		return p.to(w)
	}
	p.line(cells...)
	indent := 2 + runWidth
	for _, words := range wrap(why, p.width()-indent) {
		p.line(cell{plain, pad("", indent)}, cell{faint, words})
	}
	return p.to(w)
}

// A Backtest is what all the runs came to.
type Backtest struct {
	HostOK, Host       int
	SandboxOK, Sandbox int
	Want               diagnose.Want
	Left               string // why no runs were made inside; empty: they were, or there is no sandbox
	Verdict            diagnose.Verdict
}

// BacktestEnd writes the summary, and the verdict on a full round with these runs in it.
func BacktestEnd(w io.Writer, b Backtest, o Options) error {
	p := &paper{Options: o}
	p.gap()
	mark := ladder.Failed
	if b.HostOK == b.Host {
		mark = ladder.OK
	}
	p.heading(mark, b.summary())
	p.labelled("verdict", plain, strings.TrimSuffix(b.Verdict.Title, ".")+" ("+b.Verdict.Cause.String()+")")
	if b.Verdict.Cause != diagnose.Healthy {
		p.labelled("do:", bold, b.Verdict.Advice)
	}
	return p.to(w)
}

func (b Backtest) summary() string {
	words := fmt.Sprintf("host: %d of %d said OK", b.HostOK, b.Host)
	switch {
	case b.Left != "":
		return words + "; sandbox: not run, " + b.Left
	case b.Sandbox == 0:
		return words
	}
	words += fmt.Sprintf("; sandbox: %d of %d", b.SandboxOK, b.Sandbox)
	switch {
	case b.SandboxOK == 0 && b.Want == diagnose.WantClosed:
		return words + ", as configured (want: closed)"
	case b.SandboxOK > 0 && b.Want == diagnose.WantClosed, b.SandboxOK < b.Sandbox && b.Want == diagnose.WantOpen:
		return words + ", not as configured (want: " + b.Want.String() + ")"
	}
	return words
}
