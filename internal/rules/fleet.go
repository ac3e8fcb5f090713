package rules

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"netwatchd/internal/causes"
	"netwatchd/internal/config"
	"netwatchd/internal/diagnose"
	"netwatchd/internal/words"
)

// The fleet rules compare the verdicts of many hosts on one service. A fault makes one page, which tells whether it
// affects everyone, several hosts or one. They are loaded beside the per-host rules and silence the pages of the
// hosts.

// Names of the alerts; like those of the causes they are a contract.
const (
	fleetName  = "NetwatchdFleetOutage"
	singleName = "NetwatchdSingleHostOutage"
)

// scopeLabel distinguishes the two forms of the fleet alert.
const (
	scopeLabel = "scope"
	everyone   = "everyone"
	several    = "several" // everyone or not
)

const (
	hostsCounted  = "service:netwatchd_hosts:count"
	hostsAffected = "service_cause:netwatchd_hosts:count"
	shareAffected = "service_cause:netwatchd_hosts:ratio"
)

// half of all hosts have nothing in common but the service.
const half = 0.5

// lead is how much earlier the fleet alerts fire than the host alerts they silence: two evaluations of the shipped
// example. With a longer lead the alert on a single host would fire before the sandbox alert that must silence it.
const lead = 30 * time.Second

// holdEveryone is the hold of scope="everyone": it needs less time to be believed than the finding of one host, and
// must fire before the page for several hosts, because hosts do not see a fault at the same time.
func holdEveryone(c causes.Cause) time.Duration { return c.About().Hold / 2 }

// keepFleetFiring is how long a fleet alert keeps firing: until the next one fires when the scope changes, and longer
// than the host alerts. A gap would be a page for each host.
func keepFleetFiring(c causes.Cause) Duration { return Duration(c.About().Hold + lead) }

// Fleet returns the rules that compare many hosts, to be loaded beside those of [For].
func Fleet(c *config.Config, o Options) File {
	b := &builder{Options: o, services: c.Services}
	return File{
		command: "netwatchd rules --fleet",
		Groups:  []Group{{Name: "netwatchd.fleet", Rules: append(b.shares(), b.outages()...)}},
	}
}

// paging are the causes that page: only these are compared between hosts.
func paging() []causes.Cause {
	var all []causes.Cause
	for c := range causes.All() {
		if c.About().Severity == causes.Page {
			all = append(all, c)
		}
	}
	return all
}

// shares record how many hosts are counted, how many of them are affected, and the share. A host is not counted if it
// is not ready, has a fault of its own, or has been silent for Prometheus' lookback of five minutes.
func (b *builder) shares() []Rule {
	var words []string
	for _, c := range paging() {
		words = append(words, c.String())
	}
	return []Rule{
		{
			Record: hostsCounted,
			Expr: fmt.Sprintf("count by (job, service) (\n"+
				"  group by (job, instance, service) (netwatchd_verdict)\n"+
				"  unless %s netwatchd_verdict{cause=~%q} == 1\n"+
				")", perService, strings.Join(ownHost(), "|")),
		},
		{
			Record: hostsAffected,
			Expr:   fmt.Sprintf("count by (job, service, cause) (netwatchd_finding{cause=~%q} == 1)", strings.Join(words, "|")),
		},
		{
			Record: shareAffected,
			Expr:   fmt.Sprintf("%s / on (job, service) group_left () %s", hostsAffected, hostsCounted),
		},
	}
}

func (b *builder) outages() []Rule {
	var all []Rule
	for _, c := range paging() {
		for _, of := range b.severities(c, causes.Page) {
			all = append(all, b.everyone(c, of), b.several(c, of), b.single(c, of))
		}
	}
	return all
}

func (b *builder) everyone(c causes.Cause, of selection) Rule {
	r := Rule{
		Expr: fmt.Sprintf("%s{cause=%q%s} >= %g\nand %s > 1", shareAffected, c, of.matcher, half, hostsAffected),
		For:  Duration(holdEveryone(c)),
	}
	return b.outage(c, of, everyone, r, b.perServiceText(func(s config.Service) string {
		if s.Owner == diagnose.Us {
			return cmp.Or(s.Advice, "The service itself is down. "+words.OwnAdvice(c, nil))
		}
		return s.Advice
	}, "The service itself is down. See its status page and tell its users."))
}

// several fires beside everyone, which silences it. When most hosts recover, it already fires.
func (b *builder) several(c causes.Cause, of selection) Rule {
	r := Rule{
		Expr: fmt.Sprintf("%s{cause=%q%s}\nand %s > 1", shareAffected, c, of.matcher, hostsAffected),
		For:  Duration(c.About().Hold - lead),
	}
	return b.outage(
		c,
		of,
		several,
		r,
		"Find what these hosts have in common: a network, a provider, a VPN, an address family.",
	)
}

func (b *builder) outage(c causes.Cause, of selection, scope string, r Rule, advice string) Rule {
	r.KeepFiringFor = keepFleetFiring(c)
	// The series have the label cause too; here it makes the rules different.
	r.Labels = map[string]string{scopeLabel: scope, "cause": c.String()}
	who := scope
	if scope == several {
		who += " hosts"
	}
	r = b.alert(fleetName, of.severity, r, "{{ $labels.service }}: "+c.About().Title+" ("+who+")",
		fmt.Sprintf("{{ $value | humanizePercentage }} of %s hosts report %s for {{ $labels.service }}.", counted, c),
		namedHosts, advice)
	return b.links(r, c)
}

// single is the page for one affected host among several. With only one host, its own page is enough.
func (b *builder) single(c causes.Cause, of selection) Rule {
	r := Rule{
		Expr: fmt.Sprintf("netwatchd_finding{cause=%q%s} == 1\n"+
			"and on (job, service, cause) %s == 1\n"+
			"and on (job, service) %s > 1", c, of.matcher, hostsAffected, hostsCounted),
		For: Duration(c.About().Hold - lead), KeepFiringFor: keepFleetFiring(c),
		Labels: map[string]string{"cause": c.String()},
	}
	r = b.alert(
		singleName,
		of.severity,
		r,
		"{{ $labels.service }}: "+c.About().Title+" (only {{ $labels.instance }})",
		fmt.Sprintf(
			"One of %s hosts reports %s for {{ $labels.service }}: {{ $labels.instance }}. The others reach it.",
			counted,
			c,
		),
		evidence,
		"The network path from that host is broken, not the service. Compare its peer address with another host's, and try without the VPN.",
	)
	return b.links(r, c)
}

// counted is the number of hosts that the share refers to.
const counted = "{{ with query (printf `" + hostsCounted + "{job=%q,service=%q}` $labels.job $labels.service) }}{{ . | first | value }}{{ end }}"

// namedHosts lists the affected hosts, as many as fit on a page.
const namedHosts = "Affected, at most ten listed:{{ range query (printf `topk(10, netwatchd_finding{job=%q,service=%q,cause=%q} == 1)`" +
	" $labels.job $labels.service $labels.cause) | sortByLabel \"instance\" }} {{ .Labels.instance }}{{ end }}."

// inhibitFleet lets the fleet alerts silence the host alerts of the same cause. Without the fleet rules it does
// nothing.
func inhibitFleet() []Inhibition {
	perCause := []string{"job", "service", "cause"}
	fleet, single := eitherName(fleetName), eitherName(singleName)
	return []Inhibition{
		{
			Source: []string{match("alertname", "=~", fleet), match(scopeLabel, "=", everyone)},
			Target: []string{match("alertname", "=~", fleet), match(scopeLabel, "=", several)},
			Equal:  perCause,
		},
		{
			Source: []string{match("alertname", "=~", fleet)},
			Target: []string{match("alertname", "!~", fleet+"|"+verdictName), match("instance", "!=", "")},
			Equal:  perCause,
		},
		{
			Source: []string{match("alertname", "=~", single)},
			Target: []string{match("alertname", "!~", single+"|"+verdictName)},
			Equal:  append(perCause, "instance"),
		},
	}
}
