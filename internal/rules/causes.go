package rules

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"netwatchd/internal/causes"
)

// names are the names of the alerts, after the cause alone: the label service names the service. They are a contract
// with routes, silences and runbooks.
var names = map[causes.Cause]string{
	causes.SelfSandboxed:    "NetwatchdSandboxed",
	causes.LocalPolicy:      "NetwatchdLocalPolicy",
	causes.HostOffline:      "NetwatchdHostOffline",
	causes.Proxy:            "NetwatchdProxyBroken",
	causes.Resolver:         "NetwatchdResolverBroken",
	causes.Interception:     "NetwatchdInterception",
	causes.Clock:            "NetwatchdClockWrong",
	causes.Path:             "NetwatchdPathBroken",
	causes.EdgeBlocked:      "NetwatchdEdgeBlocked",
	causes.Upstream:         "NetwatchdUpstreamOutage",
	causes.UnexpectedAnswer: "NetwatchdUnexpectedAnswer",
	causes.Stream:           "NetwatchdStreamBroken",
	causes.Account:          "NetwatchdAccount",
	causes.Agent:            "NetwatchdAgentBroken",
	causes.Sandbox:          "NetwatchdSandboxNetworkBlocked",
	causes.SandboxOpen:      "NetwatchdSandboxNetworkOpen",
	causes.ResolverDegraded: "NetwatchdResolverDegraded",
	causes.IPv6:             "NetwatchdIPv6Broken",
	causes.IPv4:             "NetwatchdIPv4Broken",
	causes.Degraded:         "NetwatchdDegraded",
	causes.Inconclusive:     "NetwatchdInconclusive",
}

// Name returns the name of the alert for c; it is empty for a cause without an alert.
func Name(c causes.Cause) string { return names[c] }

// CodexName returns the name that an alert had in netwatchd 0.1 (CodexUpstreamOutage), and whether it had another one.
func CodexName(alert string) (string, bool) {
	renamed := slices.Contains([]string{burnName, fleetName, singleName}, alert)
	for c, name := range names {
		// netwatchd's own sandbox was never named after an agent
		renamed = renamed || name == alert && c != causes.SelfSandboxed
	}
	if !renamed {
		return alert, false
	}
	return "Codex" + strings.TrimPrefix(alert, "Netwatchd"), true
}

// eitherName matches an alert by the name of today or of netwatchd 0.1, so that inhibitions fit both.
func eitherName(alert string) string {
	if old, renamed := CodexName(alert); renamed {
		return alert + "|" + old
	}
	return alert
}

// name returns the name under which the rules raise an alert.
func (b *builder) name(alert string) string {
	if old, _ := CodexName(alert); b.CodexNames {
		return old
	}
	return alert
}

// keepFiring covers gaps that are no recovery: a failed scrape or two, or a restarted daemon without a verdict yet.
// Without it such a gap would notify people twice. It is shorter than the hold of every cause that pages, so that a
// lingering sandbox alert ends before the page it would silence is due.
const keepFiring = 2 * time.Minute

// perService joins the series of one service on one host.
const perService = "on (job, instance, service)"

// causes returns the alerts. They fire on findings, not on the one cause of the verdict: a finding that another one
// explains is not among them, so each one left needs an alert of its own, and a minor one never hides a major one.
func (b *builder) causes() []Rule {
	var all []Rule
	if b.Verdict {
		all = append(all, b.verdict())
	}
	for c := range causes.All() {
		if c.About().Severity == causes.None {
			continue
		}
		if c == causes.Sandbox {
			// Never a page, whatever the configuration says: nothing outside the sandbox is broken.
			for _, of := range b.severities(c, causes.Ticket) {
				all = append(all, b.sandbox(of)...)
			}
			continue
		}
		for _, of := range b.severities(c, causes.Page) {
			all = append(all, b.cause(c, of))
		}
	}
	return all
}

func (b *builder) cause(c causes.Cause, of selection) Rule {
	r := Rule{
		Expr: fmt.Sprintf("netwatchd_finding{cause=%q%s} == 1", c, of.matcher),
		For:  Duration(c.About().Hold), KeepFiringFor: Duration(keepFiring),
	}
	if c == causes.SandboxOpen {
		r.Labels = map[string]string{"category": "security"}
	}
	r = b.alert(names[c], of.severity, r, summary(c.About().Title), evidence, c.About().Means, b.advice(c))
	return b.links(r, c)
}

// sandbox returns two rules. The first silences pages of its host, which is right only if the host is healthy: then a
// page can only be about the same attempts. The second fires beside a fault of the host or of the service and silences
// nothing, because the page for that fault must get through.
func (b *builder) sandbox(of selection) []Rule {
	about := causes.Sandbox.About()
	var unhealthy []string
	for c := range causes.All() {
		if c.OfNetwork() || c == causes.Stream || c == causes.Inconclusive {
			unhealthy = append(unhealthy, c.String())
		}
	}
	found := fmt.Sprintf("netwatchd_finding{cause=%q%s} == 1\n", causes.Sandbox, of.matcher)
	fault := fmt.Sprintf("%s netwatchd_verdict{cause=~%q} == 1", perService, strings.Join(unhealthy, "|"))
	alone := Rule{Expr: found + "unless " + fault, For: Duration(about.Hold), KeepFiringFor: Duration(keepFiring)}
	beside := Rule{Expr: found + "and " + fault, For: Duration(about.Hold), KeepFiringFor: Duration(keepFiring),
		Labels: map[string]string{hostLabel: "faulty"}}
	name := names[causes.Sandbox]
	return []Rule{
		b.alert(name, of.severity, alone, summary(about.Title), evidence, about.Means, about.Advice),
		b.alert(name, of.severity, beside, summary("the sandbox also blocks the network"),
			evidence, "An attempt inside the agent's sandbox was denied the network. Another fault also keeps the host from the "+
				"service. Fixing that one will not open the sandbox.",
			"Fix the other fault first. Then allow network access for this run or for the sandbox, if the task needs it."),
	}
}

// hostLabel marks a sandbox alert whose host is unhealthy: it silences nothing.
const hostLabel = "host"

// verdictName is the alert that inhibitions have as their source.
const verdictName = "NetwatchdVerdict"

// verdict returns an alert that fires at once and notifies nobody. The source of an inhibition must fire before its
// target, but most causes have a longer hold than the causes they explain.
func (b *builder) verdict() Rule {
	var hiding []string
	for c := range causes.All() {
		if len(c.About().Hides) > 0 {
			hiding = append(hiding, c.String())
		}
	}
	r := Rule{Expr: fmt.Sprintf("netwatchd_verdict{cause=~%q} == 1", strings.Join(hiding, "|"))}
	return b.alert(
		verdictName,
		causes.None,
		r,
		summary("the verdict is {{ $labels.cause }}"),
		"This alert notifies nobody. Alertmanager's inhibitions use it as their source, so that one fault makes one alert.",
		evidence,
	)
}

func summary(title string) string {
	return "{{ $labels.service }}: " + title + " ({{ $labels.instance }})"
}

// evidence lists the results that show the cause: first those that decide, then those that they are compared with. Then
// it lists the failing attempts of the host, which the verdict may explain. These are queries in the template and not
// labels, because with a label each change of a class would be another alert. Nobody reads more than six attempts.
//
// The first line is missing for a finding beside the verdict, whose evidence nobody exports, and for netwatchd 0.1.
const evidence = "{{ with query (printf `netwatchd_verdict_evidence{job=%q,instance=%q,service=%q}" +
	" and " + perService + " netwatchd_verdict{cause=%q} == 1`" +
	" $labels.job $labels.instance $labels.service $labels.cause) | sortByLabel \"probe\" }}Evidence:" +
	"{{ range . }}{{ if ne .Labels.class \"ok\" }}" + oneAttempt + "{{ end }}{{ end }}" +
	"{{ range . }}{{ if eq .Labels.class \"ok\" }}" + oneAttempt + "{{ end }}{{ end }}\n{{ end }}" +
	"Failing on {{ $labels.instance }}:" +
	"{{ range query (printf `topk(6, netwatchd_probe_error_class{job=%q,instance=%q,service=~\"%s|host|resolvers|controls\",class!=\"ok\"} == 1)`" +
	" $labels.job $labels.instance $labels.service) | sortByLabel \"probe\" }}" +
	" {{ .Labels.service }}/{{ .Labels.probe }} from {{ .Labels.vantage }}: {{ .Labels.class }};" +
	"{{ else }} none of the latest attempts;{{ end }} cause {{ $labels.cause }}."

const oneAttempt = " {{ .Labels.probe }} from {{ .Labels.vantage }}: {{ .Labels.class }};"

// A selection is the services for which a cause has one severity.
type selection struct {
	severity causes.Severity
	matcher  string // to append to another matcher; empty: every service
}

// severities groups the services by their severity for c, at most highest: first the services for which the
// configuration does not change it, then the others. Services with severity none get no alert.
func (b *builder) severities(c causes.Cause, highest causes.Severity) []selection {
	usual := min(c.About().Severity, highest)
	singled := make(map[causes.Severity][]string)
	var all []string
	for _, s := range b.services {
		severity, set := s.Severity[c]
		if severity = min(severity, highest); set && severity != usual {
			singled[severity] = append(singled[severity], regexp.QuoteMeta(s.Name))
			all = append(all, regexp.QuoteMeta(s.Name))
		}
	}
	if len(all) == 0 {
		return []selection{{usual, ""}}
	}
	slices.Sort(all)
	selections := []selection{{usual, fmt.Sprintf(",service!~%q", strings.Join(all, "|"))}}
	for severity := causes.Page; severity > causes.None; severity-- {
		if services := singled[severity]; len(services) > 0 {
			slices.Sort(services)
			selections = append(selections, selection{severity, fmt.Sprintf(",service=~%q", strings.Join(services, "|"))})
		}
	}
	return selections
}
