package rules

import (
	"fmt"
	"strings"

	"netwatchd/internal/causes"
)

// Inhibitions are the inhibit_rules of Alertmanager's configuration, with which one fault makes one alert.
type Inhibitions struct {
	Rules []Inhibition `yaml:"inhibit_rules"`
}

// An Inhibition silences the target while the source fires with equal labels.
type Inhibition struct {
	Source []string `yaml:"source_matchers"`
	Target []string `yaml:"target_matchers"`
	Equal  []string `yaml:"equal"`
}

// equal restricts an inhibition to one service on one host: the fault of one host does not explain another's.
var equal = []string{"job", "instance", "service"}

// Inhibit returns the inhibitions. Each cause silences the causes it hides, with NetwatchdVerdict, which fires at
// once, as the source; without it the source is the alert of that cause, which fires after its hold. The sandbox
// alert of a healthy host silences pages, which are all held longer. The last ones are for the fleet alerts.
//
// They fit rules with the names of today and of netwatchd 0.1: a rule file and an Alertmanager are upgraded apart.
func Inhibit(o Options) Inhibitions {
	var all []Inhibition
	for c := range causes.All() {
		hidden := c.About().Hides
		if len(hidden) == 0 {
			continue
		}
		words := make([]string, len(hidden))
		for i, h := range hidden {
			words[i] = h.String()
		}
		source := match("alertname", "=", verdictName)
		if !o.Verdict {
			source = match("alertname", "=~", eitherName(Name(c)))
		}
		all = append(all, Inhibition{
			Source: []string{source, match("cause", "=", c.String())},
			Target: []string{match("alertname", "!=", verdictName), match("cause", "=~", strings.Join(words, "|"))},
			Equal:  equal,
		})
	}
	all = append(all, Inhibition{
		Source: []string{match("alertname", "=~", eitherName(Name(causes.Sandbox))), match(hostLabel, "=", "")},
		Target: []string{match("severity", "=", causes.Page.String())},
		Equal:  equal,
	})
	return Inhibitions{append(all, inhibitFleet()...)}
}

func match(label, how, value string) string { return fmt.Sprintf("%s%s%q", label, how, value) }
