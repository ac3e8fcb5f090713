// Package arrows has no code: its tests check how the packages depend on each other.
package arrows

import (
	"bufio"
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "netwatchd/"

// layers are the packages from the top down. A package may import only packages of the layers below its own:
// docs/architecture.md has the picture.
var layers = [][]string{
	{"cmd/netwatchd", "internal/gen/cmd"},
	{"internal/demo", "internal/follow", "internal/gen"},
	{"internal/gen/dashboard", "internal/top"},
	{"internal/history", "internal/rules", "internal/screen", "internal/starter", "internal/web"},
	{"internal/doctor", "internal/exposure"},
	{"internal/plan", "internal/push", "internal/record", "internal/store"},
	{"internal/client", "internal/daemonlog", "internal/ladder", "internal/hearsay", "internal/metrics", "internal/reports", "internal/rollup",
		"internal/snapshot", "internal/statusfile"},
	{"internal/config", "internal/incident", "internal/ledger"},
	{"internal/watch"},
	{"internal/diagnose/diagnosetest", "internal/overview"},
	{"internal/diagnose"},
	{"internal/netpath", "internal/sessions", "internal/words"},
	{"internal/statusline/early"},
	{"internal/statusline"},
	{"internal/causes", "internal/host", "internal/outcome", "internal/presets", "internal/sandbox", "internal/spending", "internal/tally"},
	{"internal/agent/claude", "internal/agent/codex", "internal/agent/copilot",
		"internal/agent/gemini", "internal/agent/opencode"},
	{"internal/agent/agenttest", "internal/agent/stub/stubtest"},
	{"internal/agent/stub"},
	{"internal/agent", "internal/agent/codexdoctor", "internal/claudeconf", "internal/codexconf",
		"internal/probe/httpprobe", "internal/vendorpage"},
	{"internal/linkage", "internal/probe/connect", "internal/probe/execprobe"},
	{"internal/probe/authorities", "internal/probe/dnsprobe", "internal/probe/probetest"},
	{"internal/clientrules", "internal/netvalue", "internal/probe", "internal/probe/dnsprobe/dnswire",
		"internal/reloading", "internal/usage", "internal/webtoken"},
	{"internal/arrows", "internal/enum", "internal/hostpaths", "internal/humanize", "internal/panics", "internal/redact", "internal/resolvconf",
		"internal/demo/internet", "internal/seccomp", "internal/shortage", "internal/statusfile/content", "internal/strictyaml", "internal/terminal", "internal/udpsocket", "internal/userfile"},
}

// pure are the packages that do no I/O and so depend on nothing but the standard library and each other.
var pure = []string{"internal/causes", "internal/clientrules", "internal/diagnose", "internal/enum", "internal/humanize",
	"internal/netpath", "internal/outcome", "internal/panics", "internal/probe", "internal/redact",
	"internal/tally", "internal/words"}

// A pkg is what `go list -json` prints of a package.
type pkg struct {
	Dir, ImportPath      string
	Standard             bool
	GoFiles, TestGoFiles []string
	XTestGoFiles         []string
	Imports, Deps        []string
}

func (p pkg) name() string { return strings.TrimPrefix(p.ImportPath, module) }

func (p pkg) ofLaboratory() bool { return strings.HasPrefix(p.name(), "internal/lab") }

func list(t *testing.T, args ...string) []pkg {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"list", "-json"}, args...)...)
	cmd.Dir = "../.."
	cmd.Stderr = t.Output()
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var all []pkg
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

func layerOf(name string) int {
	return slices.IndexFunc(layers, func(layer []string) bool { return slices.Contains(layer, name) })
}

func TestImportsPointDown(t *testing.T) {
	for _, p := range list(t, "./cmd/...", "./internal/...") {
		if p.ofLaboratory() {
			continue
		}
		from := layerOf(p.name())
		if from < 0 {
			t.Errorf("%s is in no layer: add it to layers and to docs/architecture.md", p.name())
		}
		for _, imported := range p.Imports {
			name, ours := strings.CutPrefix(imported, module)
			if ours && layerOf(name) <= from {
				t.Errorf("%s imports %s, which is not below it", p.name(), name)
			}
		}
	}
}

func TestPurePackages(t *testing.T) {
	standard := make(map[string]bool)
	for _, p := range list(t, "std") {
		standard[p.ImportPath] = true
	}
	for _, name := range pure {
		for _, p := range list(t, "./"+name) {
			for _, dep := range p.Deps {
				if !standard[dep] && !strings.HasPrefix(dep, "vendor/") && !slices.Contains(pure, strings.TrimPrefix(dep, module)) {
					t.Errorf("%s depends on %s", name, dep)
				}
			}
		}
	}
}

// sizeLimit is in lines of code, without comments. A package that grows over it has more than one subject.
const sizeLimit = 2200

func TestPackagesAreSmall(t *testing.T) {
	for _, p := range list(t, "./cmd/...", "./internal/...") {
		lines := 0
		for _, file := range p.GoFiles {
			lines += linesOfCode(t, filepath.Join(p.Dir, file))
		}
		if lines > sizeLimit {
			t.Errorf("%s has %d lines of code, over %d: split it", p.name(), lines, sizeLimit)
		}
	}
}

// linesOfCode counts the lines that are neither blank nor a comment.
func linesOfCode(t *testing.T, file string) (n int) {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if line := strings.TrimSpace(lines.Text()); line != "" && !strings.HasPrefix(line, "//") {
			n++
		}
	}
	return n
}

// TestExportedNamesAreUsed looks for functions, variables and constants that no other package uses, tests included. Types are
// left out: a type is used through the fields and results that have it. So are enumerations of which one value is used.
func TestExportedNamesAreUsed(t *testing.T) {
	used := make(map[string]bool) // "import/path.Name"
	var exported [][]string       // each used if one of them is
	for _, p := range list(t, "./...") {
		for _, file := range slices.Concat(p.GoFiles, p.TestGoFiles, p.XTestGoFiles) {
			parsed, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, file), nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			noteUses(parsed, used)
			if slices.Contains(p.GoFiles, file) && strings.HasPrefix(p.name(), "internal/") && !p.ofLaboratory() {
				exported = append(exported, exportedNames(p.ImportPath, parsed)...)
			}
		}
	}
	for _, names := range exported {
		if !slices.ContainsFunc(names, func(name string) bool { return used[name] }) {
			t.Errorf("exported and not used outside the package: %s", strings.Join(names, ", "))
		}
	}
}

// noteUses adds every selector of an imported package to used.
func noteUses(file *ast.File, used map[string]bool) {
	imports := make(map[string]string) // the name in this file -> the import path
	for _, spec := range file.Imports {
		imported := strings.Trim(spec.Path.Value, `"`)
		name := path.Base(imported)
		if spec.Name != nil {
			name = spec.Name.Name
		}
		imports[name] = imported
	}
	ast.Inspect(file, func(n ast.Node) bool {
		if selector, ok := n.(*ast.SelectorExpr); ok {
			if x, ok := selector.X.(*ast.Ident); ok {
				used[imports[x.Name]+"."+selector.Sel.Name] = true
			}
		}
		return true
	})
}

// exportedNames returns the exported functions and variables of a file, each by itself, and its constants by declaration.
func exportedNames(importPath string, file *ast.File) (names [][]string) {
	add := func(ids ...*ast.Ident) {
		var exported []string
		for _, id := range ids {
			if id.IsExported() {
				exported = append(exported, importPath+"."+id.Name)
			}
		}
		if len(exported) > 0 {
			names = append(names, exported)
		}
	}
	for _, decl := range file.Decls {
		switch d := decl.(type) {
		case *ast.FuncDecl:
			if d.Recv == nil {
				add(d.Name)
			}
		case *ast.GenDecl:
			var constants []*ast.Ident
			for _, spec := range d.Specs {
				switch s, _ := spec.(*ast.ValueSpec); {
				case d.Tok == token.VAR:
					add(s.Names...)
				case d.Tok == token.CONST:
					constants = append(constants, s.Names...)
				}
			}
			add(constants...)
		}
	}
	return names
}
