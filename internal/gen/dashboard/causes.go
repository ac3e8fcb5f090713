package dashboard

import (
	"fmt"
	"strings"

	"netwatchd/internal/diagnose"
)

// code is the PromQL for the one cause of each service as a number, its place in the order of causes: one series for each
// service, so that a timeline has one bar for each and a table one line. Words gives the number its name back.
func code(matchers string) string {
	var terms []string
	for c := range diagnose.Causes() {
		terms = append(terms, fmt.Sprintf("%d * netwatchd_verdict{%s, cause=%q}", c, matchers, c))
	}
	return "sum by (job, instance, service) (\n  " + strings.Join(terms, "\n  or ") + "\n)"
}

// words gives every cause its text.
func words(text func(diagnose.Cause) string) []Word {
	var all []Word
	for c := range diagnose.Causes() {
		all = append(all, Word{int(c), text(c), color(c)})
	}
	return all
}

func title(c diagnose.Cause) string  { return c.About().Title }
func advice(c diagnose.Cause) string { return c.About().Advice }

// plain are words without their colours.
func plain(all []Word) []Word {
	for i := range all {
		all[i].Color = ""
	}
	return all
}

// colors are those of series that are named after causes.
func colors() map[string]string {
	all := make(map[string]string)
	for c := range diagnose.Causes() {
		all[c.String()] = color(c)
	}
	return all
}

// color says whose fault it is, from afar: red is the service's and wakes someone, orange is this host's, purple the agent's,
// yellow works all the same. An open sandbox is as red as an outage: it is not left until the morning.
func color(c diagnose.Cause) string {
	switch {
	case c == diagnose.Healthy:
		return "green"
	case c == diagnose.Inconclusive:
		return "#8e8e8e"
	case c == diagnose.Starting, c == diagnose.Suspended:
		return "blue"
	case c == diagnose.SandboxOpen, c.About().Severity == diagnose.Page:
		return "red"
	case c <= diagnose.Clock:
		return "orange"
	case c <= diagnose.Stream:
		return "light-red"
	case c.Fault():
		return "purple"
	}
	return "yellow"
}

// unwell matches the causes that somebody should hear of.
func unwell() string {
	var fine []string
	for c := range diagnose.Causes() {
		if c.About().Severity == diagnose.None {
			fine = append(fine, c.String())
		}
	}
	return fmt.Sprintf(`cause!~"%s"`, strings.Join(fine, "|"))
}
