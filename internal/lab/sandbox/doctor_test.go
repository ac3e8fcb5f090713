package sandbox

import (
	"encoding/json"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"netwatchd/internal/lab/parts"
	"netwatchd/internal/lab/stack"
)

// A checkup is what `netwatchd doctor --json` prints.
type checkup struct {
	Version  string
	Findings []struct {
		Check, Outcome, Says string
		Do                   []struct {
			In    string
			Lines []string
		}
	}
}

// doctor returns the findings by check, without those that depend on the machine: unit and clock.
func (s *scene) doctor(t *testing.T, args ...string) map[string]string {
	t.Helper()
	e := s.netwatchd(append([]string{"doctor", "--json"}, args...)...)
	var found checkup
	if err := json.Unmarshal([]byte(e.Stdout), &found); err != nil {
		t.Fatalf("%v\n%s\n%s", err, e.Stdout, e.Stderr)
	}
	outcomes, worst := make(map[string]string), 0
	for _, f := range found.Findings {
		outcomes[f.Check] = f.Outcome + ": " + f.Says
		worst = max(worst, map[string]int{"fault": 2, "unknown": 1}[f.Outcome])
		if f.Outcome == "fault" && len(f.Do) == 0 {
			t.Errorf("%s is a fault (%s), and nothing is said to be done", f.Check, f.Says)
		}
	}
	if want := []int{0, 2, 1}[worst]; e.Code != want {
		t.Errorf("exit code %d, want %d: %v", e.Code, want, outcomes)
	}
	return outcomes
}

func wants(t *testing.T, got map[string]string, want map[string]string) {
	t.Helper()
	for check, outcome := range want {
		if !strings.HasPrefix(got[check], outcome) {
			t.Errorf("%s is %q, want %s", check, got[check], outcome)
		}
	}
}

// The doctor on a healthy installation, and then with faults.
func TestDoctor(t *testing.T) {
	for _, version := range parts.CodexVersions {
		t.Run(version, func(t *testing.T) {
			s := play(t, version)
			config := s.watching(closed)
			wants(t, s.doctor(t, config), map[string]string{"codex": "well: " + version, "sign-in": "well", "sandbox": "well", "daemon": "fault"})

			d := s.Daemon(config, "--storage.path="+filepath.Join(s.dir, "storage"))
			d.AwaitReady()
			d.Await(patience, func() error { return standsAt(s, "healthy") })
			wants(t, s.doctor(t, config), map[string]string{"configuration": "well", "daemon": "well", "status file": "well", "storage": "well",
				"prometheus": "advice", "proxy": "well"})
			scrapeAsPrometheus(t)
			wants(t, s.doctor(t, config), map[string]string{"prometheus": "well"})

			s.without = "CODEX_API_KEY"
			s.configure(opened)
			wants(t, s.doctor(t, config), map[string]string{"sign-in": "fault", "sandbox": "fault"})
		})
	}
	t.Run("no codex", func(t *testing.T) {
		s := play(t, "0.169.0")
		s.codex = filepath.Join(s.dir, "nowhere")
		wants(t, s.doctor(t, s.watching(closed)), map[string]string{"codex": "fault"})
	})
}

func scrapeAsPrometheus(t *testing.T) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, stack.URL+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("User-Agent", "Prometheus/3.9.0")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		t.Fatal(err)
	}
}

// Inside its sandbox an agent learns that it must ask elsewhere.
func TestDoctorInside(t *testing.T) {
	for _, version := range parts.CodexVersions {
		s := play(t, version)
		e := s.inside(version, append([]string{s.program}, s.stored([]string{"doctor", s.watching(closed)})...)...)
		if e.Code != 2 || !strings.Contains(e.Stdout, "from inside a sandbox") {
			t.Errorf("%s: exit code %d: %s%s", version, e.Code, e.Stdout, e.Stderr)
		}
	}
}
