package rules

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"netwatchd/internal/causes"
)

// names are the names of the alerts. They are a contract with routes, silences and runbooks. They contain "Codex" for
// every service; the label service names the service.
var names = map[causes.Cause]string{
	causes.SelfSandboxed:    "NetwatchdSandboxed",
	causes.LocalPolicy:      "CodexLocalPolicy",
	causes.HostOffline:      "CodexHostOffline",
	causes.Proxy:            "CodexProxyBroken",
	causes.Resolver:         "CodexResolverBroken",
	causes.Interception:     "CodexInterception",
	causes.Clock:            "CodexClockWrong",
	causes.Path:             "CodexPathBroken",
	causes.EdgeBlocked:      "CodexEdgeBlocked",
	causes.Upstream:         "CodexUpstreamOutage",
	causes.UnexpectedAnswer: "CodexUnexpectedAnswer",
	causes.Stream:           "CodexStreamBroken",
	causes.Account:          "CodexAccount",
	causes.Agent:            "CodexAgentBroken",
	causes.Sandbox:          "CodexSandboxNetworkBlocked",
	causes.SandboxOpen:      "CodexSandboxNetworkOpen",
	causes.ResolverDegraded: "CodexResolverDegraded",
	causes.IPv6:             "CodexIPv6Broken",
	causes.IPv4:             "CodexIPv4Broken",
	causes.Degraded:         "CodexDegraded",
	causes.Inconclusive:     "CodexInconclusive",
}

// Name returns the name of the alert for c; it is empty for a cause without an alert.
func Name(c causes.Cause) string { return names[c] }

// keepFiring covers gaps that are no recovery: a failed scrape or two, or a restarted daemon without a verdict yet.
// Without it such a gap would notify people twice. It is shorter than the hold of every cause that pages, so that a
// lingering sandbox alert ends before the page it would silence is due.
const keepFiring = 2 * time.Minute

// perService joins the series of one service on one host.
const perService = "on (job, instance, service)"

// causes returns the alerts. They fire on findings, not on the one cause of the verdict: a finding that another one
// explains is not among them, so each one left needs an alert of its own, and a minor one never hides a major one.
func (b *builder) causes() []Rule {
	all := []Rule{b.verdict()}
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
	return b.alert(names[c], of.severity, r, summary(c.About().Title), c.About().Means, evidence, c.About().Advice)
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
		b.alert(name, of.severity, alone, summary(about.Title), about.Means, evidence, about.Advice),
		b.alert(name, of.severity, beside, summary("the sandbox also blocks the network"),
			"An attempt inside the agent's sandbox was denied the network. Another fault also keeps the host from the service. "+
				"Fixing that one will not open the sandbox.", evidence,
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

// evidence lists the failing attempts: those of the service and those it is compared with. It is a query in the
// template and not a label, because with a label each change of a class would be another alert. Nobody reads more
// than six.
const evidence = "Failing on {{ $labels.instance }}:" +
	"{{ range query (printf `topk(6, netwatchd_probe_error_class{job=%q,instance=%q,service=~\"%s|host|resolvers|controls\",class!=\"ok\"} == 1)`" +
	" $labels.job $labels.instance $labels.service) | sortByLabel \"probe\" }}" +
	" {{ .Labels.service }}/{{ .Labels.probe }} from {{ .Labels.vantage }}: {{ .Labels.class }};" +
	"{{ else }} none of the latest attempts;{{ end }} cause {{ $labels.cause }}."

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
