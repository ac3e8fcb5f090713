package strictyaml

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// Has returns the value of key, if there is one.
func (f Fields) Has(key string) (*Node, bool) { n, ok := f[key]; return n, ok }

// Text reads key into s. check, if not nil, returns what is wrong with a value. Text reports whether s is valid.
func (f Fields) Text(key string, s *string, check func(string) error) bool {
	n, ok := f[key]
	if !ok {
		return true
	}
	text, ok := n.Text()
	if !ok {
		return false
	}
	if check != nil {
		if err := check(text); err != nil {
			n.Errorf("%v", err)
			return false
		}
	}
	*s = text
	return true
}

// Texts reads the list at key into s. An empty list makes s empty.
func (f Fields) Texts(key string, s *[]string, check func(string) error) {
	n, ok := f[key]
	if !ok {
		return
	}
	items, ok := n.Items()
	if !ok {
		return
	}
	*s = nil
	for _, item := range items {
		var text string
		Fields{key: item}.Text(key, &text, check)
		*s = append(*s, text)
	}
}

// Values reads the list at key into values, each made from its text by parse.
func Values[T any](f Fields, key string, values *[]T, parse func(string) (T, error)) {
	if _, ok := f[key]; !ok {
		return
	}
	var all []T
	f.Texts(key, new([]string), func(s string) error {
		v, err := parse(s)
		if err == nil {
			all = append(all, v)
		}
		return err
	})
	*values = all
}

// Duration reads key into d, at least atLeast. A number without a unit is a fault: most decoders take 30 for thirty
// nanoseconds. Duration reports whether d is valid.
func (f Fields) Duration(key string, d *time.Duration, atLeast time.Duration) bool {
	n, ok := f[key]
	if !ok {
		return true
	}
	if n.yaml.Kind != yaml.ScalarNode || n.isNull() {
		n.Errorf("is %s: write a duration, like 30s", describe(n.yaml))
		return false
	}
	unit := "s"
	if atLeast >= Day {
		unit = "d"
	}
	read, err := parseDuration(Clip(n.yaml.Value))
	switch {
	case n.yaml.ShortTag() != "!!str":
		n.Errorf("%s has no unit: write %[1]s%s", Clip(n.yaml.Value), unit)
	case err != nil:
		n.Errorf("%v", err)
	case read < 0:
		n.Errorf("%s is negative: write a positive duration, like 30s", n.yaml.Value)
	case read < atLeast:
		n.Errorf("%s is too short: write at least %s", n.yaml.Value, FormatDuration(atLeast))
	default:
		*d = read
		return true
	}
	return false
}

// Size reads key into size, a number of bytes, at least atLeast. It needs a unit, like a duration.
func (f Fields) Size(key string, size *int64, atLeast int64) {
	if n, ok := f[key]; ok && n.yaml.Kind == yaml.ScalarNode && n.yaml.ShortTag() == "!!int" {
		n.Errorf("%s has no unit: write %[1]sMiB", Clip(n.yaml.Value))
		return
	}
	f.Text(key, new(string), func(s string) error {
		read, err := parseSize(s)
		switch {
		case err != nil:
			return err
		case read < atLeast:
			return fmt.Errorf("%s is too small: write at least %s", s, FormatSize(atLeast))
		}
		*size = read
		return nil
	})
}

// Integer reads key into i, from lowest to highest. It reports whether i is valid.
func (f Fields) Integer(key string, i *int, lowest, highest int) bool {
	n, ok := f[key]
	if !ok {
		return true
	}
	var read int
	if n.yaml.Kind != yaml.ScalarNode || n.yaml.ShortTag() != "!!int" || n.yaml.Decode(&read) != nil {
		n.Errorf("is %s: write a whole number from %d to %d", describe(n.yaml), lowest, highest)
		return false
	}
	if read < lowest || read > highest {
		n.Errorf("is %d: write a whole number from %d to %d", read, lowest, highest)
		return false
	}
	*i = read
	return true
}

// Boolean reads key into b.
func (f Fields) Boolean(key string, b *bool) {
	n, ok := f[key]
	if ok && (n.yaml.Kind != yaml.ScalarNode || n.yaml.ShortTag() != "!!bool" || n.yaml.Decode(b) != nil) {
		n.Errorf("is %s: write true or false", describe(n.yaml))
	}
}

// clipLimit keeps a long value pasted by mistake from filling the screen.
const clipLimit = 80

// Clip shortens s for a message.
func Clip(s string) string {
	if len(s) <= clipLimit {
		return s
	}
	return strings.ToValidUTF8(s[:clipLimit], "") + "…"
}

// Quote is s clipped and in quotes, for a message.
func Quote(s string) string { return strconv.Quote(Clip(s)) }
