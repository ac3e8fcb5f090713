package deploy

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"netwatchd/internal/diagnose"
	"netwatchd/internal/rules"
)

const runbooks = "../docs/runbooks/"

var (
	command  = regexp.MustCompile(`(?m)^    \S`)
	headings = []string{"## What it means", "## Confirm", "## What to do"}
)

// A runbook is written by hand, but for its last part: when the alert fires follows from the rules.
const madeFrom = "\n## When it fires\n"

func TestRunbooks(t *testing.T) {
	byName := make(map[string][]rules.Rule)
	for _, r := range alerts(both()) {
		byName[r.Alert] = append(byName[r.Alert], r)
	}
	for name, all := range byName {
		text, err := os.ReadFile(runbooks + name + ".md")
		if err != nil {
			t.Errorf("%s has no page: %v", name, err)
			continue
		}
		byHand, _, found := strings.Cut(string(text), madeFrom)
		if !found {
			t.Errorf("%s.md does not end with %q", name, strings.TrimSpace(madeFrom))
			continue
		}
		checkPage(t, name, byHand)
		golden(t, runbooks+name+".md", byHand+madeFrom+whenItFires(all))
		for _, r := range all {
			if want := rules.Default().Runbooks + "/" + name + ".md"; r.Annotations.RunbookURL != want {
				t.Errorf("%s: runbook_url %q, want %q", name, r.Annotations.RunbookURL, want)
			}
		}
	}
	checkNoOthers(t, byName)
	golden(t, runbooks+"README.md", index(t, byName))
}

func checkPage(t *testing.T, name, text string) {
	t.Helper()
	if !strings.HasPrefix(text, "# "+name+"\n\n*") {
		t.Errorf("%s.md does not begin with its name and one sentence in italics", name)
	}
	for _, h := range headings {
		if !strings.Contains(text, "\n"+h+"\n") {
			t.Errorf("%s.md lacks %q", name, h)
		}
	}
	_, confirm, _ := strings.Cut(text, "## Confirm")
	confirm, _, _ = strings.Cut(confirm, "\n## ")
	if n := len(command.FindAllString(confirm, -1)); n != 1 {
		t.Errorf("%s.md: %d commands to confirm it, want one", name, n)
	}
}

func checkNoOthers(t *testing.T, byName map[string][]rules.Rule) {
	t.Helper()
	files, err := os.ReadDir(runbooks)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		name := strings.TrimSuffix(f.Name(), ".md")
		if _, known := byName[name]; !known && name != "README" {
			t.Errorf("%s is the page of no alert", f.Name())
		}
	}
}

// whenItFires is a paragraph for each form of an alert.
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
			b.WriteString(", at once")
		}
		if r.KeepFiringFor > 0 {
			fmt.Fprintf(&b, "; resolved when it has been gone for %v", r.KeepFiringFor)
		}
		fmt.Fprintf(&b, ".\n\n    %s\n", strings.ReplaceAll(r.Expr, "\n", "\n    "))
	}
	if explained := explainedBy(forms[0].Alert); len(explained) > 0 {
		fmt.Fprintf(&b, "\nSilent while the verdict is one that explains it: %s.\n", strings.Join(explained, ", "))
	}
	return b.String()
}

// explainedBy are the causes that hide the one the alert announces.
func explainedBy(alert string) []string {
	var causes []string
	for c := range diagnose.Causes() {
		for _, hidden := range c.About().Hides {
			if rules.Name(hidden) == alert {
				causes = append(causes, "`"+c.String()+"`")
			}
		}
	}
	return causes
}

var lead = regexp.MustCompile(`(?m)^\*(.+)\*$`)

// index lists the pages, those of causes in the order of precedence.
func index(t *testing.T, byName map[string][]rules.Rule) string {
	t.Helper()
	var b strings.Builder
	b.WriteString("# Runbooks\n\nOne page per alert: what it means, how to confirm it with one command, what to do. " +
		"The rules are in\n[deploy/prometheus](../../deploy/prometheus); their order is that of the [causes](../causes.md). " +
		"The command is for the host in the\nlabel `instance`; the service is in `service`: the names of alerts say Codex whatever it is.\n\n" +
		"| alert | severity | |\n|---|---|---|\n")
	for _, r := range alerts(both()) {
		forms := byName[r.Alert]
		if forms == nil {
			continue // its other forms have been listed
		}
		delete(byName, r.Alert)
		var severities []string
		for _, form := range forms {
			severities = append(severities, form.Labels["severity"])
		}
		text, err := os.ReadFile(runbooks + r.Alert + ".md")
		if err != nil {
			continue // has been said
		}
		says := lead.FindStringSubmatch(string(text))
		if says == nil {
			t.Errorf("%s.md has no sentence in italics", r.Alert)
			continue
		}
		fmt.Fprintf(&b, "| [%[1]s](%[1]s.md) | %[2]s | %[3]s |\n", r.Alert, strings.Join(slices.Compact(severities), ", "), says[1])
	}
	return b.String()
}
