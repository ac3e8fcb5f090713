package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
)

// An event is one line of go test -json: see go doc test2json, and go help buildjson for the build-* actions.
type event struct {
	Action     string
	Package    string
	ImportPath string
	Test       string
	Output     string
	Elapsed    float64
}

// A test is identified by package and name; the empty name is the package itself.
type test struct{ pkg, name string }

type summary struct {
	w        io.Writer
	each     bool              // print a line for each test too
	ended    map[string][]line // those lines, by running package
	output   map[test][]string // of running tests
	counts   map[string]*count // by running package
	skips    map[string][]test // by reason
	unasked  []string          // tests that need a flag, and how to run them
	args     []string          // of the go test that runs
	packages map[string]bool   // that have run
	parallel map[test]bool
	failing  []failing
	again    []string // tests that passed when run again
	passed   int
	failed   int
	skipped  int
}

type count struct{ passed, failed, skipped int }

func newSummary(w io.Writer) *summary {
	return &summary{
		w:        w,
		ended:    map[string][]line{},
		output:   map[test][]string{},
		counts:   map[string]*count{},
		skips:    map[string][]test{},
		packages: map[string]bool{},
		parallel: map[test]bool{},
	}
}

// read reads events until the end.
func (s *summary) read(events io.Reader) error {
	lines := bufio.NewReader(events)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			s.line(line)
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading the events of go test: %w", err)
		}
	}
}

// line handles one event. A line that is not an event comes from a test that writes to the real standard output; it is
// printed.
func (s *summary) line(line []byte) {
	var e event
	if err := json.Unmarshal(line, &e); err != nil {
		s.w.Write(line)
		return
	}
	at := test{e.Package, e.Test}
	switch e.Action {
	case "build-output":
		io.WriteString(s.w, e.Output)
	case "output":
		s.output[at] = append(s.output[at], e.Output)
	case "pause":
		s.parallel[at] = true
	case "pass", "fail", "skip":
		if e.Test == "" {
			s.endPackage(at, e)
		} else {
			s.endTest(at, e)
		}
		delete(s.output, at)
	}
}

// notAskedFor begins the skip reason of a test that needs a flag to run. It counts neither as skipped nor as passed.
const notAskedFor = "not asked for: "

func (s *summary) endTest(at test, e event) {
	if s.each {
		s.endLine(at, e)
	}
	c := s.count(at.pkg)
	switch e.Action {
	case "pass":
		c.passed++
	case "fail":
		c.failed++
		s.noteFailure(at)
		fmt.Fprintf(s.w, "\n%s.%s failed:\n%s", at.pkg, at.name, strings.Join(s.output[at], ""))
	case "skip":
		why := reason(s.output[at])
		if how, is := strings.CutPrefix(why, notAskedFor); is {
			s.unasked = append(s.unasked, at.pkg+"."+at.name+": "+how)
			return
		}
		c.skipped++
		s.skips[why] = append(s.skips[why], at)
	}
}

func (s *summary) endPackage(at test, e event) {
	s.packages[at.pkg] = true
	c := s.count(at.pkg)
	if e.Action == "fail" && c.failed == 0 {
		// It did not build, or ended outside of any test: a panic, a timeout, a TestMain.
		c.failed++
		s.noteFailure(test{pkg: at.pkg})
		fmt.Fprintf(s.w, "\n%s failed:\n%s%s", at.pkg, strings.Join(s.unfinished(at.pkg), ""), strings.Join(s.output[at], ""))
	}
	s.passed, s.failed, s.skipped = s.passed+c.passed, s.failed+c.failed, s.skipped+c.skipped
	delete(s.counts, at.pkg)
	if *c == (count{}) {
		return // no test files: nothing to say
	}
	fmt.Fprintf(
		s.w,
		"%-4s %-40s %4d passed %3d failed %3d skipped %8s\n",
		e.Action,
		at.pkg,
		c.passed,
		c.failed,
		c.skipped,
		e.took(),
	)
	if s.each {
		s.printLines(at.pkg)
	}
}

func (e event) took() time.Duration {
	return time.Duration(e.Elapsed * float64(time.Second)).Round(10 * time.Millisecond)
}

// unfinished is the output of the tests of pkg that never ended.
func (s *summary) unfinished(pkg string) []string {
	var lines []string
	for at, output := range s.output {
		if at.pkg == pkg && at.name != "" {
			lines = append(lines, output...)
		}
	}
	return lines
}

func (s *summary) count(pkg string) *count {
	if s.counts[pkg] == nil {
		s.counts[pkg] = &count{}
	}
	return s.counts[pkg]
}

// close prints the end: skipped tests by reason, and the counts.
func (s *summary) close(ci bool) {
	if len(s.again) > 0 {
		fmt.Fprintf(s.w, "\nFailed once, and passed when run again, alone:\n  %s\n", strings.Join(s.again, "\n  "))
	}
	if len(s.unasked) > 0 {
		fmt.Fprintf(s.w, "\nNot asked for:\n  %s\n", strings.Join(s.unasked, "\n  "))
	}
	if len(s.skips) > 0 {
		fmt.Fprintln(s.w, "\nSkipped:")
	}
	for _, why := range slices.Sorted(maps.Keys(s.skips)) {
		fmt.Fprintf(s.w, "  %s\n", why)
		for _, at := range s.skips[why] {
			fmt.Fprintf(s.w, "    %s.%s\n", at.pkg, at.name)
		}
	}
	if len(s.skips) > 0 && ci {
		fmt.Fprintln(s.w, "CI=true: what is skipped here runs nowhere, so this fails")
	}
	fmt.Fprintf(s.w, "\n%d passed, %d failed, %d skipped\n", s.passed, s.failed, s.skipped)
}

// reason is what a skipped test said last, without the frame that go test puts around it and the place it was said at.
func reason(output []string) string {
	var said string
	for _, line := range output {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "=== ") || strings.HasPrefix(line, "--- ") {
			continue
		}
		said = line
	}
	place, text, found := strings.Cut(said, ": ")
	if found && strings.Contains(place, ".go:") {
		said = text
	}
	if said == "" {
		return "no reason given"
	}
	return said
}
