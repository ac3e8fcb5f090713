// Testsummary runs go test and says what came of it: failures in full, one line per package, then one list of what was
// skipped and why. Its last line is "N passed, N failed, N skipped".
//
//	go run ./hack/testsummary -race ./...
//
// After -- stand the arguments of one more go test, which is run when the first has ended.
//
// With -each as the first argument every package is followed by its tests, and what the comment of each says it is about.
//
// A test whose reason to be skipped begins with "not asked for: " takes a flag to be run: it is listed and does not count.
//
// It exits 1 if something failed, and, where the environment says CI=true, if something was skipped: a test that never
// runs proves nothing.
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

// run passes args to go test, what stands between two "--" to one each, and reports whether all is well.
func run(args []string, each, ci bool) (bool, error) {
	s := newSummary(os.Stdout)
	s.each = each
	failed := false
	for len(args) > 0 {
		end := slices.Index(append(args, "--"), "--")
		test := exec.Command("go", append([]string{"test", "-json"}, args[:end]...)...)
		args = args[min(end+1, len(args)):]
		test.Stderr = os.Stderr
		events, err := test.StdoutPipe()
		if err != nil {
			return false, err
		}
		if err := test.Start(); err != nil {
			return false, fmt.Errorf("starting go test: %w", err)
		}
		if err := s.read(events); err != nil {
			return false, err
		}
		failed = test.Wait() != nil || failed
	}
	s.close(failed, ci)
	return s.failed == 0 && !failed && !(ci && len(s.skips) > 0), nil
}
