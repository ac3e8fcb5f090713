package gen

import (
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
