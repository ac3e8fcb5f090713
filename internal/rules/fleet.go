package rules

import (
	"fmt"
	"strings"
	"time"

	"netwatchd/internal/config"
	"netwatchd/internal/diagnose"
)

// The rules of a fleet hold what one host says against what the others say of the same service: so that a page says whether it is
// everyone, some, or one, and is one page. They stand beside the rules for each host and silence its pages.

// Names of the alerts, a contract like those of causes.
const (
	fleetName  = "CodexFleetOutage"
	singleName = "CodexSingleHostOutage"
)

// scopeLabel tells the two forms of the alert on a fleet apart.
const (
	scopeLabel = "scope"
	everyone   = "everyone"
	several    = "several" // everyone or not
)

const (
	hostsThatCanTell = "service:netwatchd_hosts:count"
	hostsThatSay     = "service_cause:netwatchd_hosts:count"
	shareThatSays    = "service_cause:netwatchd_hosts:ratio"
)

// half of the hosts have no more in common than the service.
const half = 0.5

// ahead is how much sooner the fleet speaks than its hosts, whom it silences: two evaluations of the shipped example. It is not so
// soon that the sandbox alert, which silences pages of its host, would come after that of a single one.
const ahead = 30 * time.Second

// sooner is when everyone is spoken of: what half of all hosts see needs less time to be believed than what one does, and the
// hosts have not all seen it at once when the page of several is due.
func sooner(c diagnose.Cause) time.Duration { return c.About().Hold / 2 }

// aftermath is how long an alert of the fleet outlasts what it says: until the next one speaks, when several become one or one
// becomes several, and longer than the hosts' own. A gap would be a page for each host.
func aftermath(c diagnose.Cause) Duration { return Duration(c.About().Hold + ahead) }

// Fleet returns the rules for a Prometheus that hears of many hosts, to be loaded beside those of [For].
func Fleet(c *config.Config, o Options) File {
	b := &builder{Options: o, services: c.Services}
	return File{made: "netwatchd rules --fleet", Groups: []Group{{Name: "netwatchd.fleet", Rules: append(b.shares(), b.outages()...)}}}
}

// paging are the causes that wake people: only these are worth asking others about.
func paging() []diagnose.Cause {
	var all []diagnose.Cause
	for c := range diagnose.Causes() {
		if c.About().Severity == diagnose.Page {
			all = append(all, c)
		}
	}
	return all
}

// shares record how many hosts could tell, how many of them say so, and the share. A host that is not ready, has a fault of its
// own, or has been silent for as long as Prometheus keeps a value cannot tell.
func (b *builder) shares() []Rule {
	var words []string
	for _, c := range paging() {
		words = append(words, c.String())
	}
	return []Rule{
		{
			Record: hostsThatCanTell,
			Expr: fmt.Sprintf("count by (job, service) (\n"+
				"  group by (job, instance, service) (netwatchd_verdict)\n"+
				"  unless %s netwatchd_verdict{cause=~%q} == 1\n"+
				")", perService, strings.Join(ownHost(), "|")),
		},
		{
			Record: hostsThatSay,
			Expr:   fmt.Sprintf("count by (job, service, cause) (netwatchd_finding{cause=~%q} == 1)", strings.Join(words, "|")),
		},
		{
			Record: shareThatSays,
			Expr:   fmt.Sprintf("%s / on (job, service) group_left () %s", hostsThatSay, hostsThatCanTell),
		},
	}
}

func (b *builder) outages() []Rule {
	var all []Rule
	for _, c := range paging() {
		for _, of := range b.severities(c, diagnose.Page) {
			all = append(all, b.everyone(c, of), b.several(c, of), b.single(c, of))
		}
	}
	return all
}

func (b *builder) everyone(c diagnose.Cause, of selection) Rule {
	r := Rule{Expr: fmt.Sprintf("%s{cause=%q%s} >= %g\nand %s > 1", shareThatSays, c, of.matcher, half, hostsThatSay), For: Duration(sooner(c))}
	return b.outage(c, of, everyone, r, "It is the service: look at its status page, and tell those who wait for it.")
}

// several fires beside everyone, which silences it: when the others recover, it is there already.
func (b *builder) several(c diagnose.Cause, of selection) Rule {
	r := Rule{Expr: fmt.Sprintf("%s{cause=%q%s}\nand %s > 1", shareThatSays, c, of.matcher, hostsThatSay), For: Duration(c.About().Hold - ahead)}
	return b.outage(c, of, several, r, "Look for what those hosts have in common: a network, a provider, a VPN, an address family.")
}

func (b *builder) outage(c diagnose.Cause, of selection, scope string, r Rule, advice string) Rule {
	r.KeepFiringFor = aftermath(c)
	// The cause is on the series as well; here it tells the rules apart.
	r.Labels = map[string]string{scopeLabel: scope, "cause": c.String()}
	who := scope
	if scope == several {
		who += " hosts"
	}
	return b.alert(fleetName, of.severity, r, "{{ $labels.service }}: "+c.About().Title+" ("+who+")",
		fmt.Sprintf("{{ $value | humanizePercentage }} of the hosts that can tell (%s) say %s of {{ $labels.service }}.", counted, c),
		namedHosts, advice)
}

// single is the page of a host that stands alone with what it says. Where there is no other host to ask, its own page says all.
func (b *builder) single(c diagnose.Cause, of selection) Rule {
	r := Rule{
		Expr: fmt.Sprintf("netwatchd_finding{cause=%q%s} == 1\n"+
			"and on (job, service, cause) %s == 1\n"+
			"and on (job, service) %s > 1", c, of.matcher, hostsThatSay, hostsThatCanTell),
		For: Duration(c.About().Hold - ahead), KeepFiringFor: aftermath(c),
		Labels: map[string]string{"cause": c.String()},
	}
	return b.alert(singleName, of.severity, r, "{{ $labels.service }}: "+c.About().Title+" ({{ $labels.instance }} alone)",
		fmt.Sprintf("One of the hosts that can tell (%s) says %s of {{ $labels.service }}: {{ $labels.instance }}. The others reach it.", counted, c),
		evidence, "It is the way from that host, not the service: compare its peer address with another host's, and try without the VPN.")
}

// counted says how many hosts the share is of.
const counted = "{{ with query (printf `" + hostsThatCanTell + "{job=%q,service=%q}` $labels.job $labels.service) }}{{ . | first | value }}{{ end }}"

// namedHosts are as many as a page has room for.
const namedHosts = "Among them:{{ range query (printf `topk(10, netwatchd_finding{job=%q,service=%q,cause=%q} == 1)`" +
	" $labels.job $labels.service $labels.cause) | sortByLabel \"instance\" }} {{ .Labels.instance }}{{ end }}."

// inhibitFleet are the inhibitions of the fleet: one page for all that say the same. Where its rules are not loaded they do nothing.
func inhibitFleet() []Inhibition {
	perCause := []string{"job", "service", "cause"}
	return []Inhibition{
		{
			Source: []string{match("alertname", "=", fleetName), match(scopeLabel, "=", everyone)},
			Target: []string{match("alertname", "=", fleetName), match(scopeLabel, "=", several)},
			Equal:  perCause,
		},
		{
			Source: []string{match("alertname", "=", fleetName)},
			Target: []string{match("alertname", "!~", fleetName+"|"+verdictName), match("instance", "!=", "")},
			Equal:  perCause,
		},
		{
			Source: []string{match("alertname", "=", singleName)},
			Target: []string{match("alertname", "!~", singleName+"|"+verdictName)},
			Equal:  append(perCause, "instance"),
		},
	}
}
