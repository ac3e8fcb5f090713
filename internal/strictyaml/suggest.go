package strictyaml

import (
	"fmt"
	"slices"
	"strings"
)

// suggest returns the known word closest to word as a question, or all known words if none is close.
func suggest(word string, known []string) string {
	if near := Nearest(word, known); near != "" {
		return fmt.Sprintf("did you mean %q?", near)
	}
	return "use one of " + strings.Join(known, ", ")
}

// Nearest returns the known word that word is probably a misspelling of, the first of several; empty if none is. At
// most a third of its letters may be wrong: beyond that, a guess misleads.
func Nearest(word string, known []string) string {
	best, nearest := "", max(1, len(word)/3)
	for _, k := range known {
		if d := distance(strings.ToLower(word), strings.ToLower(k)); d <= nearest && d < len(k) {
			best, nearest = k, d-1
		}
	}
	return best
}

// distance is the number of bytes to insert, delete, replace or swap with the next one to get from a to b (optimal
// string alignment).
func distance(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		before, last, row = last, row, before
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			row[j+1] = min(row[j]+1, last[j+1]+1, last[j]+cost)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
	}
	return row[len(b)]
}

// OneOf returns a check that accepts only the known words.
func OneOf(known ...string) func(string) error {
	return func(s string) error {
		if slices.Contains(known, s) {
			return nil
		}
		return fmt.Errorf("unknown value %s: %s", Quote(s), suggest(s, known))
	}
}
