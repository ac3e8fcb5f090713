// Package enum gives the values of closed lists their names, in text and back.
package enum

import (
	"fmt"
	"slices"
	"strings"
)

// String returns the name of v, or, of a value without one, its number: "class(99)".
func String[T ~uint8](names []string, v T, kind string) string {
	if int(v) < len(names) {
		return names[v]
	}
	return fmt.Sprintf("%s(%d)", kind, v)
}

// Parse sets v to the value with that name. The error lists the names.
func Parse[T ~uint8](names []string, v *T, text []byte, kind string) error {
	i := slices.Index(names, string(text))
	if i < 0 {
		known := slices.DeleteFunc(slices.Clone(names), func(s string) bool { return s == "" })
		return fmt.Errorf("unknown %s %q: use one of %s", kind, text, strings.Join(known, ", "))
	}
	*v = T(i)
	return nil
}
