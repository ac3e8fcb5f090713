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
	faults := fault.FindAllStringSubmatch(demo.Menu(), -1)
	if len(scenes) != len(faults) || len(faults) < 5 {
		t.Fatalf("%d scenes for the %d faults of\n%s\nmake session", len(scenes), len(faults), demo.Menu())
	}
	for i, f := range faults {
		words := strings.Join(strings.Fields(html.UnescapeString(tag.ReplaceAllString(scenes[i], " "))), " ")
		for _, want := range []string{f[1] + " " + f[2], "(" + f[3] + ")", "do:"} {
			if !strings.Contains(words, want) {
				t.Errorf("scene %d has no %q: make session", i, want)
			}
		}
		if n := strings.Count(words, "✗"); f[3] != "healthy" && n != 2 {
			t.Errorf("scene %d: %d crosses, want the headline's and one of a row: make session", i, n)
		}
	}
}

// fault is an entry of the demo's menu: its key, its title and its cause.
var fault = regexp.MustCompile(`(?m)^ *(\d)  (.+): (\w+)$`)

func TestSpans(t *testing.T) {
	const line = "  \x1b[92m✓\x1b[0m a <b> \x1b[2mfaint"
	if got, want := spans(line), `  <tspan class="g">✓</tspan> a &lt;b&gt; <tspan class="f">faint</tspan>`; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := split("start\n\x1b[1m0  fine\x1b[0m\nok\n\n1  bad\nno\n\nEach verdict"); len(got) != 2 || len(got[0]) != 2 || len(got[1]) != 2 {
		t.Errorf("scenes %q", got)
	}
}
