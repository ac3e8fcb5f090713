package record

import (
	"fmt"
	"strings"
	"time"

	"netwatchd/internal/humanize"
	"netwatchd/internal/probe"
	"netwatchd/internal/redact"
)

// A page is Markdown being written. Text from outside is written in code spans or blocks, where it is neither markup
// nor HTML, and without control characters.
type page struct{ strings.Builder }

// Markdown returns the record for people.
func (r *Record) Markdown() string {
	p := new(page)
	if r.Closed == nil {
		p.line("# Incident %s: %s", code(r.ID), code(r.Verdict.Title))
		p.line("")
	} else {
		p.line("# Incident %s: %s", code(r.ID), r.outcome())
		p.line("")
		p.line("The verdict was: %s", code(r.Verdict.Title))
		p.line("")
	}
	p.line("**%v** (%v), %s.", r.Verdict.Cause, r.Severity, r.span())
	for n, write := range []struct {
		title string
		body  func(*page)
	}{
		{"Scope", r.writeScope},
		{"Runtime", r.writeRuntime},
		{"The agent's configuration", r.writeConfiguration},
		{"Feature flags", r.writeFeatures},
		{"Symptom", r.writeSymptom},
		{"Verdict and evidence", r.writeVerdict},
		{"Timeline", r.writeTransitions},
		{"Backtest", r.writeBacktest},
		{"Non-blocking warnings", r.writeWarnings},
		{"What to do", r.writeTodo},
	} {
		p.line("")
		p.line("## %d. %s", n+1, write.title)
		p.line("")
		write.body(p)
	}
	return redact.String(p.String())
}

func (p *page) line(format string, args ...any) {
	fmt.Fprintf(p, format, args...)
	p.WriteByte('\n')
}

// outcome is how a closed incident ended.
func (r *Record) outcome() string {
	if r.Ended != "" {
		return "closed after " + humanize.Span(r.Closed.Sub(r.Opened))
	}
	return "resolved after " + humanize.Span(r.Closed.Sub(r.Opened))
}

func (r *Record) span() string {
	if r.Closed == nil {
		return "since " + stamp(r.Opened) + ", ongoing"
	}
	lasted := humanize.Span(r.Closed.Sub(r.Opened))
	words := fmt.Sprintf("%s to %s, lasted %s", stamp(r.Opened), stamp(*r.Closed), lasted)
	if r.Ended != "" {
		words += "; " + r.Ended
	}
	return words
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

func (r *Record) writeScope(p *page) {
	p.line("- Service: %s", code(r.Service))
	for _, t := range r.Scope.Targets {
		p.line("- Target: %s", code(t))
	}
	p.line("- Vantages: %s", strings.Join(r.Scope.Vantages, ", "))
	p.line("- Time: %s", r.span())
	if r.Recurrences > 0 {
		p.line("- Recurred: %s", humanize.Count(r.Recurrences, "time"))
	}
	for _, v := range r.Scope.Versions {
		p.line("- netwatchd version: %s", code(v))
	}
}

func (r *Record) writeRuntime(p *page) {
	s := r.Runtime
	if s == nil {
		p.line("No snapshot was taken.")
		return
	}
	p.line("As of %s:", stamp(s.At))
	p.line("")
	for _, program := range s.Programs {
		switch {
		case program.Fault != "":
			p.line("- %s: %s", program.Name, code(program.Fault))
		default:
			p.line("- %s: %s at %s", program.Name, code(program.Version), code(program.Path))
		}
	}
	p.line("- system: %s, kernel %s, %s", code(s.System), code(s.Kernel), s.Arch)
	if s.WSL.WSL {
		p.line("- WSL %d: networking %s, DNS %s, systemd %v",
			s.WSL.Version, code(s.WSL.Networking), code(s.WSL.DNS), s.WSL.Systemd)
	} else {
		p.line("- WSL: no")
	}
	if len(s.Environment) == 0 {
		p.line("- environment: no relevant variables are set")
	}
	for _, e := range s.Environment {
		p.line("- environment: %s", code(e.Name+"="+e.Value))
	}
}

func (r *Record) writeConfiguration(p *page) {
	switch s := r.Runtime; {
	case s == nil || s.Agent == nil:
		p.line("No agent was inspected.")
	case s.Agent.Fault != "":
		p.line("In %s: %s", code(s.Agent.Home), code(s.Agent.Fault))
	default:
		p.line("In %s, sign-in: %s", code(s.Agent.Home), code(s.Agent.SignIn))
		p.line("")
		p.block("toml", s.Agent.Configuration)
	}
}

func (r *Record) writeFeatures(p *page) {
	if r.Runtime == nil || r.Runtime.Agent == nil || len(r.Runtime.Agent.Features) == 0 {
		p.line("Unknown: this version of the agent does not list them.")
		return
	}
	on := make([]string, len(r.Runtime.Agent.Features))
	for i, f := range r.Runtime.Agent.Features {
		on[i] = code(f)
	}
	p.line("On: %s.", strings.Join(on, ", "))
}

func (r *Record) writeSymptom(p *page) {
	if len(r.Symptom) == 0 {
		p.line("No failing probe produced an error message.")
	}
	for n, s := range r.Symptom {
		if n > 0 {
			p.line("")
		}
		p.block("text", s.Text)
		p.line("")
		p.line("(%s)", references(s.Exhibit))
	}
}

func (r *Record) writeVerdict(p *page) {
	v := r.Verdict
	p.line("**%v**: %s (%s). %s", v.Cause, code(v.Title), references(v.Exhibits...), v.Means)
	p.line("")
	if delay := humanize.Latency(v.Delay.Duration()); delay != "" {
		p.line("Reached at %s, %s after the first failed attempt.", stamp(v.Since), delay)
	} else {
		p.line("Reached at %s.", stamp(v.Since))
	}
	for _, f := range v.Also {
		p.line("Also found: **%v**, %s.", f.Cause, code(f.Title))
	}
	if len(v.Blocked) > 0 {
		p.line("Blocked by it, not at fault: %s.", codes(v.Blocked))
	}
	if len(v.Missing) > 0 {
		p.line("Missing evidence: %s.", codes(v.Missing))
	}
	r.writeBeside(p)
	p.line("")
	for _, e := range r.Evidence {
		p.line("%d. %s", e.Number, describe(e.Result))
	}
}

func (r *Record) writeBeside(p *page) {
	if len(r.Beside) == 0 {
		return
	}
	p.line("")
	p.line("| probe | on this host | in the agent's sandbox |")
	p.line("|---|---|---|")
	for _, b := range r.Beside {
		p.line("| %s | %s | %s |", cell(b.Probe), ended(b.Host), ended(b.Sandbox))
	}
}

func ended(r *probe.Result) string {
	if r == nil {
		return "not tested"
	}
	words := r.Class.String()
	if r.Status != 0 {
		words += fmt.Sprintf(", status %d", r.Status)
	}
	if took := humanize.Latency(r.Elapsed.Duration()); took != "" {
		return cell(words) + ", " + took
	}
	return cell(words)
}

// describe writes a result on one line.
func describe(r probe.Result) string {
	var words strings.Builder
	fmt.Fprintf(&words, "%s %s %s from %v: **%v**",
		stamp(r.Start), code(r.Service+"/"+r.Name), code(r.Target), r.Vantage, r.Class)
	if r.Phase != probe.NoPhase {
		words.WriteString(" at " + r.Phase.String())
	}
	if took := humanize.Latency(r.Elapsed.Duration()); took != "" {
		words.WriteString(" after " + took)
	}
	for _, fact := range []struct{ name, text string }{
		{"nameserver", r.Server}, {"answer", r.RCode}, {"peer", r.Peer}, {"proxy", r.Proxy}, {"request ID", r.RequestID},
		{"signals", strings.Join(r.Signals, ", ")}, {"output", r.Output}, {"reason", r.Why},
	} {
		if fact.text != "" {
			words.WriteString(", " + fact.name + " " + code(fact.text))
		}
	}
	if r.Status != 0 {
		fmt.Fprintf(&words, ", status %d", r.Status)
	}
	return words.String()
}

func (r *Record) writeTransitions(p *page) {
	p.line("| time | event | details | evidence |")
	p.line("|---|---|---|---|")
	for _, t := range r.Transitions {
		p.line("| %s | %s | %s | %s |", stamp(t.At), t.What, cell(t.Text), references(t.Exhibits...))
	}
}

func (r *Record) writeBacktest(p *page) {
	switch {
	case r.Backtest != nil:
		p.line("%d of %s succeeded after the incident ended (%s).", r.Backtest.OK, humanize.Count(r.Backtest.Runs, "agent run"),
			references(r.Backtest.Exhibits...))
	case r.Closed == nil:
		p.line("None yet: the incident is still open.")
	default:
		p.line("None: the agent did not run within the hour after the incident ended.")
	}
}

func (r *Record) writeWarnings(p *page) {
	if len(r.Warnings) == 0 {
		p.line("None.")
	}
	for _, w := range r.Warnings {
		p.line("- %s, %s (%s)", code(w.Name), humanize.Count(w.Count, "time"), references(w.Exhibits...))
	}
}

func (r *Record) writeTodo(p *page) {
	for _, d := range r.Do {
		p.line("- %s", inline(d))
	}
}

func references(numbers ...int) string {
	if len(numbers) == 0 {
		return "–"
	}
	words := make([]string, len(numbers))
	for i, n := range numbers {
		words[i] = fmt.Sprint(n)
	}
	return "evidence " + strings.Join(words, ", ")
}

// textLimit bounds one text from outside, in bytes; the JSON has more of it.
const textLimit = 600

// code writes text as a code span. Its fence is longer than any run of backticks in the text (CommonMark 6.1).
func code(text string) string {
	text = redact.Line(text, textLimit)
	if text == "" {
		return "–"
	}
	fence := strings.Repeat("`", longestRun(text)+1)
	if strings.HasPrefix(text, "`") || strings.HasSuffix(text, "`") {
		text = " " + text + " "
	}
	return fence + text + fence
}

// cell writes a code span for a table, where a bar ends even a code span.
func cell(text string) string { return strings.ReplaceAll(code(text), "|", `\|`) }

func codes(texts []string) string {
	all := make([]string, len(texts))
	for i, t := range texts {
		all[i] = code(t)
	}
	return strings.Join(all, ", ")
}

// inline escapes the markup in our own text, which may quote text from outside.
func inline(text string) string {
	escape := strings.NewReplacer(`\`, `\\`, "`", "\\`", "<", "&lt;", "*", `\*`, "[", `\[`, "_", `\_`)
	return escape.Replace(redact.Line(text, len(text)))
}

func longestRun(text string) int {
	longest, run := 0, 0
	for _, r := range text {
		if r == '`' {
			run++
			longest = max(longest, run)
		} else {
			run = 0
		}
	}
	return longest
}

// block writes text as a fenced block, line by line, and keeps the indentation.
func (p *page) block(language, text string) {
	var lines []string
	for line := range strings.Lines(text) {
		indent := line[:len(line)-len(strings.TrimLeft(line, " \t"))]
		lines = append(lines, indent+redact.Line(line, len(line)))
	}
	text = strings.Join(lines, "\n")
	fence := strings.Repeat("`", max(longestRun(text)+1, 3))
	p.line("%s%s\n%s\n%s", fence, language, text, fence)
}
