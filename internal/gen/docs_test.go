package gen

import (
	"netwatchd/internal/causes"
	"netwatchd/internal/rules"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Pages that name tests name tests that exist.
func TestNamedTests(t *testing.T) {
	named := regexp.MustCompile("((?:`(?:Test|Fuzz)\\w+`(?:, )?)+) in ([\\w/]+)")
	for _, page := range []string{"threat-model.md", "reliability.md"} {
		text, err := os.ReadFile("../../docs/" + page)
		if err != nil {
			t.Fatal(err)
		}
		found := named.FindAllStringSubmatch(string(text), -1)
		if len(found) < 10 {
			t.Errorf("%s: only %d packages are named", page, len(found))
		}
		for _, m := range found {
			source := testsOf(t, m[2])
			for name := range strings.SplitSeq(m[1], ", ") {
				if name = strings.Trim(name, "`"); !strings.Contains(source, "\nfunc "+name+"(") {
					t.Errorf("%s: %s has no %s", page, m[2], name)
				}
			}
		}
	}
}

func testsOf(t *testing.T, pkg string) string {
	t.Helper()
	files, err := filepath.Glob("../../" + pkg + "/*_test.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("%s: no tests, %v", pkg, err)
	}
	var all strings.Builder
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(text)
	}
	return all.String()
}

// A person at a captive portal reads the page or the runbook, and must get one instruction: first find out who answers,
// then sign in.
func TestOneInstructionForAnInterception(t *testing.T) {
	text, err := os.ReadFile("../../docs/runbooks/" + rules.Name(causes.Interception) + ".md")
	if err != nil {
		t.Fatal(err)
	}
	_, todo, _ := strings.Cut(string(text), "\n## What to do\n")
	todo = strings.Join(strings.Fields(todo), " ")
	at := 0
	for _, sentence := range []string{
		"First find out which it is: open any http:// page in a browser and read the issuer in the evidence.",
		"f it is the network's own sign-in page, sign in there.",
	} {
		i := strings.Index(todo[at:], sentence)
		if i < 0 || !strings.Contains(causes.Interception.About().Advice, sentence) {
			t.Fatalf("%q is not at its place in the runbook, or not in the advice", sentence)
		}
		at += i
	}
	if !strings.Contains(todo, "enter no password") || !strings.Contains(causes.Interception.About().Advice, "enter no password") {
		t.Error("the runbook or the advice does not warn of passwords")
	}
}
