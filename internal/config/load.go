package config

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// Load reads the configuration at path, puts the overrides over it and checks all of it. Without a path the overrides may
// name one; otherwise the usual places are tried, and if there is no file in any of them the configuration is the built-in
// one. Whatever is wrong is in the [*Error] it returns, all of it.
func Load(path string, overrides *Overrides) (*Config, error) {
	if path == "" {
		path = overrides.File()
	}
	return load(path, overrides, hostPlaces())
}

func load(path string, overrides *Overrides, at places) (*Config, error) {
	if path == "" {
		path = at.find()
	}
	c := builtin(at)
	c.Path = path
	var faults []Fault
	if path != "" {
		faults = read(c, path)
	}
	faults = append(faults, overrides.apply(c)...)
	if len(faults) > 0 {
		return nil, &Error{faults}
	}
	return c, nil
}

// find is the first file that is there. One that is there and cannot be read is found: passing it over would run a
// configuration nobody chose.
func (at places) find() string {
	for _, file := range at.files {
		if _, err := os.Stat(file); !errors.Is(err, fs.ErrNotExist) {
			return file
		}
	}
	return ""
}

// sizeLimit is several times what ten thousand probes with an expectation each take (3 MB). A parsed file takes up to a
// hundred times its size in memory.
const sizeLimit = 8 << 20

// read reads the file at path into c and returns what is wrong with it.
func read(c *Config, path string) []Fault {
	text, err := readBounded(path, sizeLimit)
	if err != nil {
		return []Fault{{File: path, Message: err.Error()}}
	}
	if line, message := notText(text); message != "" {
		return []Fault{{File: path, Line: line, Message: message}}
	}
	document, fault := parse(text)
	if fault != nil {
		fault.File = path
		return []Fault{*fault}
	}
	r := &reader{file: path, files: make(map[string]error)}
	r.decode(c, document)
	if r.visits > visitLimit { // what else was found is unfinished, and as large
		message := fmt.Sprintf("its anchors expand to more than %d values: write the values out", visitLimit)
		return []Fault{{File: path, Message: message}}
	}
	slices.SortFunc(r.faults, func(a, b Fault) int {
		return cmp.Or(a.Line-b.Line, strings.Compare(a.Path, b.Path), strings.Compare(a.Message, b.Message))
	})
	return r.faults
}

// readBounded reads a file of at most limit bytes.
func readBounded(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, errors.New("no such file: check the path")
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("permission denied: let user %d read it", os.Geteuid())
	case err != nil:
		return nil, fmt.Errorf("%w: check the path", errors.Unwrap(err))
	}
	defer f.Close()
	info, err := f.Stat()
	if err == nil && info.IsDir() {
		return nil, errors.New("is a directory: name a file in it")
	}
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("reading failed: %w: check the path", err)
	case int64(len(b)) > limit:
		return nil, fmt.Errorf("is larger than %d KiB: this is another file, or it must be split between hosts", limit>>10)
	}
	return b, nil
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
	f := &Fault{Message: "is not YAML: " + clip(err.Error()) + ": check indentation, quotes and brackets above"}
	if m := yamlLine.FindStringSubmatch(strings.ReplaceAll(err.Error(), "\n", " ")); m != nil {
		f.Line, _ = strconv.Atoi(m[1])
		f.Message = "is not YAML (" + clip(m[2]) + "): check indentation, quotes and brackets here and above"
	}
	return f
}
