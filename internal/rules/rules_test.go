package rules

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"netwatchd/internal/causes"
	"netwatchd/internal/config"
	"netwatchd/internal/diagnose"
)

func named(f File, alert string) []Rule {
	var all []Rule
	for _, g := range f.Groups {
		for _, r := range g.Rules {
			if r.Alert == alert {
				all = append(all, r)
			}
		}
	}
	return all
}

func TestSeveritiesOfTheConfiguration(t *testing.T) {
	c := config.Builtin()
	for name, severity := range map[string]causes.Severity{"batch.jobs": causes.Ticket, "toy": causes.None, "same": causes.Page} {
		s := c.Services[0]
		s.Name, s.Severity = name, map[causes.Cause]causes.Severity{causes.Upstream: severity}
		c.Services = append(c.Services, s)
	}
	got := make(map[string]string)
	for _, r := range named(For(c, Default()), "NetwatchdUpstreamOutage") {
		got[r.Labels["severity"]] = r.Expr
	}
	want := map[string]string{
		"page":   `netwatchd_finding{cause="upstream",service!~"batch\\.jobs|toy"} == 1`,
		"ticket": `netwatchd_finding{cause="upstream",service=~"batch\\.jobs"} == 1`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestSandboxNeverPages(t *testing.T) {
	c := config.Builtin()
	c.Services[0].Severity = map[causes.Cause]causes.Severity{causes.Sandbox: causes.Page}
	all := named(For(c, Default()), "NetwatchdSandboxNetworkBlocked")
	if len(all) == 0 {
		t.Fatal("no alert on the sandbox")
	}
	for _, r := range all {
		if r.Labels["severity"] != "ticket" {
			t.Errorf("severity %s although only the sandbox is broken", r.Labels["severity"])
		}
	}
}

func TestHoldsFollowTheTable(t *testing.T) {
	f := For(config.Builtin(), Default())
	for c, name := range names {
		rules := named(f, name)
		if len(rules) == 0 {
			t.Errorf("no alert for %v", c)
		}
		for _, r := range rules {
			if want := Duration(c.About().Hold); r.For != want {
				t.Errorf("%s is held for %v, the table says %v", name, r.For, want)
			}
		}
	}
}

func TestQuietFollowsTheIntervals(t *testing.T) {
	for _, test := range []struct{ interval, want time.Duration }{
		{time.Second, 10 * time.Minute}, {30 * time.Second, 10 * time.Minute}, {time.Hour, 3 * time.Hour},
	} {
		c := config.Builtin()
		for i := range c.Services[0].Probes {
			c.Services[0].Probes[i].Interval = test.interval
		}
		b := &builder{services: c.Services}
		if got := time.Duration(b.quiet()); got != test.want {
			t.Errorf("with an interval of %v it is stale after %v, want %v", test.interval, got, test.want)
		}
	}
}

func TestOptions(t *testing.T) {
	var b bytes.Buffer
	o := Options{Job: "agents", Runbooks: "https://wiki.example/netwatchd", Objective: .99}
	if err := For(config.Builtin(), o).Write(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`up{job="agents"}`, "https://wiki.example/netwatchd/NetwatchdAccount.md", "objective of 99 %", "> 0.144 and"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is not in the rules", want)
		}
	}
	if strings.Contains(b.String(), `job="netwatchd"`) {
		t.Error("a rule is for another job")
	}
}

func TestDurations(t *testing.T) {
	for d, want := range map[time.Duration]string{
		30 * time.Second: "30s", 90 * time.Second: "1m30s", 10 * time.Minute: "10m", time.Hour: "1h", 90 * time.Minute: "1h30m", 24 * time.Hour: "24h",
	} {
		text, err := yaml.Marshal(Duration(d))
		if got := strings.TrimSpace(string(text)); err != nil || got != want {
			t.Errorf("%v is written %q, want %q (%v)", d, got, want, err)
		}
		var back Duration
		if err := yaml.Unmarshal(text, &back); err != nil || time.Duration(back) != d {
			t.Errorf("%q is read as %v (%v)", want, back, err)
		}
	}
}

// Inhibitions follow from the table of causes alone.
func TestInhibitionsFollowTheTable(t *testing.T) {
	all := Inhibit(Default()).Rules
	hiding := 0
	for c := range causes.All() {
		hides := c.About().Hides
		if len(hides) == 0 {
			continue
		}
		hiding++
		i := slices.IndexFunc(all, func(r Inhibition) bool { return slices.Contains(r.Source, match("cause", "=", c.String())) })
		if i < 0 {
			t.Errorf("%v hides other causes but silences none", c)
			continue
		}
		var words []string
		for _, h := range hides {
			words = append(words, h.String())
		}
		want := Inhibition{
			Source: []string{`alertname="NetwatchdVerdict"`, `cause="` + c.String() + `"`},
			Target: []string{`alertname!="NetwatchdVerdict"`, `cause=~"` + strings.Join(words, "|") + `"`},
			Equal:  []string{"job", "instance", "service"},
		}
		if diff := cmp.Diff(want, all[i]); diff != "" {
			t.Errorf("%v (-want +got):\n%s", c, diff)
		}
	}
	if got, want := len(all), hiding+1+len(inhibitFleet()); got != want {
		t.Errorf("%d inhibitions, want %d: one for each cause that explains others, the sandbox's and the fleet's", got, want)
	}
}

// What the configuration says of one service is in its alerts, and in no other's.
func TestOwnServices(t *testing.T) {
	c := config.Builtin()
	c.Services = append(c.Services,
		config.Service{Name: "billing", Owner: diagnose.Us, Runbook: "https://wiki.example/billing", StatusPage: "https://status.example"},
		config.Service{Name: "search", Advice: "Call the search team about {{ $value }}."})
	r := named(For(c, Default()), "NetwatchdUpstreamOutage")[0]
	for _, want := range []struct{ in, text string }{
		{r.Annotations.RunbookURL, `{{ if eq $labels.service "billing" }}https://wiki.example/billing{{ else }}https://`},
		{r.Annotations.StatusPage, `{{ else if eq $labels.service "billing" }}https://status.example{{ end }}`},
		{r.Annotations.Description, `{{ if eq $labels.service "billing" }}Check whether the service runs, and read its log.`},
		{r.Annotations.Description, `{{ else if eq $labels.service "search" }}{{ "Call the search team about {{ $value }}." }}{{ else }}Nothing to fix here`},
	} {
		if !strings.Contains(want.in, want.text) {
			t.Errorf("%q is not in %q", want.text, want.in)
		}
	}
	resolver := named(For(c, Default()), "NetwatchdResolverBroken")[0].Annotations
	if strings.Contains(resolver.RunbookURL+resolver.StatusPage, "billing") {
		t.Errorf("the runbook of a service is not about DNS: %+v", resolver)
	}
}
