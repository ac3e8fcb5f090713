package rules

import (
	"fmt"
	"strings"

	"netwatchd/internal/diagnose"
)

// Inhibitions are the section of Alertmanager's configuration that lets one fault make one alert.
type Inhibitions struct {
	Rules []Inhibition `yaml:"inhibit_rules"`
}

// An Inhibition silences the target as long as the source fires with the same labels.
type Inhibition struct {
	Source []string `yaml:"source_matchers"`
	Target []string `yaml:"target_matchers"`
	Equal  []string `yaml:"equal"`
}

// equal keeps an inhibition to one service on one host: what one host cannot reach says nothing of another.
var equal = []string{"job", "instance", "service"}

// Inhibit returns the inhibitions: each cause silences what it hides. They stand on NetwatchdVerdict, which fires at once;
// one on the sandbox alert of a host that is fine, which is held less than every page; the last ones on the fleet's alerts.
func Inhibit() Inhibitions {
	var all []Inhibition
	for c := range diagnose.Causes() {
		hidden := c.About().Hides
		if len(hidden) == 0 {
			continue
		}
		words := make([]string, len(hidden))
		for i, h := range hidden {
			words[i] = h.String()
		}
		all = append(all, Inhibition{
			Source: []string{match("alertname", "=", verdictName), match("cause", "=", c.String())},
			Target: []string{match("alertname", "!=", verdictName), match("cause", "=~", strings.Join(words, "|"))},
			Equal:  equal,
		})
	}
	all = append(all, Inhibition{
		Source: []string{match("alertname", "=", Name(diagnose.Sandbox)), match(hostLabel, "=", "")},
		Target: []string{match("severity", "=", diagnose.Page.String())},
		Equal:  equal,
	})
	return Inhibitions{append(all, inhibitFleet()...)}
}

func match(label, how, value string) string { return fmt.Sprintf("%s%s%q", label, how, value) }
