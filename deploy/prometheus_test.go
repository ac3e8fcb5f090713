package deploy

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"netwatchd/internal/causes"
	"netwatchd/internal/config"
	"netwatchd/internal/gen"
	"netwatchd/internal/rules"
)

// The generated files are up to date, and there are no other dashboards.
func TestGeneratedFiles(t *testing.T) {
	files, err := gen.Files("..")
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range files {
		got, err := os.ReadFile(filepath.Join("..", path))
		if err != nil {
			t.Errorf("%v: run go generate ./internal/gen", err)
			continue
		}
		if diff := cmp.Diff(want, string(got)); diff != "" {
			t.Errorf("%s differs: run go generate ./internal/gen (-generated +committed):\n%s", path, diff)
		}
	}
	dashboards, err := filepath.Glob("grafana/dashboards/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range dashboards {
		if _, generated := files[filepath.Join("deploy", file)]; !generated {
			t.Errorf("%s is not generated", file)
		}
	}
}

// tool is the path of a program that `make tools` builds.
func tool(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs("../.cache/bin/" + name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Skipf("needs %s: make tools", name)
	}
	return path
}

func run(t *testing.T, program string, args ...string) {
	t.Helper()
	if out, err := exec.Command(program, args...).CombinedOutput(); err != nil {
		t.Errorf("%s %s: %v\n%s", filepath.Base(program), strings.Join(args, " "), err, out)
	}
}

func shipped() rules.File { return rules.For(config.Builtin(), rules.Default()) }

func fleet() rules.File { return rules.Fleet(config.Builtin(), rules.Default()) }

// both are the rules of each host and those of many.
func both() rules.File { return rules.File{Groups: slices.Concat(shipped().Groups, fleet().Groups)} }

// promtool accepts rules and configuration without warnings.
func TestPromtoolCheck(t *testing.T) {
	promtool := tool(t, "promtool")
	run(t, promtool, "check", "rules", "--lint=all", "--lint-fatal", "prometheus/netwatchd.rules.yml", "prometheus/fleet.rules.yml")
	run(t, promtool, "check", "config", "--lint=all", "--lint-fatal", "prometheus/prometheus.yml")
}

// Severities in the configuration split a rule; the result must be as valid as the shipped rules.
func TestPromtoolCheckOfAConfiguration(t *testing.T) {
	promtool := tool(t, "promtool")
	c := config.Builtin()
	for i, severity := range []causes.Severity{causes.None, causes.Info, causes.Ticket, causes.Page} {
		s := c.Services[0]
		s.Name = fmt.Sprintf("other.%d", i)
		s.Severity = make(map[causes.Cause]causes.Severity)
		for cause := range causes.All() {
			s.Severity[cause] = severity
		}
		c.Services = append(c.Services, s)
	}
	older := rules.Default()
	older.CodexNames, older.Verdict = true, false
	for _, file := range []rules.File{rules.For(c, rules.Default()), rules.Fleet(c, rules.Default()), rules.For(c, older),
		rules.Fleet(c, older)} {
		var b bytes.Buffer
		if err := file.Write(&b); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), "rules.yml")
		if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		run(t, promtool, "check", "rules", "--lint=all", "--lint-fatal", path)
	}
}

// The rules fire, stay quiet and resolve as their tests expect.
func TestPromtoolRules(t *testing.T) {
	promtool := tool(t, "promtool")
	files, err := filepath.Glob("prometheus/*_test.yml")
	if err != nil || len(files) < 2 {
		t.Fatal("no rule tests", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			run(t, promtool, "test", "rules", file)
		})
	}
}

type ruleTests struct {
	Tests []struct {
		Exprs []struct {
			Samples []struct{ Labels string } `yaml:"exp_samples"`
		} `yaml:"promql_expr_test"`
		Alerts []struct {
			Name     string `yaml:"alertname"`
			Expected []any  `yaml:"exp_alerts"`
		} `yaml:"alert_rule_test"`
	}
}

var alertLabel = regexp.MustCompile(`alertname="(\w+)"`)

// Every alert fires in some test, and in each such test the other alerts do not.
func TestEveryAlertIsTested(t *testing.T) {
	files, err := filepath.Glob("prometheus/*_test.yml")
	if err != nil {
		t.Fatal(err)
	}
	fires := make(map[string]bool)
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var tests ruleTests
		if err := yaml.Unmarshal(text, &tests); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		for _, test := range tests.Tests {
			for _, e := range test.Exprs {
				for _, s := range e.Samples {
					if m := alertLabel.FindStringSubmatch(s.Labels); m != nil {
						fires[m[1]] = true
					}
				}
			}
			for _, a := range test.Alerts {
				fires[a.Name] = fires[a.Name] || len(a.Expected) > 0
			}
		}
	}
	for _, r := range both().Alerts() {
		if !fires[r.Alert] {
			t.Errorf("%s fires in no test", r.Alert)
		}
	}
}

// Every recording rule is queried in some test.
func TestEveryRecordingIsTested(t *testing.T) {
	tests, err := os.ReadFile("prometheus/objective_test.yml")
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range shipped().Groups {
		for _, r := range g.Rules {
			if queried := regexp.MustCompile(`expr: '[^']*\b` + regexp.QuoteMeta(r.Record) + `\b`); r.Record != "" && !queried.Match(tests) {
				t.Errorf("%s is queried in no test", r.Record)
			}
		}
	}
}

// The rules use only documented metrics.
func TestRulesKnowTheirMetrics(t *testing.T) {
	documented, err := os.ReadFile("../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	suffix := regexp.MustCompile(`_bucket$`)
	for _, g := range both().Groups {
		for _, r := range g.Rules {
			for _, name := range regexp.MustCompile(`(^|[^:\w])(netwatchd_\w+)`).FindAllStringSubmatch(r.Expr, -1) {
				if metric := suffix.ReplaceAllString(name[2], ""); !bytes.Contains(documented, []byte("`"+metric+"`")) {
					t.Errorf("%s%s: %s is not in docs/metrics.md", r.Alert, r.Record, metric)
				}
			}
		}
	}
}

// The source of an inhibition must fire before its target.
func TestSourcesComeFirst(t *testing.T) {
	all := both().Alerts()
	longest := make(map[string]rules.Duration) // by alert
	for _, r := range all {
		longest[r.Alert] = max(longest[r.Alert], r.For)
	}
	if longest["NetwatchdVerdict"] != 0 {
		t.Errorf("NetwatchdVerdict is held for %v, want not at all", longest["NetwatchdVerdict"])
	}
	for _, r := range all {
		if r.Labels["severity"] != "page" || r.Alert == "NetwatchdFleetOutage" { // which has no instance
			continue
		}
		if blocked := longest["NetwatchdSandboxNetworkBlocked"]; r.For <= blocked {
			t.Errorf("%s is held for %v, NetwatchdSandboxNetworkBlocked, which silences it, for %v", r.Alert, r.For, blocked)
		}
		i := slices.IndexFunc(all, func(r rules.Rule) bool { return r.Alert == "NetwatchdSandboxNetworkBlocked" })
		if linger := all[i].KeepFiringFor; r.For <= linger {
			t.Errorf("%s is held for %v, NetwatchdSandboxNetworkBlocked keeps firing for %v: it would silence a true page", r.Alert, r.For, linger)
		}
	}
}
