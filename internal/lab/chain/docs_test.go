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

var update = flag.Bool("update", false, "write the last parts of docs/alerting.md")

// The end of docs/alerting.md is made of the desks and of what is shipped. What was measured comes after it, and is written
// but not compared.
const (
	inLife   = "## Who is told what\n"
	measured = "\n## Measured\n"
)

// docs/alerting.md says of each fault who is told when, as the shipped rules and routes have it.
func TestDocs(t *testing.T) {
	path, text := read(t)
	_, made, _ := strings.Cut(text, inLife)
	made, _, _ = strings.Cut(made, measured)
	want := whoIsTold(t)
	if *update {
		replace(t, path, inLife, want, measured)
		return
	}
	if diff := gocmp.Diff(made, want); diff != "" {
		t.Errorf("docs/alerting.md is out of date: go test ./internal/lab/chain -run Docs -update (-there +made):\n%s", diff)
	}
}

// write notes what was measured.
func (o outcomes) write(t *testing.T) {
	t.Helper()
	path, _ := read(t)
	var b strings.Builder
	fmt.Fprintf(&b, "\nWith every wait divided by %d, on a machine that did other things as well.\n\n"+
		"| at a desk | is told | from fault to message | from repair to message |\n|---|---|---|---|\n", *hurry)
	for i, d := range Desks {
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", d.Name(), receivers(d), seconds(o[i].told), seconds(o[i].resolved))
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

// replace writes what stands between a heading and the next one; empty: the end.
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

func receivers(d Desk) string {
	var all []string
	for _, to := range d.Told {
		if !slices.Contains(all, to.Receiver) {
			all = append(all, to.Receiver)
		}
	}
	return strings.Join(all, ", ")
}

// whoIsTold is the table of the desks, with the times that the shipped files lead to at the most.
func whoIsTold(t *testing.T) string {
	t.Helper()
	s := shipped(t)
	var b strings.Builder
	b.WriteString("\nBoth are told, that something begins and that it has ended, once each. The times are what the shipped files and the\n" +
		"default configuration lead to at the most: the attempt's interval and timeout, two seconds for the verdict, a scrape, an\n" +
		"evaluation, the hold, the group's wait. Tickets are told in working hours only.\n\n" +
		"| what goes wrong | is told | alert | looked at every | held for | told within | its end within |\n|---|---|---|---|---|---|---|\n")
	for _, d := range Desks {
		for _, to := range d.Told {
			every, timeout := s.attempt(cmp.Or(shownBy[to.Alert], "head"))
			rule, route := s.rule(to.Alert), s.route(to.Receiver)
			seen := every + timeout + 2*time.Second + s.scrape + s.evaluation
			end := model.Duration(seen + time.Duration(rule.KeepFiringFor) + route.interval).String()
			if d.Stays {
				end = "hours: it is not tried often"
			}
			fmt.Fprintf(&b, "| %s | %s | [%s](runbooks/%[3]s.md) | %v | %v | %v | %s |\n", d.Name(), to.Receiver, to.Alert,
				model.Duration(every), rule.For, model.Duration(seen+time.Duration(rule.For)+route.wait), end)
		}
	}
	return b.String()
}

// files are what is shipped, as far as it says how long anything takes.
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

// shownBy is the probe whose attempts show what the alert is about, where that is not head.
var shownBy = map[string]string{
	"CodexStreamBroken": "stream", "CodexAccount": "exec", "CodexAgentBroken": "sandbox",
	"CodexSandboxNetworkBlocked": "sandbox", "CodexSandboxNetworkOpen": "sandbox",
}

// attempt is how often the probe of that name is made, and how long one may take.
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
	f.t.Fatalf("no probe is called %q", name)
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
	f.t.Fatalf("no alert is called %q", alert)
	return rules.Rule{}
}

func (f *files) route(receiver string) route {
	f.t.Helper()
	r, known := f.routes[receiver]
	if !known {
		f.t.Fatalf("no route leads to %q", receiver)
	}
	return r
}
