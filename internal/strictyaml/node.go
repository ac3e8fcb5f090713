// Package strictyaml decodes YAML strictly: unknown keys, wrong kinds and numbers without a unit are errors with a place.
package strictyaml

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// A reader walks one file and collects what is wrong with it.
type reader struct {
	file   string
	faults []Fault
	visits int
}

// visitLimit bounds what anchors can make of a small file: ten references to ten references to … It is several times what
// ten thousand probes with every key take.
const visitLimit = 1_000_000

// A Node is a value in the file and the way that leads to it.
type Node struct {
	r      *reader
	parent *Node
	key    string // in a mapping
	index  int    // in a list, if key is empty
	name   string // what a list's element calls itself
	line   int    // of its key; an alias is where it is used
	node   *yaml.Node
}

func (p *Node) child(key string, index, line int, node *yaml.Node) *Node {
	if node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	p.r.visits++
	return &Node{r: p.r, parent: p, key: key, index: index, line: line, node: node}
}

// fault records what is wrong here; the message's second half says what to do.
func (p *Node) Errorf(format string, args ...any) { p.faultAt(p.line, format, args...) }

func (p *Node) faultAt(line int, format string, args ...any) {
	p.r.faults = append(p.r.faults, Fault{p.r.file, line, p.String(), fmt.Sprintf(format, args...)})
}

// String is the way to p: `services[0].probes[1] "head": interval`. Of several names only the innermost is shown.
func (p *Node) String() string {
	var b strings.Builder
	named := p
	for named != nil && named.name == "" {
		named = named.parent
	}
	p.write(&b, named)
	return b.String()
}

func (p *Node) write(b *strings.Builder, named *Node) {
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

// Fields are a mapping's values by key. What is missing, or of another kind, leaves what stands in the configuration.
type Fields map[string]*Node

// object reads p as a mapping that has no other keys than the known.
func (p *Node) Object(known ...string) Fields {
	f := p.Mapping(known...)
	p.RejectUnknown(f, known, func(string) string { return "" })
	return f
}

// refuse complains about the keys that are not known; special may know more about one than that.
func (p *Node) RejectUnknown(f Fields, known []string, special func(key string) string) {
	for key, at := range f {
		if slices.Contains(known, key) {
			continue
		}
		message := ""
		if special != nil {
			message = special(key)
		}
		if message == "" {
			message = fmt.Sprintf("unknown key %s: %s", Quote(key), suggest(key, known))
		}
		p.faultAt(at.line, "%s", message)
	}
}

// mapping reads p as a mapping, merge keys (<<) included.
func (p *Node) Mapping(known ...string) Fields {
	if p.isNull() && p.key != "" { // every line below it is commented out
		return nil
	}
	if p.node.Kind != yaml.MappingNode {
		p.Errorf("is %s: write a mapping of %s", describe(p.node), strings.Join(known, ", "))
		return nil
	}
	f := make(Fields, len(p.node.Content)/2)
	p.gather(f, p.node, 0)
	return f
}

// mergeDepth bounds an anchor that merges itself.
const mergeDepth = 8

// gather puts node's values into f. What a merge key brings in never replaces what is there.
func (p *Node) gather(f Fields, node *yaml.Node, depth int) {
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
			p.faultAt(key.Line, "key %s is there twice, first on line %d: keep one", Quote(text), first)
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

func (p *Node) merge(f Fields, node *yaml.Node, depth int) {
	if node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	p.r.visits++
	switch {
	case depth > mergeDepth:
		p.Errorf("merges more than %d anchors into each other: write the keys out", mergeDepth)
	case node.Kind == yaml.MappingNode:
		p.gather(f, node, depth)
	case node.Kind == yaml.SequenceNode && p.r.visits <= visitLimit:
		for _, one := range node.Content {
			p.merge(f, one, depth+1)
		}
	default:
		p.Errorf("merges %s: a merge key (<<) takes an anchor of a mapping", describe(node))
	}
}

// list reads p as a list.
func (p *Node) Items() ([]*Node, bool) {
	if p.node.Kind != yaml.SequenceNode {
		p.Errorf("is %s: write a list, in brackets or with a dash before each", describe(p.node))
		return nil, false
	}
	var items []*Node
	for i, node := range p.node.Content {
		if p.r.visits > visitLimit {
			break
		}
		items = append(items, p.child("", i, node.Line, node))
	}
	return items, true
}

// text reads p as a string.
func (p *Node) Text() (string, bool) {
	if p.node.Kind == yaml.ScalarNode && p.node.ShortTag() == "!!str" {
		return p.node.Value, true
	}
	if p.node.Kind == yaml.ScalarNode && !p.isNull() {
		p.Errorf("is %s: put it in quotes if it is meant as text", describe(p.node))
	} else {
		p.Errorf("is %s: write a text, or remove the key", describe(p.node))
	}
	return "", false
}

func (p *Node) isNull() bool { return p.node.Kind == yaml.ScalarNode && p.node.ShortTag() == "!!null" }

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
		return "the text " + Quote(node.Value)
	case "!!bool":
		return "a truth value, " + node.Value
	case "!!int", "!!float":
		return "the number " + Clip(node.Value)
	case "!!timestamp":
		return "the date " + Clip(node.Value)
	}
	return "tagged " + Quote(node.Tag)
}

// Line is where p stands in the file.
func (p *Node) Line() int { return p.line }

// IsEmptyList reports whether p is a list of nothing.
func (p *Node) IsEmptyList() bool {
	return p.node.Kind == yaml.SequenceNode && len(p.node.Content) == 0
}

// Named reads the list at p, whose elements have names of their own: unique ones.
func (p *Node) Named(read func(*Node) string) {
	items, _ := p.Items()
	first := make(map[string]int, len(items))
	for _, item := range items {
		name := read(item)
		if name == "" {
			continue
		}
		if line, twice := first[name]; twice {
			item.Errorf("has a name that is taken on line %d: give it another", line)
			continue
		}
		first[name] = item.line
	}
}

// ReadName reads an element's name, ahead of everything else: complaints about the rest are headed with it.
func (p *Node) ReadName(f Fields, check func(string) error) string {
	if _, there := f["name"]; there {
		f.Text("name", &p.name, check)
	} else if f != nil {
		p.Errorf("has no name: give it one, it becomes a label of every metric")
	}
	return p.name
}

// Len is how many elements the list or mapping p has.
func (p *Node) Len() int { return len(p.node.Content) }

// Value is a scalar as it is written; empty for a list or mapping.
func (p *Node) Value() string { return p.node.Value }
