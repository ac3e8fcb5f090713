package gen

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"netwatchd/internal/causes"
	"netwatchd/internal/rules"
)

// A runbook is written by hand except for its last section, which follows from the rules.
const generatedFrom = "\n## When it fires\n"

func runbooks(root string, files map[string]string) error {
	const dir = "docs/runbooks/"
	alerts := rules.File{Groups: slices.Concat(hostRules().Groups, fleetRules().Groups)}.Alerts()
	forms, leads := make(map[string][]rules.Rule), make(map[string]string)
	for _, r := range alerts {
		forms[r.Alert] = append(forms[r.Alert], r)
	}
	var errs []error
	for name, all := range forms {
		text, err := os.ReadFile(filepath.Join(root, dir, name+".md"))
		if err != nil {
			errs = append(errs, fmt.Errorf("%s has no runbook: %w", name, err))
			continue
		}
		byHand, _, found := strings.Cut(string(text), generatedFrom)
		if !found {
			errs = append(errs, fmt.Errorf("%s.md does not end with %q", name, strings.TrimSpace(generatedFrom)))
		}
		sentence := lead.FindStringSubmatch(byHand)
		if sentence == nil {
			errs = append(errs, fmt.Errorf("%s.md has no sentence in italics", name))
			continue
		}
		leads[name] = sentence[1]
		files[dir+name+".md"] = byHand + generatedFrom + whenItFires(all)
		if old, renamed := rules.CodexName(name); renamed {
			files[dir+old+".md"] = fmt.Sprintf(renamedPage, old, name)
		}
	}
	files[dir+"README.md"] = index(alerts, forms, leads)
	return errors.Join(errs...)
}

// renamedPage is at the address that rules of netwatchd 0.1 link to.
const renamedPage = "# %s\n\nThis alert is called %[2]s now: see [its runbook](%[2]s.md).\n"

// whenItFires has a paragraph for each form of an alert.
func whenItFires(forms []rules.Rule) string {
	var b strings.Builder
	for _, r := range forms {
		fmt.Fprintf(&b, "\nSeverity `%s`", r.Labels["severity"])
		for _, name := range slices.Sorted(maps.Keys(r.Labels)) {
			if name != "severity" {
				fmt.Fprintf(&b, ", `%s=%q`", name, r.Labels[name])
			}
		}
		if r.For > 0 {
			fmt.Fprintf(&b, ", after %v", r.For)
		} else {
			b.WriteString(", immediately")
		}
		if r.KeepFiringFor > 0 {
			fmt.Fprintf(&b, "; resolves %v after the condition ends", r.KeepFiringFor)
		}
		fmt.Fprintf(&b, ".\n\n    %s\n", strings.ReplaceAll(r.Expr, "\n", "\n    "))
	}
	if names := explainedBy(forms[0].Alert); len(names) > 0 {
		fmt.Fprintf(&b, "\nSilenced while the verdict is a cause that explains it: %s.\n", strings.Join(names, ", "))
	}
	return b.String()
}

// explainedBy lists the causes that hide the alert's own.
func explainedBy(alert string) []string {
	var names []string
	for c := range causes.All() {
		for _, hidden := range c.About().Hides {
			if rules.Name(hidden) == alert {
				names = append(names, "`"+c.String()+"`")
			}
		}
	}
	return names
}

var lead = regexp.MustCompile(`(?m)^\*(.+)\*$`)

// index lists the runbooks, those of causes in order of precedence.
func index(alerts []rules.Rule, forms map[string][]rules.Rule, leads map[string]string) string {
	var b strings.Builder
	b.WriteString(
		"# Runbooks\n\nOne page for each alert: what it means, how to confirm it with one command, what to do. " +
			"The rules are in\n[deploy/prometheus](../../deploy/prometheus), in the order of the [causes](../causes.md). " +
			"Run the commands on the host in the label `instance`.\nThe label `service` names the service.\n\nIn netwatchd 0.1 most names began with Codex: those pages link to these.\n\n" +
			"| alert | severity | meaning |\n|---|---|---|\n",
	)
	listed := make(map[string]bool)
	for _, r := range alerts {
		if listed[r.Alert] {
			continue // with its other forms
		}
		listed[r.Alert] = true
		var severities []string
		for _, form := range forms[r.Alert] {
			severities = append(severities, form.Labels["severity"])
		}
		fmt.Fprintf(
			&b,
			"| [%[1]s](%[1]s.md) | %[2]s | %[3]s |\n",
			r.Alert,
			strings.Join(slices.Compact(severities), ", "),
			leads[r.Alert],
		)
	}
	return b.String()
}
