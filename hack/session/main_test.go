package main

import (
	"html"
	"os"
	"regexp"
	"strings"
	"testing"

	"netwatchd/internal/demo"
)

var tag = regexp.MustCompile(`<[^>]*>`)

// The recorded session shows the faults that the demo injects today, in their order, each with its cause and one failed
// row per side at most.
func TestRecordedSessionIsCurrent(t *testing.T) {
	text, err := os.ReadFile("../../docs/screenshots/demo.svg")
	if err != nil {
		t.Fatal(err)
	}
	scenes := strings.Split(string(text), `<g class="scene"`)[1:]
	if len(scenes) != len(demo.Faults) {
		t.Fatalf("%d scenes for %d faults: make session", len(scenes), len(demo.Faults))
	}
	for i, f := range demo.Faults {
		words := strings.Join(strings.Fields(html.UnescapeString(tag.ReplaceAllString(scenes[i], " "))), " ")
		for _, want := range []string{f.Key + " " + f.Title, "(" + f.Cause.String() + ")", "do:"} {
			if !strings.Contains(words, want) {
				t.Errorf("scene %d has no %q: make session", i, want)
			}
		}
		if n := strings.Count(words, "✗"); f.Cause.Fault() && (n < 2 || n > 3) {
			t.Errorf("scene %d: %d crosses, want the headline's and one of a row: make session", i, n)
		}
	}
}

func TestSpans(t *testing.T) {
	const line = "  \x1b[92m✓\x1b[0m a <b> \x1b[2mfaint"
	if got, want := spans(line), `  <tspan class="g">✓</tspan> a &lt;b&gt; <tspan class="f">faint</tspan>`; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := split("start\n\x1b[1m0  fine\x1b[0m\nok\n\n1  bad\nno\n\nEach verdict"); len(got) != 2 || len(got[0]) != 2 || len(got[1]) != 2 {
		t.Errorf("scenes %q", got)
	}
}
