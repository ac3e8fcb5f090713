package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// A reader walks one file and collects what is wrong with it.
type reader struct {
	file   string
	faults []Fault
	visits int
	files  map[string]error // files named in the configuration, checked once however often they are named
}

// visitLimit bounds what anchors can make of a small file: ten references to ten references to … It is several times what
// ten thousand probes with every key take.
const visitLimit = 1_000_000

// A place is a value in the file and the way that leads to it.
type place struct {
	r      *reader
	parent *place
	key    string // in a mapping
	index  int    // in a list, if key is empty
	name   string // what a list's element calls itself
	line   int    // of its key; an alias is where it is used
	node   *yaml.Node
}

func (p *place) child(key string, index, line int, node *yaml.Node) *place {
	if node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	p.r.visits++
	return &place{r: p.r, parent: p, key: key, index: index, line: line, node: node}
}

// fault records what is wrong here; the message's second half says what to do.
func (p *place) fault(format string, args ...any) { p.faultAt(p.line, format, args...) }

func (p *place) faultAt(line int, format string, args ...any) {
	p.r.faults = append(p.r.faults, Fault{p.r.file, line, p.String(), fmt.Sprintf(format, args...)})
}

// String is the way to p: `services[0].probes[1] "head": interval`. Of several names only the innermost is shown.
func (p *place) String() string {
	var b strings.Builder
	named := p
	for named != nil && named.name == "" {
		named = named.parent
	}
	p.write(&b, named)
	return b.String()
}

func (p *place) write(b *strings.Builder, named *place) {
	if p.parent == nil {
		return
	}
	p.parent.write(b, named)
	switch {
	case p.key == "":
		b.WriteString("[" + strconv.Itoa(p.index) + "]")
	case p.parent == named:
		b.WriteString(": " + p.key)
	case p.parent.parent == nil:
		b.WriteString(p.key)
	default:
		b.WriteString("." + p.key)
	}
	if p == named {
		b.WriteString(" " + strconv.Quote(p.name))
	}
}

// fields are a mapping's values by key. What is missing, or of another kind, leaves what stands in the configuration.
type fields map[string]*place

// object reads p as a mapping that has no other keys than the known.
func (p *place) object(known ...string) fields {
	f := p.mapping(known...)
	p.refuse(f, known, func(string) string { return "" })
	return f
}

// refuse complains about the keys that are not known; special may know more about one than that.
func (p *place) refuse(f fields, known []string, special func(key string) string) {
	for key, at := range f {
		if slices.Contains(known, key) {
			continue
		}
		message := special(key)
		if message == "" {
			message = fmt.Sprintf("unknown key %s: %s", quote(key), didYouMean(key, known))
		}
		p.faultAt(at.line, "%s", message)
	}
}

// mapping reads p as a mapping, merge keys (<<) included.
func (p *place) mapping(known ...string) fields {
	if p.isNull() && p.key != "" { // every line below it is commented out
		return nil
	}
	if p.node.Kind != yaml.MappingNode {
		p.fault("is %s: write a mapping of %s", describe(p.node), strings.Join(known, ", "))
		return nil
	}
	f := make(fields, len(p.node.Content)/2)
	p.gather(f, p.node, 0)
	return f
}

// mergeDepth bounds an anchor that merges itself.
const mergeDepth = 8

// gather puts node's values into f. What a merge key brings in never replaces what is there.
func (p *place) gather(f fields, node *yaml.Node, depth int) {
	lines := make(map[string]int, len(node.Content)/2)
	var merged []*yaml.Node
	for i := 0; i+1 < len(node.Content) && p.r.visits <= visitLimit; i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		text := key.Value
		switch {
		case key.ShortTag() == "!!merge":
			merged = append(merged, value)
			continue
		case key.Kind != yaml.ScalarNode:
			text = describe(key)
		}
		if first, twice := lines[text]; twice {
			p.faultAt(key.Line, "key %s is there twice, first on line %d: keep one", quote(text), first)
			continue
		}
		lines[text] = key.Line
		if _, there := f[text]; !there {
			f[text] = p.child(text, 0, key.Line, value)
		}
	}
	for _, m := range merged {
		p.merge(f, m, depth+1)
	}
}

func (p *place) merge(f fields, node *yaml.Node, depth int) {
	if node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	p.r.visits++
	switch {
	case depth > mergeDepth:
		p.fault("merges more than %d anchors into each other: write the keys out", mergeDepth)
	case node.Kind == yaml.MappingNode:
		p.gather(f, node, depth)
	case node.Kind == yaml.SequenceNode && p.r.visits <= visitLimit:
		for _, one := range node.Content {
			p.merge(f, one, depth+1)
		}
	default:
		p.fault("merges %s: a merge key (<<) takes an anchor of a mapping", describe(node))
	}
}

// list reads p as a list.
func (p *place) list() ([]*place, bool) {
	if p.node.Kind != yaml.SequenceNode {
		p.fault("is %s: write a list, in brackets or with a dash before each", describe(p.node))
		return nil, false
	}
	var items []*place
	for i, node := range p.node.Content {
		if p.r.visits > visitLimit {
			break
		}
		items = append(items, p.child("", i, node.Line, node))
	}
	return items, true
}

// text reads p as a string.
func (p *place) text() (string, bool) {
	if p.node.Kind == yaml.ScalarNode && p.node.ShortTag() == "!!str" {
		return p.node.Value, true
	}
	if p.node.Kind == yaml.ScalarNode && !p.isNull() {
		p.fault("is %s: put it in quotes if it is meant as text", describe(p.node))
	} else {
		p.fault("is %s: write a text, or remove the key", describe(p.node))
	}
	return "", false
}

func (p *place) isNull() bool { return p.node.Kind == yaml.ScalarNode && p.node.ShortTag() == "!!null" }

func describe(node *yaml.Node) string {
	switch node.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	case yaml.ScalarNode:
	default:
		return "a reference"
	}
	switch node.ShortTag() {
	case "!!null":
		return "empty"
	case "!!str":
		return "the text " + quote(node.Value)
	case "!!bool":
		return "a truth value, " + node.Value
	case "!!int", "!!float":
		return "the number " + clip(node.Value)
	case "!!timestamp":
		return "the date " + clip(node.Value)
	}
	return "tagged " + quote(node.Tag)
}

// has reports the value of key, if it is there.
func (f fields) has(key string) (*place, bool) { p, ok := f[key]; return p, ok }

// text reads key into s. check, if there is one, says what is wrong with the value. It reports whether s can be relied on.
func (f fields) text(key string, s *string, check func(string) error) bool {
	p, there := f[key]
	if !there {
		return true
	}
	text, ok := p.text()
	if !ok {
		return false
	}
	if check != nil {
		if err := check(text); err != nil {
			p.fault("%v", err)
			return false
		}
	}
	*s = text
	return true
}

// texts reads the list at key into s, which an empty list empties.
func (f fields) texts(key string, s *[]string, check func(string) error) {
	p, there := f[key]
	if !there {
		return
	}
	items, ok := p.list()
	if !ok {
		return
	}
	*s = nil
	for _, item := range items {
		var text string
		fields{key: item}.text(key, &text, check)
		*s = append(*s, text)
	}
}

// duration reads key into d, which must be at least least; it reports whether d can be relied on.
func (f fields) duration(key string, d *time.Duration, least time.Duration) bool {
	p, there := f[key]
	if !there {
		return true
	}
	if p.node.Kind != yaml.ScalarNode || p.isNull() {
		p.fault("is %s: write a length of time, like 30s", describe(p.node))
		return false
	}
	unit := "s"
	if least >= day {
		unit = "d"
	}
	read, err := parseDuration(clip(p.node.Value))
	switch {
	case p.node.ShortTag() != "!!str": // viper would take 30 for thirty nanoseconds
		p.fault("%s has no unit: write %[1]s%s", clip(p.node.Value), unit)
	case err != nil:
		p.fault("%v", err)
	case read < 0:
		p.fault("%s is negative: write a length of time, like 30s", p.node.Value)
	case read < least:
		p.fault("%s is too short: write at least %s", p.node.Value, formatDuration(least))
	default:
		*d = read
		return true
	}
	return false
}

// integer reads key into n, which must be between least and most.
func (f fields) integer(key string, n *int, least, most int) bool {
	p, there := f[key]
	if !there {
		return true
	}
	var read int
	if p.node.Kind != yaml.ScalarNode || p.node.ShortTag() != "!!int" || p.node.Decode(&read) != nil {
		p.fault("is %s: write a whole number from %d to %d", describe(p.node), least, most)
		return false
	}
	if read < least || read > most {
		p.fault("is %d: write a whole number from %d to %d", read, least, most)
		return false
	}
	*n = read
	return true
}

func (f fields) boolean(key string, b *bool) {
	if p, there := f[key]; there && (p.node.Kind != yaml.ScalarNode || p.node.ShortTag() != "!!bool" || p.node.Decode(b) != nil) {
		p.fault("is %s: write true or false", describe(p.node))
	}
}

// clipLimit keeps a value pasted by mistake from filling the screen.
const clipLimit = 80

func clip(s string) string {
	if len(s) <= clipLimit {
		return s
	}
	return strings.ToValidUTF8(s[:clipLimit], "") + "…"
}

func quote(s string) string { return strconv.Quote(clip(s)) }
