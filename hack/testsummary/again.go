package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// A failing test, with its subtests, or a parallel subtest: it does not need those before it.
type failing struct {
	test
	failed int      // how many of them failed, and of the tests that it is in
	args   []string // of its go test
}

func (s *summary) noteFailure(at test) {
	inside := slices.IndexFunc(s.failing, func(f failing) bool {
		return f.pkg == at.pkg && strings.HasPrefix(f.name, at.name+"/")
	})
	if inside >= 0 { // it failed because of a subtest
		s.failing[inside].failed++
		return
	}
	if !s.parallel[at] {
		at.name, _, _ = strings.Cut(at.name, "/")
	}
	i := slices.IndexFunc(s.failing, func(f failing) bool { return f.test == at })
	if i < 0 {
		i = len(s.failing)
		s.failing = append(s.failing, failing{test: at, args: s.args})
	}
	s.failing[i].failed++
}

// againLimit is how many failing tests may be the fault of a busy machine. Of about 2,700 tests on two cores, at most
// two were so in one run.
const againLimit = 3

// runAgain runs the failed tests once more, each alone.
func (s *summary) runAgain() error {
	tests := s.failing
	if len(tests) == 0 || len(tests) > againLimit || slices.ContainsFunc(tests, func(f failing) bool { return f.name == "" }) {
		return nil
	}
	for _, f := range tests {
		fmt.Fprintf(s.w, "\nagain: %s.%s\n", f.pkg, f.name)
		again := newSummary(s.w)
		if err := again.goTest(f.alone(s.packages)); err != nil {
			return err
		}
		if again.failed == 0 && again.passed > 0 {
			s.failed -= f.failed
			s.passed += f.failed
			s.again = append(s.again, f.pkg+"."+f.name)
		}
	}
	return nil
}

// alone returns the arguments of a go test that runs this test only. The other packages are those that have run.
func (f failing) alone(packages map[string]bool) []string {
	var args []string
	for _, arg := range f.args {
		switch isPackage := strings.HasPrefix(arg, "./") || packages[arg]; {
		case !isPackage:
			args = append(args, arg)
		case !slices.Contains(args, f.pkg):
			args = append(args, f.pkg)
		}
	}
	return append(args, "-run", f.pattern())
}

func (f failing) pattern() string {
	var all []string
	for part := range strings.SplitSeq(f.name, "/") {
		all = append(all, "^"+regexp.QuoteMeta(part)+"$")
	}
	return strings.Join(all, "/")
}
