package screen

import (
	"fmt"
	"io"
	"strings"
	"time"

	"netwatchd/internal/humanize"
	"netwatchd/internal/ladder"
	"netwatchd/internal/probe"
)

// Result writes one attempt: its class, its error, the time of each phase, and the facts.
func Result(w io.Writer, r probe.Result, o Options) error {
	p := &printer{Options: o}
	m, i := ladder.OK, green
	if !r.OK() {
		m, i = ladder.Failed, red
	}
	p.line(p.mark(m), segment{plain, " " + r.Kind.String() + " " + p.truncate(r.Target, p.width()-32)},
		segment{faint, " from " + r.Vantage.String() + ": "}, segment{i, r.Class.String()})
	if r.Why != "" {
		p.labelled("error", plain, r.Why)
	}
	p.phases(r)
	p.facts(r)
	return p.to(w)
}

// phases draws the time of each phase as a bar that starts where the previous one ended.
func (p *printer) phases(r probe.Result) {
	var total probe.Seconds
	for _, took := range r.Phases {
		total += took
	}
	var before probe.Seconds
	room := min(p.width()-labelWidth-14, 48)
	for _, phase := range probe.AllPhases() {
		took := r.Phases[phase]
		if took == 0 && phase != r.Phase {
			continue
		}
		i := green
		if phase == r.Phase && !r.OK() {
			i = red
		}
		blank, bar := span(before, took, total, room)
		p.line(
			segment{faint, pad("  "+phase.String(), labelWidth)},
			segment{plain, padLeft(humanize.Latency(took.Duration()), 9) + "  "},
			segment{plain, pad("", blank)},
			segment{i, p.bar(bar)},
		)
		before += took
	}
	p.line(segment{faint, pad("  total", labelWidth)}, segment{plain, padLeft(humanize.Latency(r.Elapsed.Duration()), 9)})
}

// span places a phase on a line of room columns; each is at least one column long.
func span(before, took, total probe.Seconds, room int) (blank, bar int) {
	if total <= 0 {
		return 0, 1
	}
	blank = min(int(float64(before/total)*float64(room)), room-1)
	return blank, max(min(int(float64(took/total)*float64(room)+0.5), room-blank), 1)
}

func (p *printer) bar(n int) string {
	block := "━"
	if p.ASCII {
		block = "="
	}
	return strings.Repeat(block, n)
}

func (p *printer) facts(r probe.Result) {
	for _, fact := range []struct{ label, text string }{
		{"server", join(r.Server, r.RCode)},
		{"answers", join(r.Answers...)},
		{"peer", r.Peer},
		{"proxy", join(r.Proxy, r.ProxyFrom)},
		{"tls", session(r.TLS)},
		{"status", number(r.Status)},
		{"request", r.RequestID},
		{"signals", join(r.Signals...)},
		{"exit", exit(r.Exit)},
		{"output", r.Output},
		{"tokens", tokens(r.Tokens)},
		{"cost", cost(r.CostUSD)},
		{"warnings", join(r.Warnings...)},
		{"notes", strings.Join(r.Notes, "; ")},
	} {
		if fact.text != "" {
			p.labelled(fact.label, plain, fact.text)
		}
	}
}

func join(parts ...string) string {
	var all string
	for _, part := range parts {
		if part != "" && all != "" {
			all += ", "
		}
		all += part
	}
	return all
}

func session(t *probe.TLS) string {
	if t == nil {
		return ""
	}
	words := t.Version
	if t.Issuer != "" {
		words = join(words, "issued by "+t.Issuer)
	}
	if !t.NotAfter.IsZero() {
		words = join(words, "valid until "+t.NotAfter.Format(time.DateOnly))
	}
	return words
}

func number(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprint(n)
}

func exit(code *int) string {
	switch {
	case code == nil:
		return ""
	case *code < 0:
		return "killed by a signal"
	}
	return fmt.Sprint(*code)
}

func cost(usd *float64) string {
	if usd == nil {
		return ""
	}
	return fmt.Sprintf("$%.4f", *usd)
}

func tokens(t *probe.TokensSpent) string {
	if t == nil {
		return ""
	}
	return fmt.Sprintf("%d in (%d of them cached), %d out", t.Input, t.CachedInput, t.Output)
}
