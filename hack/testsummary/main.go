// Testsummary runs go test and summarizes the results: failures in full, one line per package, then one list of what
// was skipped and why. Its last line is "N passed, N failed, N skipped".
//
//	go run ./hack/testsummary -race ./...
//
// Arguments after -- are those of another go test, which runs after the first.
//
// With -each as the first argument, every package is followed by its tests, each with the first sentence of its
// comment.
//
// A test that is skipped with a reason that begins with "not asked for: " needs a flag to run. It is listed and does
// not count.
//
// A test that fails is run once more, alone, after all others: a test of real programs may lose a race on a busy
// machine. If it passes then, it is listed as passed when run again. If more than a few fail, none is run again.
//
// It exits 1 if a test failed, and, with CI=true in the environment, if one was skipped: a test that never runs proves
// nothing.
package main

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
)

func main() {
	args, each := os.Args[1:], false
	if len(args) > 0 && args[0] == "-each" {
		args, each = args[1:], true
	}
	ok, err := run(args, each, os.Getenv("CI") == "true")
	if err != nil {
		fmt.Fprintln(os.Stderr, "testsummary:", err)
	}
	if err != nil || !ok {
		os.Exit(1)
	}
}

// run runs go test once for each group of args between "--", then the failed tests again, and reports whether all
// passed.
func run(args []string, each, ci bool) (bool, error) {
	s := newSummary(os.Stdout)
	s.each = each
	for len(args) > 0 {
		end := slices.Index(append(args, "--"), "--")
		if err := s.goTest(args[:end]); err != nil {
			return false, err
		}
		args = args[min(end+1, len(args)):]
	}
	if err := s.runAgain(); err != nil {
		return false, err
	}
	s.close(ci)
	return s.failed == 0 && !(ci && len(s.skips) > 0), nil
}

// goTest runs go test once.
func (s *summary) goTest(args []string) error {
	test := exec.Command("go", append([]string{"test", "-json"}, args...)...)
	test.Stderr = os.Stderr
	events, err := test.StdoutPipe()
	if err != nil {
		return err
	}
	if err := test.Start(); err != nil {
		return fmt.Errorf("starting go test: %w", err)
	}
	s.args = args
	failed := s.failed
	if err := s.read(events); err != nil {
		return err
	}
	if test.Wait() != nil && s.failed == failed {
		s.failed++ // the failure of go test itself is one if no other is known
		fmt.Fprintln(s.w, "go test itself failed: see above")
	}
	return nil
}
