package rules

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"netwatchd/internal/diagnose"
)

// names of the alerts. They are a contract: routes, silences and runbooks speak of them. Whatever the service is called, its
// alerts are: the label says which one it is.
var names = map[diagnose.Cause]string{
	diagnose.SelfSandboxed:    "NetwatchdSandboxed",
	diagnose.LocalPolicy:      "CodexLocalPolicy",
	diagnose.HostOffline:      "CodexHostOffline",
	diagnose.Proxy:            "CodexProxyBroken",
	diagnose.Resolver:         "CodexResolverBroken",
	diagnose.Interception:     "CodexInterception",
	diagnose.Clock:            "CodexClockWrong",
	diagnose.EdgeBlocked:      "CodexEdgeBlocked",
	diagnose.Upstream:         "CodexUpstreamOutage",
	diagnose.UnexpectedAnswer: "CodexUnexpectedAnswer",
	diagnose.Stream:           "CodexStreamBroken",
	diagnose.Account:          "CodexAccount",
	diagnose.Agent:            "CodexAgentBroken",
	diagnose.Sandbox:          "CodexSandboxNetworkBlocked",
	diagnose.SandboxOpen:      "CodexSandboxNetworkOpen",
	diagnose.ResolverDegraded: "CodexResolverDegraded",
	diagnose.IPv6:             "CodexIPv6Broken",
	diagnose.IPv4:             "CodexIPv4Broken",
	diagnose.Degraded:         "CodexDegraded",
	diagnose.Inconclusive:     "CodexInconclusive",
}

// Name is the alert that announces c; empty for a cause that concerns nobody.
func Name(c diagnose.Cause) string { return names[c] }

// keepFiring bridges what is no recovery: a scrape or two that failed, a daemon that restarts and has not judged yet. An
// alert that resolved for these would be told twice. It stays under the hold of every cause that pages, so that a sandbox
// alert that lingers is gone before the page it would silence is due.
const keepFiring = 2 * time.Minute

// perService joins what is known of one service on one host.
const perService = "on (job, instance, service)"

// causes are the alerts on what was found. They stand on findings, not on the one cause of the verdict: a finding is there
// only if no other one explains it, so each is news of its own, and a small one never hides a large one.
func (b *builder) causes() []Rule {
	all := []Rule{b.verdict()}
	for c := range diagnose.Causes() {
		if c.About().Severity == diagnose.None {
			continue
		}
		if c == diagnose.Sandbox {
			// never a page, whatever the configuration says: nothing outside is broken
			for _, of := range b.severities(c, diagnose.Ticket) {
				all = append(all, b.sandbox(of)...)
			}
			continue
		}
		for _, of := range b.severities(c, diagnose.Page) {
			all = append(all, b.cause(c, of))
		}
	}
	return all
}

func (b *builder) cause(c diagnose.Cause, of selection) Rule {
	r := Rule{
		Expr: fmt.Sprintf("netwatchd_finding{cause=%q%s} == 1", c, of.matcher),
		For:  Duration(c.About().Hold), KeepFiringFor: Duration(keepFiring),
	}
	if c == diagnose.SandboxOpen {
		r.Labels = map[string]string{"category": "security"}
	}
	return b.alert(names[c], of.severity, r, summary(c.About().Title), c.About().Means, evidence, c.About().Advice)
}

// sandbox is two rules, since the alert silences pages of its host, and may do so only where the host is fine: then a page
// can only be about the same attempts. Beside a fault of the host or of the service it is a finding like any other, and the
// page for that fault must get through.
func (b *builder) sandbox(of selection) []Rule {
	about := diagnose.Sandbox.About()
	var notFine []string
	for c := range diagnose.Causes() {
		if c.OfNetwork() || c == diagnose.Stream || c == diagnose.Inconclusive {
			notFine = append(notFine, c.String())
		}
	}
	found := fmt.Sprintf("netwatchd_finding{cause=%q%s} == 1\n", diagnose.Sandbox, of.matcher)
	fault := fmt.Sprintf("%s netwatchd_verdict{cause=~%q} == 1", perService, strings.Join(notFine, "|"))
	alone := Rule{Expr: found + "unless " + fault, For: Duration(about.Hold), KeepFiringFor: Duration(keepFiring)}
	beside := Rule{Expr: found + "and " + fault, For: Duration(about.Hold), KeepFiringFor: Duration(keepFiring),
		Labels: map[string]string{hostLabel: "faulty"}}
	name := names[diagnose.Sandbox]
	return []Rule{
		b.alert(name, of.severity, alone, summary(about.Title), about.Means, evidence, about.Advice),
		b.alert(name, of.severity, beside, summary("the sandbox refuses the network as well"),
			"An attempt inside the agent's sandbox was refused the network, beside another fault that stands in the way of the "+
				"service. That one comes first; this one will still be there when it is mended.", evidence,
			"Mend the other fault first; then allow network access for this run or for the sandbox, if the task needs it."),
	}
}

// hostLabel is on a sandbox alert whose host is not fine: it silences nothing.
const hostLabel = "host"

// verdictName is the alert that inhibitions stand on.
const verdictName = "NetwatchdVerdict"

// verdict says what holds at this moment, at once and to nobody: what silences another alert must come before it, and most
// causes are held longer than what they explain.
func (b *builder) verdict() Rule {
	var hiding []string
	for c := range diagnose.Causes() {
		if len(c.About().Hides) > 0 {
			hiding = append(hiding, c.String())
		}
	}
	r := Rule{Expr: fmt.Sprintf("netwatchd_verdict{cause=~%q} == 1", strings.Join(hiding, "|"))}
	return b.alert(verdictName, diagnose.None, r, summary("{{ $labels.cause }} holds"),
		"Told to nobody: Alertmanager's inhibitions stand on it, so that one fault makes one alert.", evidence)
}

func summary(title string) string {
	return "{{ $labels.service }}: " + title + " ({{ $labels.instance }})"
}

// evidence names the attempts that fail now: the service's own, and those it is held against. It is asked for when the alert
// is written rather than kept in labels, where each change of a class would be another alert. Six are what a person reads.
const evidence = "Failing on {{ $labels.instance }}:" +
	"{{ range query (printf `topk(6, netwatchd_probe_error_class{job=%q,instance=%q,service=~\"%s|host|resolvers|controls\",class!=\"ok\"} == 1)`" +
	" $labels.job $labels.instance $labels.service) | sortByLabel \"probe\" }}" +
	" {{ .Labels.service }}/{{ .Labels.probe }} from {{ .Labels.vantage }}: {{ .Labels.class }};" +
	"{{ else }} nothing in the latest attempts;{{ end }} cause {{ $labels.cause }}."

// A selection is the services for which a cause has one severity.
type selection struct {
	severity diagnose.Severity
	matcher  string // to stand behind another one; empty: every service
}

// severities are the services by what c asks of people, highest at the most: first all that the configuration does not
// single out, then those that it does. Where it says none there is nothing to announce.
func (b *builder) severities(c diagnose.Cause, highest diagnose.Severity) []selection {
	usual := min(c.About().Severity, highest)
	singled := make(map[diagnose.Severity][]string)
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
	for severity := diagnose.Page; severity > diagnose.None; severity-- {
		if services := singled[severity]; len(services) > 0 {
			slices.Sort(services)
			selections = append(selections, selection{severity, fmt.Sprintf(",service=~%q", strings.Join(services, "|"))})
		}
	}
	return selections
}
