package blackbox

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"netwatchd/internal/lab/stack"
)

func TestDaemon(t *testing.T) {
	s := stack.Start(t)
	d := s.Daemon("--config.file=" + s.Config())
	d.AwaitReady()

	m := scrape(t)
	for series, want := range map[string]float64{
		`netwatchd_probe_success{probe="head",service="codex",vantage="host"}`:                1,
		`netwatchd_probe_error_class{class="ok",probe="head",service="codex",vantage="host"}`: 1,
		`netwatchd_verdict{cause="healthy",service="codex"}`:                                  1,
		`netwatchd_verdict{cause="upstream",service="codex"}`:                                 0,
		`netwatchd_config_last_reload_successful`:                                             1,
	} {
		if got, found := m.value(series); !found || got != want {
			t.Errorf("%s: got %v (there: %v), want %v", series, got, found, want)
		}
	}
	if problems, err := promlint.New(bytes.NewReader(m.text)).Lint(); err != nil || len(problems) > 0 {
		t.Errorf("promlint: %v, %v", problems, err)
	}
	if got := cause(t, get(t, "/api/v1/status")); got != "healthy" {
		t.Errorf("/api/v1/status: cause %q, want healthy", got)
	}
	for _, path := range []string{"/", "/-/healthy", "/-/ready", "/api/v1/results"} {
		get(t, path)
	}

	d.Signal(syscall.SIGTERM)
	if code := d.Exit(2 * time.Second); code != 0 {
		t.Errorf("SIGTERM: exit code %d, want 0", code)
	}
}

// A reader never sees half a status file, and none once the daemon has stopped.
func TestStatusFile(t *testing.T) {
	s := stack.Start(t)
	path := filepath.Join(s.Dir, "status.json")
	d := s.Daemon("--config.file=" + s.Config())

	seen := make(map[uint64]bool) // by inode: a file written over keeps its own
	d.Await(patience, func() error {
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		standing := cause(t, text)
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal("the file is gone:", err)
		}
		if info.Mode().Perm() != 0o644 {
			t.Fatalf("mode %v, want one that everyone may read: -rw-r--r--", info.Mode())
		}
		seen[info.Sys().(*syscall.Stat_t).Ino] = true
		if standing != "healthy" || len(seen) < 2 {
			return fmt.Errorf("cause %q, want healthy; replaced %d times, want once at least", standing, len(seen)-1)
		}
		return nil
	})
	d.Signal(syscall.SIGTERM)
	d.Exit(2 * time.Second)
	if left, _ := filepath.Glob(path + "*"); len(left) > 0 {
		t.Errorf("left behind: %v; a daemon that has stopped must not look alive", left)
	}
}

func TestKilledAndStartedAgain(t *testing.T) {
	s := stack.Start(t)
	config := "--config.file=" + s.Config()
	for range 3 {
		d := s.Daemon(config)
		d.AwaitReady()
		d.Kill()
	}
	d := s.Daemon(config)
	d.AwaitReady()
	if got := cause(t, get(t, "/api/v1/status")); got != "healthy" {
		t.Errorf("cause %q, want healthy", got)
	}
}

// The verdict follows the world, there and back.
func TestVerdictMoves(t *testing.T) {
	s := stack.Start(t)
	d := s.Daemon("--config.file=" + s.Config())
	d.AwaitReady()
	for _, step := range []struct {
		inject func()
		cause  string
	}{
		{s.StopDNS, "resolver"},
		{s.StartDNS, "healthy"},
		{func() { s.ServiceAnswers(503) }, "upstream"},
		{func() { s.ServiceAnswers(405, "Allow: POST") }, "healthy"},
	} {
		step.inject()
		d.Await(patience, func() error {
			if got := cause(t, get(t, "/api/v1/status")); got != step.cause {
				return fmt.Errorf("cause %q, want %q", got, step.cause)
			}
			return nil
		})
	}
	if changes := scrape(t).sum("netwatchd_verdict_changes_total"); changes < 4 {
		t.Errorf("verdict_changes_total is %v, want at least 4", changes)
	}
}

// A bad file changes nothing but one metric.
func TestReload(t *testing.T) {
	reloads := []struct {
		by     string
		reload func(*stack.Daemon) int // the HTTP status, if there is one
	}{
		{"SIGHUP", func(d *stack.Daemon) int { d.Signal(syscall.SIGHUP); return 0 }},
		{"POST /-/reload", func(*stack.Daemon) int { return post(t, "/-/reload") }},
	}
	for _, tt := range reloads {
		t.Run(tt.by, func(t *testing.T) {
			s := stack.Start(t)
			path := s.Config()
			d := s.Daemon("--config.file=" + path)
			d.AwaitReady()
			before := scrape(t)

			if err := os.WriteFile(path, []byte("services: [{name: codex, intervall: 3}]\n"), 0o644); err != nil {
				t.Fatal(err)
			}
			if code := tt.reload(d); code != 0 && code/100 == 2 {
				t.Errorf("a bad file: HTTP %d, want an error", code)
			}
			d.Await(patience, lastReload(t, 0))
			if got := cause(t, get(t, "/api/v1/status")); got != "healthy" {
				t.Errorf("a bad file: cause %q, want healthy as before", got)
			}
			s.WriteConfig(path)
			if code := tt.reload(d); code != 0 && code/100 != 2 {
				t.Errorf("the file repaired: HTTP %d, want 2xx", code)
			}
			d.Await(patience, lastReload(t, 1))
			get(t, "/-/ready")
			if was, is := before.sum("netwatchd_probe_runs_total"), scrape(t).sum("netwatchd_probe_runs_total"); was == 0 || is < was {
				t.Errorf("probe_runs_total went from %v to %v: unchanged probes keep their counters", was, is)
			}
		})
	}
}

func lastReload(t *testing.T, want float64) func() error {
	return func() error {
		if got, found := scrape(t).value("netwatchd_config_last_reload_successful"); !found || got != want {
			return fmt.Errorf("config_last_reload_successful is %v, want %v", got, want)
		}
		return nil
	}
}

func get(t *testing.T, path string) []byte {
	t.Helper()
	client := http.Client{Timeout: 5 * time.Second}
	response, err := client.Get(stack.URL + path)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("GET %s: %s, %v\n%s", path, response.Status, err, body)
	}
	return body
}

func post(t *testing.T, path string) int {
	t.Helper()
	client := http.Client{Timeout: 5 * time.Second}
	response, err := client.Post(stack.URL+path, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	return response.StatusCode
}

// cause is that of the first service in the text of a status.
func cause(t *testing.T, text []byte) string {
	t.Helper()
	var got status
	if err := json.Unmarshal(text, &got); err != nil || len(got.Services) == 0 {
		t.Fatalf("%v: want a status with services, got\n%s", err, text)
	}
	return got.Services[0].Cause
}

// A scraped is one answer of /metrics.
type scraped struct {
	text   []byte
	values map[string]float64 // by name{label="value",…}, the labels in order
}

func scrape(t *testing.T) scraped {
	t.Helper()
	m := scraped{text: get(t, "/metrics"), values: make(map[string]float64)}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(m.text))
	if err != nil {
		t.Fatal(err)
	}
	for name, family := range families {
		for _, metric := range family.GetMetric() {
			var labels []string
			for _, pair := range metric.GetLabel() {
				labels = append(labels, fmt.Sprintf("%s=%q", pair.GetName(), pair.GetValue()))
			}
			value := metric.GetGauge().GetValue() + metric.GetCounter().GetValue() + metric.GetUntyped().GetValue()
			m.values[name+"{"+strings.Join(labels, ",")+"}"] = value
		}
	}
	return m
}

// value is the value of the series that has all of the labels given, whatever others it has.
func (m scraped) value(series string) (float64, bool) {
	name, labels, _ := strings.Cut(strings.TrimSuffix(series, "}"), "{")
	for have, value := range m.values {
		haveName, haveLabels, _ := strings.Cut(have, "{")
		if haveName == name && hasAll(haveLabels, labels) {
			return value, true
		}
	}
	return 0, false
}

func hasAll(have, want string) bool {
	for label := range strings.SplitSeq(want, ",") {
		if !strings.Contains(have, label) {
			return false
		}
	}
	return true
}

// sum is the sum over all series of a name.
func (m scraped) sum(name string) float64 {
	var sum float64
	for have, value := range m.values {
		if strings.HasPrefix(have, name+"{") {
			sum += value
		}
	}
	return sum
}
