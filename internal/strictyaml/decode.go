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

// Decode reads the one YAML document in text, which came from file, with decode, and returns what is wrong with it, in the
// order of the file.
func Decode(file string, text []byte, decode func(root *Node)) []Fault {
	if line, message := notText(text); message != "" {
		return []Fault{{File: file, Line: line, Message: message}}
	}
	document, fault := parse(text)
	if fault != nil {
		fault.File = file
		return []Fault{*fault}
	}
	r := &reader{file: file}
	decode(&Node{r: r, key: "the file", line: document.Line, node: document})
	if r.visits > visitLimit { // what else was found is unfinished, and as large
		message := fmt.Sprintf("its anchors expand to more than %d values: write the values out", visitLimit)
		return []Fault{{File: file, Message: message}}
	}
	slices.SortFunc(r.faults, func(a, b Fault) int {
		return cmp.Or(a.Line-b.Line, strings.Compare(a.Path, b.Path), strings.Compare(a.Message, b.Message))
	})
	return r.faults
}

// notText says what keeps b from being a text, and on which line.
func notText(b []byte) (line int, message string) {
	if before, _, ok := bytes.Cut(b, []byte{0}); ok {
		return 1 + bytes.Count(before, []byte("\n")), "is not a text (it holds a zero byte): write it in UTF-8"
	}
	for line, text := range slices.Collect(bytes.Lines(b)) {
		if !utf8.Valid(text) {
			return line + 1, "is not UTF-8: save the file in that encoding"
		}
	}
	return 0, ""
}

// parse reads the one YAML document in text.
func parse(text []byte) (*yaml.Node, *Fault) {
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	var document, second yaml.Node
	if err := decoder.Decode(&document); errors.Is(err, io.EOF) {
		return nil, &Fault{Message: "is empty: remove it to use the built-in configuration, or start from config.example.yaml"}
	} else if err != nil {
		return nil, syntax(text, err)
	}
	if err := decoder.Decode(&second); err == nil {
		return nil, &Fault{Line: second.Line, Message: "a second document starts here: keep one, without a --- between"}
	} else if !errors.Is(err, io.EOF) {
		return nil, syntax(text, err)
	}
	root := document.Content[0]
	if root.Kind == yaml.ScalarNode && root.ShortTag() == "!!null" {
		return nil, &Fault{Message: "is empty: remove it to use the built-in configuration, or start from config.example.yaml"}
	}
	if root.Kind == yaml.AliasNode {
		root = root.Alias
	}
	return root, nil
}

var yamlLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?(.*)`)

// syntax makes a fault of the parser's complaint. It has no word for what people do most: indent with a tab.
func syntax(text []byte, err error) *Fault {
	number := 0
	for line := range bytes.Lines(text) {
		number++
		if indent := line[:len(line)-len(bytes.TrimLeft(line, " \t"))]; bytes.IndexByte(indent, '\t') >= 0 && len(bytes.TrimSpace(line)) > 0 {
			return &Fault{Line: number, Message: "is indented with a tab: use spaces, as YAML demands"}
		}
	}
	f := &Fault{Message: "is not YAML: " + Clip(err.Error()) + ": check indentation, quotes and brackets above"}
	if m := yamlLine.FindStringSubmatch(strings.ReplaceAll(err.Error(), "\n", " ")); m != nil {
		f.Line, _ = strconv.Atoi(m[1])
		f.Message = "is not YAML (" + Clip(m[2]) + "): check indentation, quotes and brackets here and above"
	}
	return f
}
