package dashboard

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// modules are those of Grafana's SDK with the options of each panel type.
var modules = map[string]string{"stat": "stat", "state-timeline": "statetimeline", "timeseries": "timeseries", "bargauge": "bargauge", "table": "table"}

// head derives from the SDK's types what JSON may contain: no methods, enumeration values instead of names, and no
// required keys, because Grafana has a default for every key. It also asserts that the compiler rejects unknown keys
// and values.
const head = `
type Written<T> = T extends string ? (string extends T ? string : ` + "`${T}`" + `)
  : T extends number | boolean ? T extends number ? number : T
  : T extends (infer U)[] ? Written<U>[]
  : T extends object ? { [K in keyof T as K extends "_implementsDataqueryVariant" ? never : K]?: Written<T[K]> }
  : T;
// @ts-expect-error
const unknownKey: Written<stat.Options> = { colorMod: "background" };
// @ts-expect-error
const unknownValue: Written<stat.Options> = { colorMode: "backgroundd" };
`

// A script is TypeScript that compiles only if every value has its type.
type script struct {
	strings.Builder
	values int
}

func (s *script) value(t *testing.T, of string, v any) {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	s.values++
	fmt.Fprintf(s, "const value%d: Written<%s> = %s;\n", s.values, of, text)
}

func (s *script) panel(t *testing.T, p gridPanel) {
	t.Helper()
	if p.Type == "row" {
		s.value(t, "dashboard.RowPanel", p)
		return
	}
	own := modules[p.Type]
	s.value(t, own+".Options", p.Options)
	for _, target := range p.Targets {
		s.value(t, "prometheus.Dataquery", target)
	}
	if custom := p.FieldConfig.Defaults.Custom; custom != nil {
		s.value(t, own+".FieldConfig", custom)
	}
	for _, o := range p.FieldConfig.Overrides {
		for _, property := range o.Properties {
			of, key := "dashboard", property.ID
			if custom, is := strings.CutPrefix(key, "custom."); is {
				of, key = own, custom
			}
			s.value(t, of+".FieldConfig", map[string]any{key: property.Value})
		}
	}
	p.Targets, p.Options, p.FieldConfig.Defaults.Custom = nil, nil, nil // checked above; the rest is common to all panels
	s.value(t, "dashboard.Panel", p)
}

// Every key and value of the dashboards is valid for Grafana's own types.
func TestGrafanaTypes(t *testing.T) {
	types, err := filepath.Abs("../../../.cache/grafana/node_modules")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(types, ".bin/tsc")); err != nil {
		t.Skip("needs Grafana's types: make grafana")
	}
	s := new(script)
	for _, module := range []string{"dashboard", "prometheus", "stat", "statetimeline", "timeseries", "bargauge", "table"} {
		fmt.Fprintf(s, "import * as %s from %q;\n", module, "@grafana/grafana-foundation-sdk/"+module)
	}
	s.WriteString(head)
	for _, d := range All() {
		m := d.model()
		for _, p := range m.Panels {
			s.panel(t, p)
		}
		m.Panels = []gridPanel{}
		s.value(t, "dashboard.Dashboard", m)
	}

	dir := t.TempDir()
	if err := os.Symlink(types, filepath.Join(dir, "node_modules")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "dashboards.ts"), []byte(s.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	compile := exec.Command(filepath.Join(types, ".bin/tsc"), "--noEmit", "--strict", "--skipLibCheck", "--module", "nodenext",
		"--target", "es2022", "dashboards.ts")
	compile.Dir = dir
	if out, err := compile.CombinedOutput(); err != nil {
		t.Errorf("%v\n%.3000s", err, out)
	}
	t.Logf("%d values", s.values)
}
