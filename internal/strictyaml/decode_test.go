package strictyaml

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestDecode(t *testing.T) {
	const text = `interval: 1d12h
size: 3GiB
words: [a, b]
list:
  - {name: first, count: 3, extra: 1}
  - {name: second, count: three}
  - {name: first, on: yes}
  - {count: 30}
`
	var (
		interval time.Duration
		size     int64
		words    []string
		counts   = []int{1, 1, 1, 1}
	)
	faults := Decode("file.yaml", []byte(text), func(root *Node) {
		f := root.Object("interval", "size", "words", "list")
		f.Duration("interval", &interval, time.Second)
		f.Size("size", &size, 1)
		f.Texts("words", &words, OneOf("a", "b"))
		list, _ := f.Has("list")
		i := 0
		list.Named(func(n *Node) string {
			var name string
			var on bool
			f := n.NamedObject(&name, nil, "name", "count", "on")
			f.Integer("count", &counts[i], 1, 10)
			f.Boolean("on", &on)
			i++
			return name
		})
	})
	if interval != 36*time.Hour || size != 3<<30 || !slices.Equal(words, []string{"a", "b"}) {
		t.Errorf("got %v, %d, %v", interval, size, words)
	}
	if want := []int{3, 1, 1, 1}; !slices.Equal(counts, want) { // what is wrong leaves its destination unchanged
		t.Errorf("counts: got %v, want %v", counts, want)
	}
	want := `file.yaml:5: list[0] "first": unknown key "extra": use one of name, count, on
file.yaml:6: list[1] "second": count: is the text "three": write a whole number from 1 to 10
file.yaml:7: list[2] "first": duplicate name, first on line 5: choose another
file.yaml:7: list[2] "first": on: is the text "yes": write true or false
file.yaml:8: list[3]: has no name: add one (it becomes a metric label)
file.yaml:8: list[3].count: is 30: write a whole number from 1 to 10`
	if diff := cmp.Diff(want, (&Error{faults}).Error()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestErrorIsBounded(t *testing.T) {
	e := &Error{make([]Fault, shownFaults+5)}
	if lines := strings.Split(e.Error(), "\n"); len(lines) != shownFaults+1 || lines[shownFaults] != "and 5 more: fix these first" {
		t.Errorf("%d lines, the last %q", len(lines), lines[len(lines)-1])
	}
}

func TestSuggest(t *testing.T) {
	for word, want := range map[string]string{
		"intervall": `did you mean "interval"?`,
		"Interval":  `did you mean "interval"?`,
		"intevral":  `did you mean "interval"?`,
		"nothing":   "use one of interval, timeout",
		"in":        "use one of interval, timeout",
		"inter":     "use one of interval, timeout",
	} {
		if got := suggest(word, []string{"interval", "timeout"}); got != want {
			t.Errorf("%s: got %s, want %s", word, got, want)
		}
	}
}
