// Testsummary runs go test and says what came of it: failures in full, one line per package, then one list of what was
// skipped and why. Its last line is "N passed, N failed, N skipped".
//
//	go run ./hack/testsummary -race ./...
//
// With -each as the first argument every package is followed by its tests, and what the comment of each says it is about.
//
// It exits 1 if something failed, and, where the environment says CI=true, if something was skipped: a test that never
// runs proves nothing.
package main

import (
	"fmt"
	"os"
	"os/exec"
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

// run passes args to go test and reports whether all is well.
func run(args []string, each, ci bool) (bool, error) {
	test := exec.Command("go", append([]string{"test", "-json"}, args...)...)
	test.Stderr = os.Stderr
	events, err := test.StdoutPipe()
	if err != nil {
		return false, err
	}
	if err := test.Start(); err != nil {
		return false, fmt.Errorf("starting go test: %w", err)
	}
	s := newSummary(os.Stdout)
	s.each = each
	if err := s.read(events); err != nil {
		return false, err
	}
	failed := test.Wait() != nil
	s.close(failed, ci)
	return s.failed == 0 && !failed && !(ci && len(s.skips) > 0), nil
}
