package dashboard

import (
	"fmt"
	"strings"

	"netwatchd/internal/causes"
)

// code is the PromQL for the current cause of each service as a number, its position in the order of causes. With one
// series for each service a timeline has one bar and a table one line for it. Words maps the number back to a name.
func code(matchers string) string {
	var terms []string
	for c := range causes.All() {
		terms = append(terms, fmt.Sprintf("%d * netwatchd_verdict{%s, cause=%q}", c, matchers, c))
	}
	return "sum by (job, instance, service) (\n  " + strings.Join(terms, "\n  or ") + "\n)"
}

// words maps every cause to its text and color.
func words(text func(causes.Cause) string) []Word {
	var all []Word
	for c := range causes.All() {
		all = append(all, Word{int(c), text(c), color(c)})
	}
	return all
}

func title(c causes.Cause) string  { return c.About().Title }
func advice(c causes.Cause) string { return c.About().Advice }

// withoutColors removes the colors of words.
func withoutColors(all []Word) []Word {
	for i := range all {
		all[i].Color = ""
	}
	return all
}

// colors maps the names of causes, as series names, to their colors.
func colors() map[string]string {
	all := make(map[string]string)
	for c := range causes.All() {
		all[c.String()] = color(c)
	}
	return all
}

// color tells at a glance whose fault it is: red the service's, which pages; orange this host's; purple the agent's;
// yellow means that it still works. An open sandbox is as red as an outage, because it must not wait until the
// morning.
func color(c causes.Cause) string {
	switch {
	case c == causes.Healthy:
		return "green"
	case c == causes.Inconclusive:
		return "#8e8e8e"
	case c == causes.Starting, c == causes.Suspended:
		return "blue"
	case c == causes.SandboxOpen, c.About().Severity == causes.Page:
		return "red"
	case c.Usable():
		return "yellow"
	case c.Owner() == causes.OwnerHost:
		return "orange"
	case c.Owner() == causes.OwnerService:
		return "light-red"
	}
	return "purple"
}

// unhealthy matches the causes that have a severity.
func unhealthy() string {
	var fine []string
	for c := range causes.All() {
		if c.About().Severity == causes.None {
			fine = append(fine, c.String())
		}
	}
	return fmt.Sprintf(`cause!~"%s"`, strings.Join(fine, "|"))
}
