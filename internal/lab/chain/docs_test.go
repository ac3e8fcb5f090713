package chain

import (
	"cmp"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/model"
	"go.yaml.in/yaml/v3"

	"netwatchd/internal/config"
	"netwatchd/internal/lab/prom"
	"netwatchd/internal/rules"
)

var update = flag.Bool("update", false, "write the generated parts of docs/alerting.md")

// The end of docs/alerting.md is generated from the cases and the shipped files. The measurements after it are
// written, not compared.
const (
	shippedTimes = "## Who is notified of what\n"
	measured     = "\n## Measured\n"
)

// docs/alerting.md says for each fault who is notified and when, by the shipped rules and routes.
func TestDocs(t *testing.T) {
	path, text := read(t)
	_, generated, _ := strings.Cut(text, shippedTimes)
	generated, _, _ = strings.Cut(generated, measured)
	want := whoIsNotified(t)
	if *update {
		replace(t, path, shippedTimes, want, measured)
		return
	}
	if diff := gocmp.Diff(generated, want); diff != "" {
		t.Errorf("docs/alerting.md is out of date: run go test ./internal/lab/chain -run Docs -update (-file +generated):\n%s", diff)
	}
}

// write writes the measurements.
func (o outcomes) write(t *testing.T) {
	t.Helper()
	path, _ := read(t)
	var b strings.Builder
	fmt.Fprintf(&b, "\nEvery wait divided by %d, on a machine with other load.\n\n"+
		"| fault | receiver | fault to message | repair to message |\n|---|---|---|---|\n", *scale)
	for i, d := range HostCases {
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", d.Name(), receivers(d), seconds(o[i].notified), seconds(o[i].resolved))
	}
	replace(t, path, measured, b.String(), "")
}

func read(t *testing.T) (path, text string) {
	t.Helper()
	path = filepath.Join(prom.Root(t), "docs", "alerting.md")
	bytes, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return path, string(bytes)
}

// replace replaces the text between a heading and the next one; empty: the end of the file.
func replace(t *testing.T, path, heading, text, next string) {
	t.Helper()
	_, old := read(t)
	before, after, _ := strings.Cut(old, heading)
	_, after, found := strings.Cut(after, next)
	if next != "" && found {
		text += next + after
	}
	if err := os.WriteFile(path, []byte(before+heading+text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func receivers(d HostCase) string {
	var all []string
	for _, to := range d.Notified {
		if !slices.Contains(all, to.Receiver) {
			all = append(all, to.Receiver)
		}
	}
	return strings.Join(all, ", ")
}

// whoIsNotified is the table of the cases, with upper bounds from the shipped files.
func whoIsNotified(t *testing.T) string {
	t.Helper()
	s := shipped(t)
	var b strings.Builder
	b.WriteString("\nA fault and its end are each notified once. The times are upper bounds by the shipped files and the default\n" +
		"configuration: the probe's interval and timeout, two seconds for the verdict, a scrape, an evaluation, the hold, the\n" +
		"group's wait. Tickets are sent in working hours only.\n\n" +
		"| fault | receiver | alert | probed every | held for | notified within | resolved within |\n|---|---|---|---|---|---|---|\n")
	for _, d := range HostCases {
		for _, to := range d.Notified {
			every, timeout := s.attempt(cmp.Or(shownBy[to.Alert], "head"))
			rule, route := s.rule(to.Alert), s.route(to.Receiver)
			seen := every + timeout + 2*time.Second + s.scrape + s.evaluation
			end := model.Duration(seen + time.Duration(rule.KeepFiringFor) + route.interval).String()
			if d.NoRecovery {
				end = "hours: it is probed rarely"
			}
			fmt.Fprintf(&b, "| %s | %s | [%s](runbooks/%[3]s.md) | %v | %v | %v | %s |\n", d.Name(), to.Receiver, to.Alert,
				model.Duration(every), rule.For, model.Duration(seen+time.Duration(rule.For)+route.wait), end)
		}
	}
	return b.String()
}

// files are the durations of the shipped files.
type files struct {
	t                  *testing.T
	scrape, evaluation time.Duration
	routes             map[string]route // by receiver
}

type route struct{ wait, interval time.Duration }

func shipped(t *testing.T) *files {
	t.Helper()
	type routeFile struct {
		Receiver string
		Wait     *model.Duration `yaml:"group_wait"`
		Interval *model.Duration `yaml:"group_interval"`
		Routes   []routeFile
	}
	var am struct{ Route routeFile }
	var p struct {
		Global struct {
			Scrape     model.Duration `yaml:"scrape_interval"`
			Evaluation model.Duration `yaml:"evaluation_interval"`
		}
	}
	for name, into := range map[string]any{"alertmanager/alertmanager.yml": &am, "prometheus/prometheus.yml": &p} {
		text, err := os.ReadFile(filepath.Join(prom.Root(t), "deploy", name))
		if err != nil {
			t.Fatal(err)
		}
		if err := yaml.Unmarshal(text, into); err != nil {
			t.Fatal(err)
		}
	}
	f := &files{t, time.Duration(p.Global.Scrape), time.Duration(p.Global.Evaluation), make(map[string]route)}
	for _, r := range am.Route.Routes {
		usual := route{time.Duration(*am.Route.Wait), time.Duration(*am.Route.Interval)}
		if r.Wait != nil {
			usual.wait = time.Duration(*r.Wait)
		}
		if r.Interval != nil {
			usual.interval = time.Duration(*r.Interval)
		}
		f.routes[r.Receiver] = usual
	}
	return f
}

// shownBy is the probe that shows the alert's fault, where it is not head.
var shownBy = map[string]string{
	"NetwatchdStreamBroken": "stream", "NetwatchdAccount": "exec", "NetwatchdAgentBroken": "sandbox",
	"NetwatchdSandboxNetworkBlocked": "sandbox", "NetwatchdSandboxNetworkOpen": "sandbox",
}

// attempt is the interval and timeout of the probe of this name.
func (f *files) attempt(name string) (every, timeout time.Duration) {
	f.t.Helper()
	service := config.Builtin().Services[0]
	if name == "sandbox" {
		return service.Sandbox.Interval, service.Sandbox.Timeout
	}
	for _, p := range service.Probes {
		if p.Name == name {
			return p.Interval, p.Timeout
		}
	}
	f.t.Fatalf("there is no probe %q", name)
	return 0, 0
}

func (f *files) rule(alert string) rules.Rule {
	f.t.Helper()
	for _, g := range rules.For(config.Builtin(), rules.Default()).Groups {
		for _, r := range g.Rules {
			if r.Alert == alert {
				return r
			}
		}
	}
	f.t.Fatalf("there is no alert %q", alert)
	return rules.Rule{}
}

func (f *files) route(receiver string) route {
	f.t.Helper()
	r, known := f.routes[receiver]
	if !known {
		f.t.Fatalf("there is no route to %q", receiver)
	}
	return r
}
