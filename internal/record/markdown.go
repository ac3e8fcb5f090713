package record

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"netwatchd/internal/humanize"
	"netwatchd/internal/probe"
	"netwatchd/internal/redact"
	"netwatchd/internal/snapshot"
)

// A page is Markdown being written. Text from outside is written in code spans or blocks, where it is neither markup
// nor HTML, and without control characters.
type page struct{ strings.Builder }

// Markdown returns the record for people.
func (r *Record) Markdown() string {
	p := new(page)
	switch {
	case r.Observation:
		p.line("# Observation %s: %s", code(r.ID), code(r.Verdict.Title))
		p.line("")
		p.line("This is not a fault: the network works as configured.")
	case r.Closed == nil:
		p.line("# Incident %s: %s", code(r.ID), code(r.Verdict.Title))
	default:
		p.line("# Incident %s: %s", code(r.ID), r.outcome())
		p.line("")
		p.line("The verdict was: %s", code(r.Verdict.Title))
	}
	p.line("")
	p.line("**%v** (%v), %s.", r.Verdict.Cause, r.Severity, r.span())
	type section struct {
		title string
		body  func(*page)
	}
	sections := []section{
		{"What to do", r.writeTodo},
		{"Scope", r.writeScope},
		{"Runtime", r.writeRuntime},
		{"The agent's configuration", r.writeConfiguration},
		{"Feature flags", r.writeFeatures},
		{"Symptom", r.writeSymptom},
		{"Verdict and evidence", r.writeVerdict},
		{"Timeline", r.writeTransitions},
		{"Backtest", r.writeBacktest},
		{"Non-blocking warnings", r.writeWarnings},
		{"What changed when it ended", r.writeChanges},
	}
	if len(r.Reports) > 0 {
		sections = slices.Insert(sections, 6, section{"What the agent itself reported", r.writeReports})
	}
	for n, write := range sections {
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
	if r.Observation {
		words := fmt.Sprintf("seen %s, from %s to %s",
			humanize.Count(r.Recurrences+1, "time"), stamp(r.Opened), stamp(*r.Closed))
		if r.Ended != "" {
			words += "; ended because " + r.Ended
		}
		return words
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
	if r.Scope.RecordedAt != "" {
		p.line("- Recorded at: %s (%s), local time", code(r.Scope.RecordedAt), code(r.Scope.Zone))
	}
	if r.Scope.Workspace != "" {
		p.line("- Workspace: %s", code(r.Scope.Workspace))
	}
	if r.Recurrences > 0 && !r.Observation {
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
	switch {
	case s.Sandbox == nil:
	case s.Sandbox.Fault != "":
		p.line("- environment in the sandbox: %s", code(s.Sandbox.Fault))
	case len(s.Sandbox.Environment) == 0:
		p.line("- environment in the sandbox: no relevant variables are set")
	default:
		for _, e := range s.Sandbox.Environment {
			p.line("- environment in the sandbox: %s", code(e.Name+"="+e.Value))
		}
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
	if r.Runtime == nil || r.Runtime.Agent == nil {
		return
	}
	a := r.Runtime.Agent
	p.line("")
	if a.Policy == nil {
		p.line("- Effective policy: unknown")
	} else {
		p.line("- Effective policy: %s", policyText(a.Policy))
	}
	if n := a.Projects; n != nil {
		p.line("- Projects: %d trusted, %d untrusted, %d other", n.Trusted, n.Untrusted, n.Other)
	}
}

func policyText(policy *snapshot.Policy) string {
	words := "network access denied"
	if policy.Network {
		words = "network access allowed"
	}
	if policy.Mode != "" {
		words += ", sandbox mode " + code(policy.Mode)
	}
	if policy.Profile != "" {
		words += ", permissions profile " + code(policy.Profile)
	}
	if policy.File == "" {
		return words + "; no file sets it: it is the agent's default"
	}
	return words + "; set by " + code(policy.File)
}

// writeFeatures folds the flags: there are a hundred of them, and few matter.
func (r *Record) writeFeatures(p *page) {
	if r.Runtime == nil || r.Runtime.Agent == nil || len(r.Runtime.Agent.Features)+len(r.Runtime.Agent.Flags) == 0 {
		p.line("Unknown: this version of the agent does not list them.")
		return
	}
	a := r.Runtime.Agent
	p.line("<details><summary>%d on</summary>", len(a.Features))
	p.line("")
	if len(a.Flags) == 0 { // a snapshot of netwatchd 0.1
		p.line("On: %s.", codes(a.Features))
	} else {
		p.line("| feature | stage | on |")
		p.line("|---|---|---|")
		for _, f := range a.Flags {
			p.line("| %s | %s | %v |", cell(f.Name), cell(f.Stage), f.On)
		}
	}
	p.line("")
	p.line("</details>")
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

func (r *Record) writeReports(p *page) {
	p.line("From its session files, of which only the counts are kept:")
	p.line("")
	p.line("| agent | class | count | retries | network of its commands | first | last |")
	p.line("|---|---|---|---|---|---|---|")
	for _, report := range r.Reports {
		p.line("| %s | %s | %d | %d | %s | %s | %s |", code(report.Agent), code(report.Class.String()), report.Count,
			report.Retries, cmp.Or(report.Network, "not known"), stamp(report.First), stamp(report.Last))
	}
}

func (r *Record) writeVerdict(p *page) {
	v := r.Verdict
	if r.Closed != nil && !r.Observation {
		p.line("While it was open:")
		p.line("")
	}
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
	if len(r.Headers) > 0 {
		words += " " + strings.Join(r.Headers, ", ")
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
	for _, h := range r.Headers {
		words.WriteString(" with " + code(h))
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
	b := r.Backtest
	if r.Recovery != nil {
		p.line("%s", inline(r.Recovery.Text()))
		p.line("")
	}
	switch {
	case b != nil && b.Runs > 0 && !r.Observation:
		p.line("%d of %s succeeded after the incident ended (%s).", b.OK, humanize.Count(b.Runs, "agent run"),
			references(b.Exhibits...))
	case r.Observation:
	case r.Closed == nil:
		p.line("None yet: the incident is still open.")
	case r.Recovery == nil:
		p.line("None: the agent did not run within the hour after the incident ended.")
	}
	if b == nil || b.Host == nil && b.Sandbox == nil {
		return
	}
	if !r.Observation {
		p.line("")
	}
	for _, t := range []struct {
		where string
		*Tally
	}{{"on the host", b.Host}, {"inside the sandbox", b.Sandbox}} {
		if t.Tally != nil {
			p.line("- By hand, %s: %d of %s succeeded (%s)", t.where, t.OK, humanize.Count(t.Runs, "run"),
				references(t.Exhibits...))
		}
	}
}

func (r *Record) writeWarnings(p *page) {
	if len(r.Warnings) == 0 {
		p.line("None.")
	}
	for _, w := range r.Warnings {
		p.line("- %s, %s, from %s (%s)", code(w.Name), humanize.Count(w.Count, "time"), strings.Join(w.Vantages, ", "),
			references(w.Exhibits...))
	}
}

func (r *Record) writeChanges(p *page) {
	switch {
	case len(r.Changes) > 0:
		p.line("| what | before | after |")
		p.line("|---|---|---|")
		for _, c := range r.Changes {
			p.line("| %s | %s | %s |", cell(c.What), cell(c.Before), cell(c.After))
		}
	case r.Closed == nil:
		p.line("The incident is still open.")
	case r.Observation && r.Ended == "":
		p.line("Nothing has ended it so far.")
	case r.Changes == nil:
		p.line("Unknown: no snapshot was taken at its end.")
	default:
		p.line("Nothing that the snapshots show.")
	}
}

func (r *Record) writeTodo(p *page) {
	for _, d := range r.Do {
		p.line("- %s", inline(d))
	}
	if r.Change == nil {
		return
	}
	if r.Change.Run != "" {
		p.line("")
		p.line("To allow the network for one run, approve it when the agent asks, or start the agent with:")
		p.line("")
		p.block("text", r.Change.Run)
	}
	p.line("")
	p.line("To allow it for every run, write into %s:", code(r.Change.File))
	p.line("")
	p.block("toml", strings.Join(r.Change.Lines, "\n"))
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
	text = redact.Quote(text, textLimit) // before it is cut: half a secret no longer looks like one
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
