package strictyaml

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// A document collects the faults of one file.
type document struct {
	file   string
	faults []Fault
	visits int
}

// visitLimit bounds how far anchors can expand a small file (ten references to ten references to …). Ten thousand
// probes with every key set need a fraction of it.
const visitLimit = 1_000_000

// A Node is a value in a YAML file. It knows its line and its path, and reports faults there.
type Node struct {
	doc    *document
	parent *Node
	key    string // in a mapping
	index  int    // in a list; used if key is empty
	name   string // of a list element that has a name key
	line   int    // of the key; for an alias, the line that uses it
	yaml   *yaml.Node
}

func (n *Node) child(key string, index, line int, value *yaml.Node) *Node {
	if value.Kind == yaml.AliasNode {
		value = value.Alias
	}
	n.doc.visits++
	return &Node{doc: n.doc, parent: n, key: key, index: index, line: line, yaml: value}
}

// Errorf records a fault at n. By convention the message reads "what is wrong: what to do".
func (n *Node) Errorf(format string, args ...any) { n.errorAt(n.line, format, args...) }

func (n *Node) errorAt(line int, format string, args ...any) {
	n.doc.faults = append(n.doc.faults, Fault{n.doc.file, line, n.String(), fmt.Sprintf(format, args...)})
}

// Line is the line on which n is written or used.
func (n *Node) Line() int { return n.line }

// Len is the number of elements of a list; zero if n is no list.
func (n *Node) Len() int {
	if n.yaml.Kind != yaml.SequenceNode {
		return 0
	}
	return len(n.yaml.Content)
}

// IsEmptyList reports whether n is a list without elements.
func (n *Node) IsEmptyList() bool {
	return n.yaml.Kind == yaml.SequenceNode && len(n.yaml.Content) == 0
}

// Value is a scalar as written in the file; empty for a list or a mapping.
func (n *Node) Value() string { return n.yaml.Value }

// IsMapping reports whether n is a mapping.
func (n *Node) IsMapping() bool { return n.yaml.Kind == yaml.MappingNode }

// String is the path to n: `services[0].probes[1] "head": interval`. Only the innermost name is shown.
func (n *Node) String() string {
	var b strings.Builder
	named := n
	for named != nil && named.name == "" {
		named = named.parent
	}
	n.writePath(&b, named)
	return b.String()
}

func (n *Node) writePath(b *strings.Builder, named *Node) {
	if n.parent == nil {
		return
	}
	n.parent.writePath(b, named)
	switch {
	case n.key == "":
		b.WriteString("[" + strconv.Itoa(n.index) + "]")
	case n.parent == named:
		b.WriteString(": " + n.key)
	case n.parent.parent == nil:
		b.WriteString(n.key)
	default:
		b.WriteString("." + n.key)
	}
	if n == named {
		b.WriteString(" " + strconv.Quote(n.name))
	}
}

// Fields are the values of a mapping by key. Its methods leave their destination unchanged if the key is missing or
// its value is of the wrong kind, so that defaults can be filled in first.
type Fields map[string]*Node

// Object reads n as a mapping with no keys other than known.
func (n *Node) Object(known ...string) Fields {
	f := n.Mapping(known...)
	n.RejectUnknown(f, known, nil)
	return f
}

// NamedObject reads n as an element of a list of named mappings: its name key first, so that the faults of the other
// keys show it.
func (n *Node) NamedObject(name *string, check func(string) error, known ...string) Fields {
	f := n.Mapping(known...)
	*name = n.ReadName(f, check)
	n.RejectUnknown(f, known, nil)
	return f
}

// RejectUnknown reports the keys of f that are not in known. hint, if not nil, may return a better message for one of
// them.
func (n *Node) RejectUnknown(f Fields, known []string, hint func(key string) string) {
	for key, value := range f {
		if slices.Contains(known, key) {
			continue
		}
		message := ""
		if hint != nil {
			message = hint(key)
		}
		if message == "" {
			message = fmt.Sprintf("unknown key %s: %s", Quote(key), suggest(key, known))
		}
		n.errorAt(value.line, "%s", message)
	}
}

// Mapping reads n as a mapping, with its merge keys (<<) resolved. known is named in the message if n is something
// else.
func (n *Node) Mapping(known ...string) Fields {
	if n.isNull() && n.key != "" { // every line below the key is commented out
		return nil
	}
	if n.yaml.Kind != yaml.MappingNode {
		n.Errorf("is %s: write a mapping of %s", describe(n.yaml), strings.Join(known, ", "))
		return nil
	}
	f := make(Fields, len(n.yaml.Content)/2)
	n.flatten(f, n.yaml, 0)
	return f
}

// mergeDepth stops an anchor that merges itself.
const mergeDepth = 8

// flatten adds the values of mapping to f. Merged values never replace existing ones.
func (n *Node) flatten(f Fields, mapping *yaml.Node, depth int) {
	lines := make(map[string]int, len(mapping.Content)/2)
	var merged []*yaml.Node
	for i := 0; i+1 < len(mapping.Content) && n.doc.visits <= visitLimit; i += 2 {
		key, value := mapping.Content[i], mapping.Content[i+1]
		text := key.Value
		switch {
		case key.ShortTag() == "!!merge":
			merged = append(merged, value)
			continue
		case key.Kind != yaml.ScalarNode:
			text = describe(key)
		}
		if first, dup := lines[text]; dup {
			n.errorAt(key.Line, "duplicate key %s, first on line %d: keep one", Quote(text), first)
			continue
		}
		lines[text] = key.Line
		if _, ok := f[text]; !ok {
			f[text] = n.child(text, 0, key.Line, value)
		}
	}
	for _, m := range merged {
		n.merge(f, m, depth+1)
	}
}

func (n *Node) merge(f Fields, value *yaml.Node, depth int) {
	if value.Kind == yaml.AliasNode {
		value = value.Alias
	}
	n.doc.visits++
	switch {
	case depth > mergeDepth:
		n.Errorf("nests more than %d merge keys (<<): write the keys out", mergeDepth)
	case value.Kind == yaml.MappingNode:
		n.flatten(f, value, depth)
	case value.Kind == yaml.SequenceNode && n.doc.visits <= visitLimit:
		for _, one := range value.Content {
			n.merge(f, one, depth+1)
		}
	default:
		n.Errorf("merges %s: give the merge key (<<) the alias of a mapping", describe(value))
	}
}

// Items reads n as a list. It reports whether n is one.
func (n *Node) Items() ([]*Node, bool) {
	if n.yaml.Kind != yaml.SequenceNode {
		n.Errorf("is %s: write a list, like [a, b]", describe(n.yaml))
		return nil, false
	}
	var items []*Node
	for i, value := range n.yaml.Content {
		if n.doc.visits > visitLimit {
			break
		}
		items = append(items, n.child("", i, value.Line, value))
	}
	return items, true
}

// Named calls read for each element of the list n and reports the names it returns twice.
func (n *Node) Named(read func(*Node) string) {
	items, _ := n.Items()
	first := make(map[string]int, len(items))
	for _, item := range items {
		name := read(item)
		if name == "" {
			continue
		}
		if line, dup := first[name]; dup {
			item.Errorf("duplicate name, first on line %d: choose another", line)
			continue
		}
		first[name] = item.line
	}
}

// ReadName reads the name key in f, which must be there. The paths of later faults in n show it.
func (n *Node) ReadName(f Fields, check func(string) error) string {
	if _, ok := f["name"]; ok {
		f.Text("name", &n.name, check)
	} else if f != nil {
		n.Errorf("has no name: add one (it becomes a metric label)")
	}
	return n.name
}

// Text reads n as a string. It reports whether n is one.
func (n *Node) Text() (string, bool) {
	switch {
	case n.yaml.Kind == yaml.ScalarNode && n.yaml.ShortTag() == "!!str":
		return n.yaml.Value, true
	case n.yaml.Kind == yaml.ScalarNode && !n.isNull():
		n.Errorf("is %s: put it in quotes to make it text", describe(n.yaml))
	default:
		n.Errorf("is %s: write text, or remove the key", describe(n.yaml))
	}
	return "", false
}

func (n *Node) isNull() bool { return n.yaml.Kind == yaml.ScalarNode && n.yaml.ShortTag() == "!!null" }

func describe(node *yaml.Node) string {
	switch node.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	case yaml.ScalarNode:
	default:
		return "an alias"
	}
	switch node.ShortTag() {
	case "!!null":
		return "empty"
	case "!!str":
		return "the text " + Quote(node.Value)
	case "!!bool":
		return "the boolean " + node.Value
	case "!!int", "!!float":
		return "the number " + Clip(node.Value)
	case "!!timestamp":
		return "the date " + Clip(node.Value)
	}
	return "tagged " + Quote(node.Tag)
}
