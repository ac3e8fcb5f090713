package panels

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	apiv1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"

	"netwatchd/internal/causes"
	"netwatchd/internal/gen/dashboard"
	"netwatchd/internal/lab/parts"
	"netwatchd/internal/lab/prom"
	"netwatchd/internal/lab/scenes"
	"netwatchd/internal/lab/world"
)

func TestMain(m *testing.M) { parts.Main(m, func(string) error { return nil }) }

// The scenes that are played while Prometheus scrapes. Panels of the present are checked during the last one.
var played = []string{"503", "the resolver is stopped", "the service's port is closed"}

// Two hosts: the desktop sees the scenes and has an agent; the laptop has a proxy that is down.
const (
	desktop = "127.0.0.1:19405"
	laptop  = "127.0.0.1:19406"
)

// scrapes is the scrape interval: several scrapes for each scene.
const scrapes = 500 * time.Millisecond

// bound is how many series a panel may show for two hosts. Nobody can tell more apart.
const bound = 60

// Every panel shows data while scenes are played, and not too many series.
func TestPanels(t *testing.T) {
	w := world.New(t, "panels")
	v := watch(t, w)
	v.await(t, desktop, causes.Healthy)
	v.await(t, laptop, causes.Proxy)
	for i, name := range played {
		t.Run(name, func(t *testing.T) {
			scene := named(t, name)
			w.Lend(t)
			scene.Inject(w)
			cause := causeOf(t, scene.Cause)
			v.await(t, desktop, cause)
			v.await(t, laptop, causes.Proxy)
			v.share(t, cause)
			if i == len(played)-1 {
				for _, d := range dashboard.All() {
					t.Run(d.UID, func(t *testing.T) { v.alive(t, d) })
				}
			}
		})
	}
}

func named(t *testing.T, name string) scenes.Scene {
	t.Helper()
	i := slices.IndexFunc(scenes.All, func(s scenes.Scene) bool { return s.Name == name })
	if i < 0 {
		t.Fatalf("no scene is called %q", name)
	}
	return scenes.All[i]
}

func causeOf(t *testing.T, name string) causes.Cause {
	t.Helper()
	var c causes.Cause
	if err := c.UnmarshalText([]byte(name)); err != nil {
		t.Fatal(err)
	}
	return c
}

// A view is what a Prometheus has seen.
type view struct {
	*prom.Prometheus
	since time.Time
}

// watch starts the daemons of both hosts, and a Prometheus that scrapes them.
func watch(t *testing.T, w *world.World) *view {
	t.Helper()
	w.Begin(t, world.Config{})
	// codex refuses a home in the directory for temporary files
	storage, err := os.MkdirTemp("/var/tmp", "netwatchd-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(storage) })
	plain := w.WriteConfig()
	full := filepath.Join(w.Dir, "full.yaml")
	write(t, full, read(t, plain)+agent(t, storage))

	host := w.Netwatchd()
	host.Env = append(host.Env, "CODEX_API_KEY=sk-test")
	host.Start(t, "--config.file="+full, "--web.listen-address="+desktop, "--storage.path="+filepath.Join(storage, "desktop"))
	other := w.Netwatchd()
	other.Env = append(other.Env, "HTTPS_PROXY=http://"+world.ProxyAddress)
	other.Start(t, "--config.file="+plain, "--web.listen-address="+laptop, "--storage.path="+filepath.Join(storage, "laptop"),
		"--status.file="+filepath.Join(w.Dir, "laptop.json"))

	config := filepath.Join(w.Dir, "prometheus.yml")
	write(t, config, fmt.Sprintf("scrape_configs: [{job_name: netwatchd, scrape_interval: %v, scrape_timeout: %[1]v, static_configs: [{targets: [%q, %q]}]}]\n",
		scrapes, desktop, laptop))
	return &view{since: time.Now(), Prometheus: prom.StartPrometheus(t, w.Host, prom.Tool(t, "prometheus"), config,
		filepath.Join(w.Dir, "tsdb"), "127.0.0.1:9090")}
}

// agent is the part of a configuration that watches the real agent, its runs and its sandbox. The small internet has no
// api.openai.com, where codex would send its requests with an API key.
func agent(t *testing.T, storage string) string {
	t.Helper()
	codex := filepath.Join(prom.Root(t), ".cache/codex/0.104.0/node_modules/.bin/codex")
	if _, err := os.Stat(codex); err != nil {
		t.Skip("needs codex 0.104.0: make codex")
	}
	home := filepath.Join(storage, ".codex")
	if err := os.Mkdir(home, 0o755); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf(`      - {name: exec, kind: exec, preset: codex, interval: 10s, timeout: 9s,
         codex: {path: %q, home: %q, base_url: "https://chatgpt.com/backend-api/codex"}}
    sandbox: {interval: 4s, timeout: 3s}
`, codex, home)
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// patience only tells slow from stuck: a verdict takes an interval, a timeout and less than two seconds.
const patience = 30 * time.Second

// await waits until the Overview's verdict shows the cause on that host.
func (v *view) await(t *testing.T, host string, want causes.Cause) {
	t.Helper()
	query := v.fill(panel(t, "netwatchd-overview", "Verdict").Queries[0].Expr)
	err := parts.Eventually(patience, func() error {
		for _, s := range v.Ask(t, query) {
			if got := causes.Cause(s.Value); s.Metric["instance"] == model.LabelValue(host) && got != want {
				return fmt.Errorf("%s on %s, want %s", got, host, want)
			} else if s.Metric["instance"] == model.LabelValue(host) {
				return nil
			}
		}
		return fmt.Errorf("nothing is known of %s", host)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// share checks that the Fleet dashboard tells one host from all: one of the two reports the service as down.
func (v *view) share(t *testing.T, cause causes.Cause) {
	t.Helper()
	want := 0.0
	if cause == causes.Upstream {
		want = 0.5
	}
	got := v.Ask(t, v.fill(panel(t, "netwatchd-fleet", "One host or everyone?").Queries[0].Expr))
	if len(got) != 1 || float64(got[0].Value) != want {
		t.Errorf("while %s holds on one of two hosts, upstream holds on %v; want a share of %v", cause, got, want)
	}
}

func panel(t *testing.T, uid, title string) dashboard.Panel {
	t.Helper()
	for _, d := range dashboard.All() {
		for _, row := range d.Rows {
			for _, p := range row.Panels {
				if d.UID == uid && p.Title == title {
					return p
				}
			}
		}
	}
	t.Fatalf("%s has no panel %q", uid, title)
	return dashboard.Panel{}
}

// fill puts in what Grafana puts in for its variables when all is chosen and so much time is shown.
func (v *view) fill(query string) string {
	all := []string{
		"$__rate_interval", fmt.Sprint(4 * scrapes), // as Grafana: four scrapes
		"$__range", fmt.Sprintf("%ds", int(time.Since(v.since).Seconds())+1),
	}
	for _, name := range []string{"job", "instance", "service", "probe", "vantage"} {
		all = append(all, "$"+name, ".+")
	}
	return strings.NewReplacer(all...).Replace(query)
}

// alive wants an answer to every query of a dashboard.
func (v *view) alive(t *testing.T, d dashboard.Dashboard) {
	for _, variable := range d.Variables {
		values, _, _, err := v.LabelValues(context.Background(), variable.Label, []string{v.fill(variable.Series)}, v.since, time.Now())
		if err != nil || len(values) == 0 {
			t.Errorf("variable %s: %v %v", variable.Label, values, err)
		}
	}
	for _, a := range d.Annotations {
		v.answers(t, "annotation "+a.Name, dashboard.Query{Expr: a.Expr, Legend: a.Text}, false)
	}
	for _, row := range d.Rows {
		for _, p := range row.Panels {
			for i, q := range p.Queries {
				seen := v.answers(t, fmt.Sprintf("panel %q, query %c", p.Title, 'A'+i), q, p.View.Instant())
				if i == 0 {
					columns(t, p, seen) // the other queries of a table add values only
				}
			}
		}
	}
}

// answers asks what Grafana would ask, and wants series, not too many, each with the labels that its legend names.
func (v *view) answers(t *testing.T, where string, q dashboard.Query, instant bool) []model.Metric {
	t.Helper()
	var value model.Value
	var warnings apiv1.Warnings
	var err error
	if instant {
		value, warnings, _, err = v.Query(context.Background(), v.fill(q.Expr), time.Now())
	} else {
		shown := apiv1.Range{Start: v.since, End: time.Now(), Step: time.Second}
		value, warnings, _, err = v.QueryRange(context.Background(), v.fill(q.Expr), shown)
	}
	seen := series(value)
	switch {
	case err != nil || len(warnings) > 0:
		t.Errorf("%s: %v %v: %s", where, err, warnings, q.Expr)
	case len(seen) == 0:
		t.Errorf("%s is empty: %s", where, v.fill(q.Expr))
	case len(seen) > bound:
		t.Errorf("%s: %d series, want at most %d: %s", where, len(seen), bound, q.Expr)
	}
	t.Logf("%s: %d series", where, len(seen))
	for _, name := range regexp.MustCompile(`{{(\w+)}}`).FindAllStringSubmatch(q.Legend, -1) {
		for _, m := range seen {
			if m[model.LabelName(name[1])] == "" {
				t.Errorf("%s: the legend names %s, which %v has not", where, name[1], m)
			}
		}
	}
	return seen
}

func series(value model.Value) []model.Metric {
	var all []model.Metric
	switch value := value.(type) {
	case model.Vector:
		for _, s := range value {
			all = append(all, s.Metric)
		}
	case model.Matrix:
		for _, s := range value {
			all = append(all, s.Metric)
		}
	}
	return all
}

// columns wants every field that a table names among the labels of its first query.
func columns(t *testing.T, p dashboard.Panel, seen []model.Metric) {
	t.Helper()
	for _, c := range p.Columns {
		if strings.HasPrefix(c.Field, "Value") {
			continue
		}
		if !slices.ContainsFunc(seen, func(m model.Metric) bool { return m[model.LabelName(c.Field)] != "" }) {
			t.Errorf("panel %q: no series has the label %s of a column", p.Title, c.Field)
		}
	}
}
