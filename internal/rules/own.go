package rules

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"

	"netwatchd/internal/causes"
	"netwatchd/internal/config"
	"netwatchd/internal/diagnose"
	"netwatchd/internal/words"
)

// One rule is for all services of a severity. What the configuration says of a single service is therefore a branch of
// the template, by the label service.

// perServiceText returns otherwise, and for each service for which of returns another text, that text.
func (b *builder) perServiceText(of func(config.Service) string, otherwise string) string {
	var branches strings.Builder
	how := "if"
	for _, s := range b.services {
		if text := of(s); text != "" && text != otherwise {
			fmt.Fprintf(&branches, "{{ %s eq $labels.service %q }}%s", how, s.Name, literal(text))
			how = "else if"
		}
	}
	if branches.Len() == 0 {
		return otherwise
	}
	if otherwise != "" {
		branches.WriteString("{{ else }}" + otherwise)
	}
	return branches.String() + "{{ end }}"
}

// literal returns text for a template. Text of the configuration must not be run as one.
func literal(text string) string {
	if !strings.Contains(text, "{{") {
		return text
	}
	return "{{ " + strconv.Quote(text) + " }}"
}

// advice returns what to do about c: what the configuration says for a service, what is said to those who run it, or
// what is said to others.
func (b *builder) advice(c causes.Cause) string {
	if c.Owner() != causes.OwnerService {
		return c.About().Advice
	}
	return b.perServiceText(func(s config.Service) string {
		own := ""
		if s.Owner == diagnose.Us {
			own = words.OwnAdvice(c, nil)
		}
		return cmp.Or(s.Advice, own)
	}, c.About().Advice)
}

// links adds to the alert on c the runbook and the status page that the configuration has for a service.
func (b *builder) links(r Rule, c causes.Cause) Rule {
	if c.Owner() != causes.OwnerService {
		return r
	}
	runbook := func(s config.Service) string { return s.Runbook }
	r.Annotations.RunbookURL = b.perServiceText(runbook, r.Annotations.RunbookURL)
	r.Annotations.StatusPage = b.perServiceText(func(s config.Service) string { return s.StatusPage }, "")
	return r
}
