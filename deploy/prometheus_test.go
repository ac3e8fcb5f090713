package deploy

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"netwatchd/internal/config"
	"netwatchd/internal/diagnose"
	"netwatchd/internal/rules"
)

var update = flag.Bool("update", false, "write the generated files instead of comparing with them")

func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v: run go test ./deploy -update", err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s differs: run go test ./deploy -update (-want +got):\n%s", path, diff)
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

func alerts(f rules.File) []rules.Rule {
	var all []rules.Rule
	for _, g := range f.Groups {
		for _, r := range g.Rules {
			if r.Alert != "" {
				all = append(all, r)
			}
		}
	}
	return all
}

// deploy/prometheus/netwatchd.rules.yml is what `netwatchd rules` prints without a configuration, fleet.rules.yml with --fleet.
func TestRulesAreGenerated(t *testing.T) {
	for path, file := range map[string]rules.File{"netwatchd.rules.yml": shipped(), "fleet.rules.yml": fleet()} {
		var b bytes.Buffer
		if err := file.Write(&b); err != nil {
			t.Fatal(err)
		}
		golden(t, "prometheus/"+path, b.String())
	}
}

// Prometheus takes rules and configuration, and finds nothing to improve.
func TestPromtoolCheck(t *testing.T) {
	promtool := tool(t, "promtool")
	run(t, promtool, "check", "rules", "--lint=all", "--lint-fatal", "prometheus/netwatchd.rules.yml", "prometheus/fleet.rules.yml")
	run(t, promtool, "check", "config", "--lint=all", "--lint-fatal", "prometheus/prometheus.yml")
}

// Severities of the configuration split a rule; what comes of it must be as good as what is shipped.
func TestPromtoolCheckOfAConfiguration(t *testing.T) {
	promtool := tool(t, "promtool")
	c := config.Builtin()
	for i, severity := range []diagnose.Severity{diagnose.None, diagnose.Info, diagnose.Ticket, diagnose.Page} {
		s := c.Services[0]
		s.Name = fmt.Sprintf("other.%d", i)
		s.Severity = make(map[diagnose.Cause]diagnose.Severity)
		for cause := range diagnose.Causes() {
			s.Severity[cause] = severity
		}
		c.Services = append(c.Services, s)
	}
	for _, file := range []rules.File{rules.For(c, rules.Default()), rules.Fleet(c, rules.Default())} {
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

// The rules fire, keep quiet and end as their tests have it.
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

// announced is the contract with routes and people, written out so that a slip in the table shows.
var announced = []struct {
	cause    diagnose.Cause
	alert    string
	severity string
	hold     time.Duration
	more     string // labels beside the usual ones
}{
	{cause: diagnose.SelfSandboxed, alert: "NetwatchdSandboxed", severity: "info"},
	{cause: diagnose.LocalPolicy, alert: "CodexLocalPolicy", severity: "ticket", hold: time.Minute},
	{cause: diagnose.HostOffline, alert: "CodexHostOffline", severity: "ticket", hold: 5 * time.Minute},
	{cause: diagnose.Proxy, alert: "CodexProxyBroken", severity: "ticket", hold: 2 * time.Minute},
	{cause: diagnose.Resolver, alert: "CodexResolverBroken", severity: "ticket", hold: 2 * time.Minute},
	{cause: diagnose.Interception, alert: "CodexInterception", severity: "ticket", hold: 2 * time.Minute},
	{cause: diagnose.Clock, alert: "CodexClockWrong", severity: "ticket", hold: 3 * time.Minute},
	{cause: diagnose.EdgeBlocked, alert: "CodexEdgeBlocked", severity: "ticket", hold: 10 * time.Minute},
	{cause: diagnose.Upstream, alert: "CodexUpstreamOutage", severity: "page", hold: 3 * time.Minute},
	{cause: diagnose.UnexpectedAnswer, alert: "CodexUnexpectedAnswer", severity: "ticket", hold: 15 * time.Minute},
	{cause: diagnose.Stream, alert: "CodexStreamBroken", severity: "page", hold: 10 * time.Minute},
	{cause: diagnose.Account, alert: "CodexAccount", severity: "ticket", hold: 5 * time.Minute},
	{cause: diagnose.Agent, alert: "CodexAgentBroken", severity: "ticket", hold: 10 * time.Minute},
	{cause: diagnose.Sandbox, alert: "CodexSandboxNetworkBlocked", severity: "ticket", hold: 2 * time.Minute},
	{cause: diagnose.SandboxOpen, alert: "CodexSandboxNetworkOpen", severity: "ticket", more: `, category="security"`},
	{cause: diagnose.ResolverDegraded, alert: "CodexResolverDegraded", severity: "info", hold: 15 * time.Minute},
	{cause: diagnose.IPv6, alert: "CodexIPv6Broken", severity: "info", hold: 15 * time.Minute},
	{cause: diagnose.IPv4, alert: "CodexIPv4Broken", severity: "info", hold: 15 * time.Minute},
	{cause: diagnose.Degraded, alert: "CodexDegraded", severity: "info", hold: 15 * time.Minute},
	{cause: diagnose.Inconclusive, alert: "CodexInconclusive", severity: "info", hold: 15 * time.Minute},
}

// Every cause that matters to someone has its alert, of its severity.
func TestEveryCauseIsAnnounced(t *testing.T) {
	var want, got []diagnose.Cause
	for c := range diagnose.Causes() {
		if c.About().Severity != diagnose.None {
			want = append(want, c)
		}
	}
	for _, a := range announced {
		got = append(got, a.cause)
		if rules.Name(a.cause) != a.alert {
			t.Errorf("%v is announced as %q, want %q", a.cause, rules.Name(a.cause), a.alert)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("causes that concern someone (-want +tested):\n%s", diff)
	}
}

// step is how often the tests scrape and evaluate.
const step = time.Minute

// A timeline is the life of one cause in a rule test: its samples, and when its alert is expected to fire.
type timeline struct {
	cause, healthy, starting []string
	checks                   []check
}

type check struct {
	at     time.Duration
	firing bool
	why    string
}

func (l *timeline) now() time.Duration { return time.Duration(len(l.cause)) * step }

func (l *timeline) last(d time.Duration, cause, healthy, starting string) {
	for range d / step {
		l.cause, l.healthy, l.starting = append(l.cause, cause), append(l.healthy, healthy), append(l.starting, starting)
	}
}

func (l *timeline) well(d time.Duration)    { l.last(d, "0", "1", "0") }
func (l *timeline) ill(d time.Duration)     { l.last(d, "1", "0", "0") }
func (l *timeline) restart(d time.Duration) { l.last(d, "0", "0", "1") }

// silent is a scrape that fails, which Prometheus notes, and then nothing.
func (l *timeline) silent(d time.Duration) {
	l.last(step, "stale", "stale", "stale")
	l.last(d-step, "_", "_", "_")
}

// expect says whether the alert fires at the latest sample.
func (l *timeline) expect(firing bool, why string) {
	l.checks = append(l.checks, check{l.now() - step, firing, why})
}

// lifeOf leads a cause that is held for so long through all that may happen to it.
func lifeOf(hold time.Duration) *timeline {
	l := new(timeline)
	l.well(5 * time.Minute)
	l.expect(false, "all is well")
	if hold > 0 {
		l.ill(hold)
		l.expect(false, "one evaluation short of its hold")
		l.well(5 * time.Minute)
		l.expect(false, "what passes by itself is not announced")
	}
	l.ill(hold + step)
	l.expect(true, "held")
	l.ill(5 * time.Minute)
	l.expect(true, "still there")
	l.silent(2 * step)
	l.expect(true, "two failed scrapes are no recovery")
	l.ill(2 * time.Minute)
	l.expect(true, "and no news either")
	l.restart(time.Minute)
	l.expect(true, "netwatchd was restarted and has not judged yet")
	l.ill(2 * time.Minute)
	l.expect(true, "still there after the restart")
	l.well(2 * time.Minute)
	l.expect(true, "not yet taken for a recovery")
	l.well(time.Minute)
	l.expect(false, "resolved")
	l.well(5 * time.Minute)
	if hold > step {
		l.ill(hold - step)
		l.silent(20 * time.Minute)
		l.expect(false, "the host sleeps: what was not seen to last is not announced")
		l.ill(hold)
		l.expect(false, "and after the sleep the hold begins anew")
		l.restart(time.Minute)
		l.well(2 * time.Minute)
		l.expect(false, "well after the sleep")
	} else {
		l.silent(20 * time.Minute)
		l.restart(time.Minute)
		l.expect(false, "the host sleeps and wakes")
	}
	return l
}

// series writes samples the way promtool reads them, runs of the same in one word.
func series(samples []string) string {
	var words []string
	for i := 0; i < len(samples); {
		n := 1
		for i+n < len(samples) && samples[i+n] == samples[i] {
			n++
		}
		switch {
		case n == 1:
			words = append(words, samples[i])
		case samples[i] == "_":
			words = append(words, fmt.Sprintf("_x%d", n))
		default:
			words = append(words, fmt.Sprintf("%sx%d", samples[i], n-1))
		}
		i += n
	}
	return strings.Join(words, " ")
}

const subject = `job="netwatchd", instance="desk:19405", service="codex"`

// deploy/prometheus/causes_test.yml leads the alert of every cause through the same life, so bad a day that it spends the
// budget as well: objective_test.yml is about that.
func TestTheTestsOfCausesAreGenerated(t *testing.T) {
	var b strings.Builder
	b.WriteString("# Made by `go test ./deploy -update` from the table in prometheus_test.go.\n" +
		"rule_files: [netwatchd.rules.yml]\nevaluation_interval: 1m\ntests:\n")
	for _, a := range announced {
		l := lifeOf(a.hold)
		fmt.Fprintf(&b, "  - name: %s\n    interval: 1m\n    input_series:\n", a.alert)
		for _, s := range []struct {
			name, cause string
			samples     []string
		}{
			{"finding", a.cause.String(), l.cause},
			{"verdict", a.cause.String(), l.cause},
			{"verdict", diagnose.Healthy.String(), l.healthy},
			{"verdict", diagnose.Starting.String(), l.starting},
		} {
			fmt.Fprintf(&b, "      - series: 'netwatchd_%s{%s, cause=\"%s\"}'\n        values: '%s'\n", s.name, subject, s.cause, series(s.samples))
		}
		b.WriteString("    promql_expr_test:\n")
		for _, c := range l.checks {
			fmt.Fprintf(&b, "      - {eval_time: %s, expr: 'ALERTS{alertname!~\"NetwatchdVerdict|CodexErrorBudgetBurn\", alertstate=\"firing\"}', exp_samples: [", c.at)
			if c.firing {
				fmt.Fprintf(&b, "{value: 1, labels: 'ALERTS{alertname=\"%s\", alertstate=\"firing\", severity=\"%s\", cause=\"%s\", %s%s}'}",
					a.alert, a.severity, a.cause, subject, a.more)
			}
			fmt.Fprintf(&b, "]} # %s\n", c.why)
		}
	}
	golden(t, "prometheus/causes_test.yml", b.String())
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

// Every alert must be seen to fire in some test; each of those tests is also one in which the others keep quiet.
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
	for _, r := range alerts(both()) {
		if !fires[r.Alert] {
			t.Errorf("%s fires in no test", r.Alert)
		}
	}
}

// Every recording rule is asked for in some test.
func TestEveryRecordingIsTested(t *testing.T) {
	tests, err := os.ReadFile("prometheus/objective_test.yml")
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range shipped().Groups {
		for _, r := range g.Rules {
			if asked := regexp.MustCompile(`expr: '[^']*\b` + regexp.QuoteMeta(r.Record) + `\b`); r.Record != "" && !asked.Match(tests) {
				t.Errorf("%s is asked for in no test", r.Record)
			}
		}
	}
}

// The rules ask for no metric that is not documented.
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

// What silences must have spoken before what it silences.
func TestSourcesComeFirst(t *testing.T) {
	all := alerts(both())
	longest := make(map[string]rules.Duration) // by alert
	for _, r := range all {
		longest[r.Alert] = max(longest[r.Alert], r.For)
	}
	if longest["NetwatchdVerdict"] != 0 {
		t.Errorf("NetwatchdVerdict is held for %v, want not at all", longest["NetwatchdVerdict"])
	}
	for _, r := range all {
		if r.Labels["severity"] != "page" || r.Alert == "CodexFleetOutage" { // which is of no one host
			continue
		}
		if blocked := longest["CodexSandboxNetworkBlocked"]; r.For <= blocked {
			t.Errorf("%s is held for %v, CodexSandboxNetworkBlocked, which silences it, for %v", r.Alert, r.For, blocked)
		}
		i := slices.IndexFunc(all, func(r rules.Rule) bool { return r.Alert == "CodexSandboxNetworkBlocked" })
		if linger := all[i].KeepFiringFor; r.For <= linger {
			t.Errorf("%s is held for %v, CodexSandboxNetworkBlocked lingers for %v: it would silence a true page", r.Alert, r.For, linger)
		}
	}
}
