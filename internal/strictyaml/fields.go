package strictyaml

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// has reports the value of key, if it is there.
func (f Fields) Has(key string) (*Node, bool) { p, ok := f[key]; return p, ok }

// text reads key into s. check, if there is one, says what is wrong with the value. It reports whether s can be relied on.
func (f Fields) Text(key string, s *string, check func(string) error) bool {
	p, there := f[key]
	if !there {
		return true
	}
	text, ok := p.Text()
	if !ok {
		return false
	}
	if check != nil {
		if err := check(text); err != nil {
			p.Errorf("%v", err)
			return false
		}
	}
	*s = text
	return true
}

// texts reads the list at key into s, which an empty list empties.
func (f Fields) Texts(key string, s *[]string, check func(string) error) {
	p, there := f[key]
	if !there {
		return
	}
	items, ok := p.Items()
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

// duration reads key into d, which must be at least least; it reports whether d can be relied on.
func (f Fields) Duration(key string, d *time.Duration, least time.Duration) bool {
	p, there := f[key]
	if !there {
		return true
	}
	if p.node.Kind != yaml.ScalarNode || p.isNull() {
		p.Errorf("is %s: write a length of time, like 30s", describe(p.node))
		return false
	}
	unit := "s"
	if least >= Day {
		unit = "d"
	}
	read, err := parseDuration(Clip(p.node.Value))
	switch {
	case p.node.ShortTag() != "!!str": // viper would take 30 for thirty nanoseconds
		p.Errorf("%s has no unit: write %[1]s%s", Clip(p.node.Value), unit)
	case err != nil:
		p.Errorf("%v", err)
	case read < 0:
		p.Errorf("%s is negative: write a length of time, like 30s", p.node.Value)
	case read < least:
		p.Errorf("%s is too short: write at least %s", p.node.Value, FormatDuration(least))
	default:
		*d = read
		return true
	}
	return false
}

// integer reads key into n, which must be between least and most.
func (f Fields) Integer(key string, n *int, least, most int) bool {
	p, there := f[key]
	if !there {
		return true
	}
	var read int
	if p.node.Kind != yaml.ScalarNode || p.node.ShortTag() != "!!int" || p.node.Decode(&read) != nil {
		p.Errorf("is %s: write a whole number from %d to %d", describe(p.node), least, most)
		return false
	}
	if read < least || read > most {
		p.Errorf("is %d: write a whole number from %d to %d", read, least, most)
		return false
	}
	*n = read
	return true
}

func (f Fields) Boolean(key string, b *bool) {
	if p, there := f[key]; there && (p.node.Kind != yaml.ScalarNode || p.node.ShortTag() != "!!bool" || p.node.Decode(b) != nil) {
		p.Errorf("is %s: write true or false", describe(p.node))
	}
}

// Size reads key into n, a number of bytes of at least least.
func (f Fields) Size(key string, n *int64, least int64) {
	if p, ok := f.Has(key); ok && p.node.Kind == yaml.ScalarNode && p.node.ShortTag() == "!!int" {
		p.Errorf("%s has no unit: write %[1]sMiB", Clip(p.node.Value))
		return
	}
	f.Text(key, new(string), func(s string) error {
		read, err := parseSize(s)
		switch {
		case err != nil:
			return err
		case read < least:
			return fmt.Errorf("%s is too small: write at least %s", s, FormatSize(least))
		}
		*n = read
		return nil
	})
}

// Values reads the list at key into values that are more than their text.
func Values[T any](f Fields, key string, into *[]T, parse func(string) (T, error)) {
	if _, there := f[key]; !there {
		return
	}
	var values []T
	var texts []string
	f.Texts(key, &texts, func(s string) error {
		v, err := parse(s)
		if err == nil {
			values = append(values, v)
		}
		return err
	})
	*into = values
}

// clipLimit keeps a value pasted by mistake from filling the screen.
const clipLimit = 80

func Clip(s string) string {
	if len(s) <= clipLimit {
		return s
	}
	return strings.ToValidUTF8(s[:clipLimit], "") + "…"
}

func Quote(s string) string { return strconv.Quote(Clip(s)) }
