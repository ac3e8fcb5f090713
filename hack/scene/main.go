// Scene checks the name of a scene before `make lab` fetches and builds what a scene needs. Without a name it lists all.
//
//	go run ./hack/scene NAME
//
// It exits 1 and suggests names if no scene is called NAME.
package main

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"netwatchd/internal/lab/scenes"
	"netwatchd/internal/strictyaml"
)

func main() {
	var names []string
	for _, s := range scenes.All {
		names = append(names, s.Name)
	}
	if len(os.Args) < 2 {
		for _, name := range names {
			fmt.Println(name)
		}
		return
	}
	if !check(os.Stderr, os.Args[1], names) {
		os.Exit(1)
	}
}

// check reports whether name is one of names. If not, it writes the nearest ones.
func check(w io.Writer, name string, names []string) bool {
	if slices.Contains(names, name) {
		return true
	}
	fmt.Fprintf(w, "lab: no scene is called %q\n", name)
	near := nearest(name, names)
	if len(near) > 0 {
		fmt.Fprintln(w, "did you mean:")
		for _, n := range near {
			fmt.Fprintf(w, "  make lab SCENE='%s'\n", strings.ReplaceAll(n, "'", `'\''`))
		}
	}
	fmt.Fprintf(w, "make lab LIST=1 lists all %d scenes\n", len(names))
	return false
}

// most is how many names are suggested: more would have to be read like a list.
const most = 8

// nearest returns the name of which name is probably a misspelling, then those that have the most of its words.
func nearest(name string, names []string) (near []string) {
	if one := strictyaml.Nearest(name, names); one != "" {
		near = append(near, one)
	}
	words := strings.Fields(strings.ToLower(name))
	found := make(map[string]int)
	for _, n := range names {
		text := strings.ToLower(n)
		for _, word := range words {
			if strings.Contains(text, word) {
				found[n]++
			}
		}
	}
	best := 0
	for _, count := range found {
		best = max(best, count)
	}
	// Half of the words, or all of them: "the" alone is in most names.
	likely := slices.DeleteFunc(slices.Clone(names), func(n string) bool {
		return found[n] == 0 || found[n] < best || 2*best < len(words) || slices.Contains(near, n)
	})
	slices.SortStableFunc(likely, func(a, b string) int { return cmp.Compare(len(a), len(b)) })
	near = append(near, likely...)
	return near[:min(len(near), most)]
}
