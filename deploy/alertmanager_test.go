package deploy

import (
	"bytes"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"netwatchd/internal/rules"
)

const alertmanagerFile = "alertmanager/alertmanager.yml"

// The end of the example is what `netwatchd rules --inhibit` prints; what stands before it is written by hand.
func TestInhibitionsAreGenerated(t *testing.T) {
	text, err := os.ReadFile(alertmanagerFile)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := rules.Inhibit().Write(&b); err != nil {
		t.Fatal(err)
	}
	heading, _, _ := strings.Cut(b.String(), "\n")
	byHand, _, found := strings.Cut(string(text), heading)
	if !found {
		t.Fatalf("%s lacks the line %q", alertmanagerFile, heading)
	}
	golden(t, alertmanagerFile, byHand+b.String())
}

func TestAmtoolCheck(t *testing.T) {
	run(t, tool(t, "amtool"), "check-config", alertmanagerFile)
}

// Every alert that is shipped goes to the receiver of its severity, whatever else it is labelled with.
func TestRoutes(t *testing.T) {
	amtool := tool(t, "amtool")
	receivers := map[string]string{"page": "pager", "ticket": "tickets", "info": "nobody", "none": "nobody"}
	for _, r := range alerts(both()) {
		labels := []string{"alertname=" + r.Alert, "job=netwatchd", "instance=desk:19405", "service=codex"}
		for name, value := range r.Labels {
			labels = append(labels, name+"="+value)
		}
		want := receivers[r.Labels["severity"]]
		if r.Alert == "CodexSandboxNetworkOpen" {
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

func routed(t *testing.T, amtool string, labels ...string) string {
	t.Helper()
	args := append([]string{"config", "routes", "test", "--config.file=" + alertmanagerFile}, labels...)
	out, err := exec.Command(amtool, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("amtool %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// Quiet hours are for what can wait, and for nothing else.
func TestQuietHours(t *testing.T) {
	text, err := os.ReadFile(alertmanagerFile)
	if err != nil {
		t.Fatal(err)
	}
	type route struct {
		Receiver string
		Active   []string `yaml:"active_time_intervals"`
		Mute     []string `yaml:"mute_time_intervals"`
		Routes   []route
	}
	var file struct{ Route route }
	if err := yaml.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	for _, r := range file.Route.Routes {
		quiet := len(r.Active)+len(r.Mute) > 0
		if want := r.Receiver == "tickets"; quiet != want {
			t.Errorf("%s has quiet hours: %v, want %v", r.Receiver, quiet, want)
		}
	}
	if !slices.ContainsFunc(file.Route.Routes, func(r route) bool { return r.Receiver == "pager" }) {
		t.Error("nobody is paged")
	}
}
