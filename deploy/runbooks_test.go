package deploy

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"netwatchd/internal/rules"
)

const runbooks = "../docs/runbooks/"

var (
	command  = regexp.MustCompile(`(?m)^    \S`)
	headings = []string{"## What it means", "## What to check", "## What to do"}
)

func TestRunbooks(t *testing.T) {
	byName := make(map[string][]rules.Rule)
	for _, r := range both().Alerts() {
		byName[r.Alert] = append(byName[r.Alert], r)
	}
	for name, all := range byName {
		text, err := os.ReadFile(runbooks + name + ".md")
		if err != nil {
			t.Errorf("%s has no runbook: %v", name, err)
			continue
		}
		checkPage(t, name, string(text))
		for _, r := range all {
			if want := rules.Default().Runbooks + "/" + name + ".md"; r.Annotations.RunbookURL != want {
				t.Errorf("%s: runbook_url %q, want %q", name, r.Annotations.RunbookURL, want)
			}
		}
	}
	checkNoOthers(t, byName)
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
	_, check, _ := strings.Cut(text, "## What to check")
	check, _, _ = strings.Cut(check, "\n## ")
	if n := len(command.FindAllString(check, -1)); n != 1 {
		t.Errorf("%s.md: %d commands to check it, want one", name, n)
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
		_, known := byName[name]
		if today := strings.Replace(name, "Codex", "Netwatchd", 1); !known && len(byName[today]) > 0 {
			old, _ := rules.CodexName(today)
			known = old == name
		}
		if !known && name != "README" {
			t.Errorf("%s is a runbook without an alert", f.Name())
		}
	}
}
