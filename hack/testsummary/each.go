package main

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// A line is the result of one test and its subtests.
type line struct {
	name   string
	parts  int // number of subtests
	action string
	took   time.Duration
}

// endLine records the end of a test or of a subtest. Subtests end first.
func (s *summary) endLine(at test, e event) {
	name, _, inside := strings.Cut(at.name, "/")
	i := slices.IndexFunc(s.ended[at.pkg], func(l line) bool { return l.name == name })
	if i < 0 {
		i = len(s.ended[at.pkg])
		s.ended[at.pkg] = append(s.ended[at.pkg], line{name: name})
	}
	if l := &s.ended[at.pkg][i]; inside {
		l.parts++
	} else {
		l.action, l.took = e.Action, e.took()
	}
}

func (s *summary) printLines(pkg string) {
	synopsis := synopses(pkg)
	for _, l := range s.ended[pkg] {
		parts := ""
		if l.parts > 0 {
			parts = fmt.Sprint("/", l.parts)
		}
		fmt.Fprintf(s.w, "  %-4s %-38s %8s  %s\n", cmp.Or(l.action, "fail"), l.name+parts, l.took, synopsis[l.name])
	}
	delete(s.ended, pkg)
}

// synopses are the first sentences of the comments of pkg's tests, by name.
func synopses(pkg string) map[string]string {
	dir, err := exec.Command("go", "list", "-f", "{{.Dir}}", pkg).Output()
	if err != nil {
		return nil
	}
	paths, _ := filepath.Glob(filepath.Join(strings.TrimSpace(string(dir)), "*_test.go"))
	all := make(map[string]string)
	for _, path := range paths {
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments)
		if err != nil {
			continue
		}
		for _, d := range file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok {
				all[f.Name.Name] = new(doc.Package).Synopsis(f.Doc.Text())
			}
		}
	}
	return all
}
