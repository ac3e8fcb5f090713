package dashboard

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"

	"netwatchd/internal/causes"
	"netwatchd/internal/diagnose"
	"netwatchd/internal/ledger"
	"netwatchd/internal/metrics"
	"netwatchd/internal/probe"
	"netwatchd/internal/watch"
)

// Durations that replace Grafana's variables, distinct from any other duration in the queries.
const (
	rateInterval = 61 * time.Second
	wholeRange   = 62 * time.Second
)

var durations = strings.NewReplacer("$__rate_interval", "61s", "$__range", "62s")

// An expression is a query anywhere in a dashboard.
type expression struct {
	where   string
	text    string
	instant bool
	counts  bool     // the query uses values, not only labels
	follows []string // variables that it must use
}

func expressions() []expression {
	var all []expression
	for _, d := range All() {
		var before []string
		for _, v := range d.Variables {
			all = append(all, expression{where: d.UID + ", variable " + v.Label, text: v.Series, follows: slices.Clone(before)})
			before = append(before, v.Label)
		}
		follows := []string{"job", "instance"}
		if d.UID == fleet().UID {
			follows = []string{"job"} // it compares the selected hosts with all
		}
		for _, a := range d.Annotations {
			all = append(all, expression{d.UID + ", annotation " + a.Name, a.Expr, false, true, follows})
		}
		for _, row := range d.Rows {
			for _, p := range row.Panels {
				for _, q := range p.Queries {
					all = append(all, expression{d.UID + ", panel " + p.Title, q.Expr, p.View.Instant(), true, follows})
				}
			}
		}
	}
	return all
}

// Every query is valid PromQL and uses metrics that the daemon exports.
func TestQueries(t *testing.T) {
	exported := exported(t)
	promql := parser.NewParser(parser.Options{})
	for _, e := range expressions() {
		expr, err := promql.ParseExpr(durations.Replace(e.text))
		if err != nil {
			t.Errorf("%s: %v: %s", e.where, err, e.text)
			continue
		}
		parser.Inspect(expr, func(node parser.Node, path []parser.Node) error {
			switch node := node.(type) {
			case *parser.VectorSelector:
				if !exported[node.Name] {
					t.Errorf("%s: the daemon exports no %s", e.where, node.Name)
				}
				e.chosen(t, node)
				if strings.HasSuffix(node.Name, "_total") && e.counts && !within(path, "rate", "increase") {
					t.Errorf("%s: %s counts since the daemon started: take its rate", e.where, node.Name)
				}
			case *parser.Call:
				e.rate(t, node, path)
			}
			return nil
		})
	}
}

func (e expression) chosen(t *testing.T, s *parser.VectorSelector) {
	t.Helper()
	for _, label := range e.follows {
		if !slices.ContainsFunc(s.LabelMatchers, func(m *labels.Matcher) bool {
			return m.Name == label && m.Type == labels.MatchRegexp && m.Value == "$"+label
		}) {
			t.Errorf(`%s: %s does not use the variable: %s=~"$%[3]s"`, e.where, s, label)
		}
	}
}

// rate checks that a rate uses Grafana's interval and is aggregated, because a single process starts again at 0 with
// each restart.
func (e expression) rate(t *testing.T, call *parser.Call, path []parser.Node) {
	t.Helper()
	if call.Func.Name != "rate" && call.Func.Name != "increase" {
		return
	}
	over := call.Args[0].(*parser.MatrixSelector).Range
	if over != rateInterval && !(e.instant && over == wholeRange) {
		t.Errorf("%s: %s has a fixed range: use $__rate_interval", e.where, call)
	}
	if !slices.ContainsFunc(path, func(node parser.Node) bool { _, is := node.(*parser.AggregateExpr); return is }) {
		t.Errorf("%s: %s is not aggregated", e.where, call)
	}
}

func within(path []parser.Node, functions ...string) bool {
	return slices.ContainsFunc(path, func(node parser.Node) bool {
		call, is := node.(*parser.Call)
		return is && slices.Contains(functions, call.Func.Name)
	})
}

// fakeSource is a watcher with one service.
type fakeSource struct{}

func (fakeSource) Status(context.Context) (*watch.Status, error) {
	budget := 24
	return &watch.Status{Services: []watch.ServiceStatus{{Verdict: diagnose.Verdict{Service: "codex"}, Budget: &budget}}}, nil
}

// exported are the metric names in a scrape after a failed and a successful attempt.
func exported(t *testing.T) map[string]bool {
	t.Helper()
	attempts := ledger.New()
	for _, class := range []probe.Class{probe.TCPRefused, probe.OK} {
		r := probe.Result{Spec: probe.Spec{Service: "codex", Name: "head"}, Start: time.Now(), Class: class}
		r.Phases[probe.Connect] = 0.1
		attempts.Add(r, time.Minute)
	}
	exporter, _ := metrics.NewExporter(&metrics.Exporter{
		Ledger: attempts, Source: fakeSource{}, Log: slog.New(slog.DiscardHandler),
		Info: func(ledger.Key) (metrics.Info, bool) { return metrics.Info{}, true },
	}, metrics.Build{}, func() []metrics.Agent { return []metrics.Agent{{Name: "codex", Version: "1"}} })
	scrape := httptest.NewRecorder()
	exporter.ServeHTTP(scrape, httptest.NewRequest("GET", "/metrics", nil))

	names := make(map[string]bool)
	for _, m := range regexp.MustCompile(`(?m)^(\w+)[ {]`).FindAllStringSubmatch(scrape.Body.String(), -1) {
		names[m[1]] = true
		names[strings.TrimSuffix(m[1], "_bucket")] = true // the name of a native histogram
	}
	if !names["netwatchd_probe_success"] {
		t.Fatalf("nothing was exported:\n%s", scrape.Body)
	}
	return names
}

// written is the part of a dashboard's JSON that the tests check.
type written struct {
	UID, Title string
	Editable   bool
	Templating struct {
		List []struct {
			Name, Type, AllValue string
			Refresh              int
			Datasource           struct{ UID string }
		}
	}
	Panels []struct {
		ID                       int
		Title, Description, Type string
		Datasource               struct{ UID string }
		GridPos                  place
		FieldConfig              struct {
			Defaults struct{ Unit string }
		}
		Targets []struct{ Datasource struct{ UID string } }
	}
}

func read(t *testing.T, d Dashboard) written {
	t.Helper()
	var text bytes.Buffer
	if err := d.Write(&text); err != nil {
		t.Fatal(err)
	}
	var w written
	if err := json.Unmarshal(text.Bytes(), &w); err != nil {
		t.Fatal(err)
	}
	return w
}

// Every panel has a unit, a description, its own place and the selected data source.
func TestPanels(t *testing.T) {
	const chosen = "${datasource}"
	for _, d := range All() {
		w := read(t, d)
		if w.UID == "" || w.Title == "" || w.Editable {
			t.Errorf("uid %q, title %q, editable %v; want both, and not editable", w.UID, w.Title, w.Editable)
		}
		ids, taken := make(map[int]bool), make(map[[2]int]string)
		for _, p := range w.Panels {
			if ids[p.ID] || p.Title == "" {
				t.Errorf("%s: panel %d %q: want a unique id and a title", d.UID, p.ID, p.Title)
			}
			ids[p.ID] = true
			for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
				for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
					if other := taken[[2]int{x, y}]; other != "" || x >= 24 {
						t.Fatalf("%s: panel %q overlaps %q at %d, %d, or beyond the edge", d.UID, p.Title, other, x, y)
					}
					taken[[2]int{x, y}] = p.Title
				}
			}
			if p.Type == "row" {
				continue
			}
			if p.Description == "" || p.FieldConfig.Defaults.Unit == "" || p.Datasource.UID != chosen || len(p.Targets) == 0 {
				t.Errorf("%s: panel %q: want a description, a unit, queries, and the selected data source", d.UID, p.Title)
			}
			for _, target := range p.Targets {
				if target.Datasource.UID != chosen {
					t.Errorf("%s: panel %q queries the data source %q", d.UID, p.Title, target.Datasource.UID)
				}
			}
		}
	}
}

// Every dashboard has the variables for its selection.
func TestVariables(t *testing.T) {
	for _, d := range All() {
		want := map[string]bool{"datasource": true, "job": true, "instance": true, "service": true}
		for _, v := range read(t, d).Templating.List {
			delete(want, v.Name)
			if v.Type == "query" && (v.AllValue != ".+" || v.Refresh != 2 || v.Datasource.UID != "${datasource}") {
				t.Errorf("%s: variable %s: all is %q, refresh %d, of %q", d.UID, v.Name, v.AllValue, v.Refresh, v.Datasource.UID)
			}
		}
		for name := range want {
			t.Errorf("%s: no variable %s", d.UID, name)
		}
	}
}

// No cause but healthy may be green, and only causes that page, and the open sandbox, are red.
func TestColors(t *testing.T) {
	for c := range causes.All() {
		if (color(c) == "green") != (c == causes.Healthy) {
			t.Errorf("%v is %s", c, color(c))
		}
		if red := color(c) == "red"; red != (c == causes.SandboxOpen || c.About().Severity == causes.Page) {
			t.Errorf("%v is %s", c, color(c))
		}
	}
}
