package strictyaml

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// Decode parses text, which must be one YAML document, passes its root to decode and returns all faults, in the order
// of the file. file is only shown in the faults.
func Decode(file string, text []byte, decode func(root *Node)) []Fault {
	if line, message := notText(text); message != "" {
		return []Fault{{File: file, Line: line, Message: message}}
	}
	root, fault := parse(text)
	if fault != nil {
		fault.File = file
		return []Fault{*fault}
	}
	doc := &document{file: file}
	decode(&Node{doc: doc, key: "the file", line: root.Line, yaml: root})
	if doc.visits > visitLimit { // decode stopped early: its faults are incomplete, and too many to show
		message := fmt.Sprintf("anchors expand to more than %d values: write the values out", visitLimit)
		return []Fault{{File: file, Message: message}}
	}
	slices.SortFunc(doc.faults, func(a, b Fault) int {
		return cmp.Or(a.Line-b.Line, strings.Compare(a.Path, b.Path), strings.Compare(a.Message, b.Message))
	})
	return doc.faults
}

// notText returns why b is not UTF-8 text, and on which line; empty if it is.
func notText(b []byte) (line int, message string) {
	if before, _, ok := bytes.Cut(b, []byte{0}); ok {
		return 1 + bytes.Count(before, []byte("\n")), "is not text (it contains a zero byte): save it as UTF-8"
	}
	for line, text := range slices.Collect(bytes.Lines(b)) {
		if !utf8.Valid(text) {
			return line + 1, "is not valid UTF-8: save the file as UTF-8"
		}
	}
	return 0, ""
}

const empty = "is empty: remove it to use the defaults, or start from config.example.yaml"

// parse returns the root of the one YAML document in text.
func parse(text []byte) (*yaml.Node, *Fault) {
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	var first, second yaml.Node
	if err := decoder.Decode(&first); errors.Is(err, io.EOF) {
		return nil, &Fault{Message: empty}
	} else if err != nil {
		return nil, syntax(text, err)
	}
	if err := decoder.Decode(&second); err == nil {
		return nil, &Fault{Line: second.Line, Message: "a second YAML document starts here: keep one, remove the --- line"}
	} else if !errors.Is(err, io.EOF) {
		return nil, syntax(text, err)
	}
	root := first.Content[0]
	if root.Kind == yaml.ScalarNode && root.ShortTag() == "!!null" {
		return nil, &Fault{Message: empty}
	}
	if root.Kind == yaml.AliasNode {
		root = root.Alias
	}
	return root, nil
}

var yamlLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?(.*)`)

// syntax turns a parser error into a Fault. The parser has no clear message for the most common mistake, indenting
// with a tab.
func syntax(text []byte, err error) *Fault {
	number := 0
	for line := range bytes.Lines(text) {
		number++
		indent := line[:len(line)-len(bytes.TrimLeft(line, " \t"))]
		if bytes.IndexByte(indent, '\t') >= 0 && len(bytes.TrimSpace(line)) > 0 {
			return &Fault{Line: number, Message: "is indented with a tab: YAML requires spaces"}
		}
	}
	f := &Fault{Message: "is not YAML: " + Clip(err.Error()) + ": check indentation, quotes and brackets above"}
	if m := yamlLine.FindStringSubmatch(strings.ReplaceAll(err.Error(), "\n", " ")); m != nil {
		f.Line, _ = strconv.Atoi(m[1])
		f.Message = "is not YAML (" + Clip(m[2]) + "): check indentation, quotes and brackets here and above"
	}
	return f
}
