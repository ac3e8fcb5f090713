package deploy

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"go.yaml.in/yaml/v3"

	"netwatchd/internal/causes"
	"netwatchd/internal/rules"
)

const alertmanagerFile = "alertmanager/alertmanager.yml"

// Alertmanager accepts the example.
func TestAmtoolCheck(t *testing.T) {
	run(t, tool(t, "amtool"), "check-config", alertmanagerFile)
}

// Every shipped alert goes to the receiver of its severity, whatever its other labels.
func TestRoutes(t *testing.T) {
	amtool := tool(t, "amtool")
	receivers := map[string]string{"page": "pager", "ticket": "tickets", "info": "nobody", "none": "nobody"}
	for _, r := range both().Alerts() {
		labels := []string{"alertname=" + r.Alert, "job=netwatchd", "instance=desk:19405", "service=codex"}
		for name, value := range r.Labels {
			labels = append(labels, name+"="+value)
		}
		want := receivers[r.Labels["severity"]]
		if r.Alert == "NetwatchdSandboxNetworkOpen" {
			want = "security"
		}
		if got := routed(t, amtool, labels...); got != want {
			t.Errorf("%s goes to %q, want %q", r.Alert, got, want)
		}
	}
	if got := routed(t, amtool, "alertname=SomeoneElses"); got != "tickets" {
		t.Errorf("an alert without a severity goes to %q, want tickets: it must not be lost", got)
	}
}

// The example of docs/alerting.md notifies nobody of the verdict, and pages the owner of a service.
func TestDocumentedRoutes(t *testing.T) {
	amtool := tool(t, "amtool")
	text, err := os.ReadFile("../docs/alerting.md")
	if err != nil {
		t.Fatal(err)
	}
	_, example, _ := strings.Cut(string(text), "```yaml\n")
	example, _, found := strings.Cut(example, "```")
	if !found {
		t.Fatal("docs/alerting.md has no example of routes")
	}
	path := filepath.Join(t.TempDir(), "alertmanager.yml")
	if err := os.WriteFile(path, []byte(example), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, r := range both().Alerts() {
		want := map[string]string{"page": "billing-oncall", "ticket": "team", "info": "nobody", "none": "nobody"}[r.Labels["severity"]]
		if got := routedBy(t, amtool, path, "alertname="+r.Alert, "service=billing", "severity="+r.Labels["severity"]); got != want {
			t.Errorf("%s goes to %q, want %q", r.Alert, got, want)
		}
	}
}

func routed(t *testing.T, amtool string, labels ...string) string {
	t.Helper()
	return routedBy(t, amtool, alertmanagerFile, labels...)
}

func routedBy(t *testing.T, amtool, file string, labels ...string) string {
	t.Helper()
	args := append([]string{"config", "routes", "test", "--config.file=" + file}, labels...)
	out, err := exec.Command(amtool, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("amtool %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

type route struct {
	Receiver string
	Active   []string        `yaml:"active_time_intervals"`
	Mute     []string        `yaml:"mute_time_intervals"`
	Wait     *model.Duration `yaml:"group_wait"`
	Interval *model.Duration `yaml:"group_interval"`
	Routes   []route
}

func routes(t *testing.T) route {
	t.Helper()
	var file struct{ Route route }
	parse(t, alertmanagerFile, &file)
	return file.Route
}

func parse(t *testing.T, path string, into any) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, into); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

// A pair of Alertmanagers notifies once only if groups are evaluated between two evaluations of Prometheus:
// docs/alerting.md.
func TestWaitsFallBetweenEvaluations(t *testing.T) {
	var p struct {
		Global struct {
			Evaluation model.Duration `yaml:"evaluation_interval"`
		}
	}
	parse(t, "prometheus/prometheus.yml", &p)
	every := p.Global.Evaluation
	const (
		peerTimeout = model.Duration(8 * time.Second)  // set in the example
		resend      = model.Duration(75 * time.Second) // how often Prometheus resends the end of an alert
	)
	top := routes(t)
	for _, r := range append(top.Routes, top) {
		if r.Wait != nil && (*r.Wait%every <= peerTimeout || *r.Wait%every > every*4/5) {
			t.Errorf("%s waits %v: %v after an evaluation, want more than the peer timeout of %v, and well before the next", r.Receiver, r.Wait, *r.Wait%every, peerTimeout)
		}
		if r.Interval != nil && (*r.Interval%every != 0 || *r.Interval <= resend) {
			t.Errorf("%s is evaluated every %v, want a multiple of %v over %v", r.Receiver, r.Interval, every, resend)
		}
	}
}

// Only tickets have quiet hours.
func TestQuietHours(t *testing.T) {
	for _, r := range routes(t).Routes {
		quiet := len(r.Active)+len(r.Mute) > 0
		if want := r.Receiver == "tickets"; quiet != want {
			t.Errorf("%s has quiet hours: %v, want %v", r.Receiver, quiet, want)
		}
	}
	if !slices.ContainsFunc(routes(t).Routes, func(r route) bool { return r.Receiver == "pager" }) {
		t.Error("no route to the pager")
	}
}

// The route that makes one page of a fault of a host lists all causes of the host and no other.
func TestHostRoute(t *testing.T) {
	amtool := tool(t, "amtool")
	for c := range causes.All() {
		out, err := exec.Command(amtool, "config", "routes", "test", "--verify.receivers=pager", "--tree",
			"--config.file="+alertmanagerFile, "alertname="+rules.Name(c), "severity=page", "cause="+c.String()).CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		if isHost := strings.Contains(string(out), "cause=~"); isHost != c.OfHost() {
			t.Errorf("%v takes the route of the host: %v, want %v", c, isHost, c.OfHost())
		}
	}
}
