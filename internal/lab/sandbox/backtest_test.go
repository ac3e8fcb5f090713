package sandbox

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"netwatchd/internal/lab/parts"
	"netwatchd/internal/lab/responses"
)

// A backtest is what `netwatchd backtest --json` prints.
type backtest struct {
	Service string
	Runs    []result
	Host    struct{ OK, Of int }
	Sandbox *struct{ OK, Of int }
	Want    string
	Verdict verdict

	Incident string
}

func (s *scene) backtest(t *testing.T, n string, config string, more ...string) (ending, backtest) {
	t.Helper()
	e := s.netwatchd(append([]string{"backtest", "-n", n, config, "--json"}, more...)...)
	var got backtest
	if err := json.Unmarshal([]byte(e.Stdout), &got); err != nil {
		t.Fatalf("%v\n%s\n%s", err, e.Stdout, e.Stderr)
	}
	return e, got
}

func (b backtest) classes(vantage string) []string {
	var all []string
	for _, r := range b.Runs {
		if r.Vantage == vantage && !slices.Contains(all, r.Class) {
			all = append(all, r.Class)
		}
	}
	return all
}

// The incident: `codex exec` fails in the sandbox with the sentence it has for every network fault, three times out of
// three, and says OK outside, three times out of three. Then the same sentence, and this time it is the service.
func TestTheIncident(t *testing.T) {
	for _, version := range parts.CodexVersions {
		t.Run(version, func(t *testing.T) {
			s := play(t, version)
			config := s.watching(closed)

			e, got := s.backtest(t, "3", config)
			if e.Code != 0 || got.Host.OK != 3 || got.Host.Of != 3 || got.Sandbox == nil || got.Sandbox.OK != 0 || got.Sandbox.Of != 3 {
				t.Errorf("exit code %d, host %+v, sandbox %+v", e.Code, got.Host, got.Sandbox)
			}
			if got.Verdict.Cause != "healthy" || !slices.Equal(got.classes("sandbox"), []string{"exec.network"}) {
				t.Errorf("%s (%s), inside %v; want healthy, exec.network", got.Verdict.Cause, got.Verdict.Title, got.classes("sandbox"))
			}
			if turns := len(s.service.Turns()); turns != 3 {
				t.Errorf("the service was asked %d times, want thrice: a closed sandbox costs nothing", turns)
			}
			if said := got.Runs[len(got.Runs)-1].Why; version == "0.104.0" && !strings.Contains(said, "error sending request for url (") {
				t.Errorf("inside it said %q, want the sentence of the incident", said)
			}
			people := s.netwatchd("backtest", "-n", "1", config)
			t.Logf("in %v:\n%s", people.Took, people.Stdout)
			if !strings.Contains(people.Stdout, "host: 1 of 1 run succeeded; sandbox: 0 of 1 run, as configured (want: closed)") {
				t.Errorf("for people:\n%s%s", people.Stdout, people.Stderr)
			}
			if strings.Contains(people.Stdout, "✗") || !strings.Contains(people.Stdout, "codex: reachable (healthy)") {
				t.Errorf("a sandbox closed as wanted is shown as a failure:\n%s", people.Stdout)
			}

			s.service.Behave(responses.Abort)
			s.CloseService()
			e, got = s.backtest(t, "1", config)
			if e.Code != 1 || got.Verdict.Cause != "upstream" {
				t.Errorf("the service down: exit code %d, %s (%s)", e.Code, got.Verdict.Cause, got.Verdict.Title)
			}
		})
	}
}

// If the account is rejected, a run inside shows nothing, and might renew a sign-in where it cannot be saved.
func TestBacktestOfAnAccountThatSaysNo(t *testing.T) {
	s := play(t, "0.169.0")
	s.service.Behave(responses.UsageLimit)
	if e, got := s.backtest(t, "1", s.watching(closed)); e.Code != 1 || got.Verdict.Cause != "account" || got.Sandbox != nil {
		t.Errorf("exit code %d, %s (%s), inside %+v", e.Code, got.Verdict.Cause, got.Verdict.Title, got.Sandbox)
	}
}

func TestBacktestInsideRefuses(t *testing.T) {
	s := play(t, "0.104.0")
	e := s.inside("0.104.0", append([]string{s.program}, s.stored([]string{"backtest", s.watching(closed)})...)...)
	if e.Code != 1 || !strings.Contains(e.Stderr, "run backtest outside the sandbox") || len(s.service.Requests()) != 0 {
		t.Errorf("exit code %d after %d requests: %s%s", e.Code, len(s.service.Requests()), e.Stdout, e.Stderr)
	}
}

// A sign-in left by `sudo codex` cannot be written by its user: better not to run at all than to lose it.
func TestBacktestOfASignInOfAnother(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root: to become another user")
	}
	s := play(t, "0.169.0")
	s.without = "CODEX_API_KEY"
	s.become(65534)
	if err := responses.SignIn(s.home()); err != nil { // as root
		t.Fatal(err)
	}
	e, got := s.backtest(t, "1", s.watching(closed))
	if e.Code != 1 || got.Verdict.Cause != "agent" || !slices.Equal(got.classes("host"), []string{"exec.home_unwritable"}) {
		t.Errorf("exit code %d, %s (%s), %v", e.Code, got.Verdict.Cause, got.Verdict.Title, got.classes("host"))
	}
	if n := len(s.service.Requests()); n != 0 {
		t.Errorf("%d requests were made", n)
	}
}

// records are the incidents and observations in the store, whether the daemon runs or not.
func (s *scene) records(t *testing.T, config string) []struct {
	ID          string
	Observation bool
	Closed      *string
} {
	t.Helper()
	e := s.netwatchd("incidents", "--json", config)
	var got struct {
		Incidents []struct {
			ID          string
			Observation bool
			Closed      *string
		}
	}
	if err := json.Unmarshal([]byte(e.Stdout), &got); err != nil || e.Code != 0 {
		t.Fatalf("%v: exit code %d\n%s%s", err, e.Code, e.Stdout, e.Stderr)
	}
	return got.Incidents
}

// The incident leaves a record, with and without a daemon: an observation that backtest begins and extends, that no
// metric counts as a fault, and that ends when the sandbox is opened.
func TestTheIncidentIsRecorded(t *testing.T) {
	for _, version := range parts.CodexVersions {
		t.Run(version, func(t *testing.T) {
			s := play(t, version)
			config := s.watching(closed)
			s.configure("[projects.\"/home/me/secret-project\"]\ntrust_level = \"trusted\"\n")

			_, first := s.backtest(t, "3", config)
			all := s.records(t, config)
			if len(all) != 1 || !all[0].Observation || all[0].Closed == nil || all[0].ID != first.Incident {
				t.Fatalf("incidents %+v; want the observation %q", all, first.Incident)
			}
			explained := s.netwatchd("explain", "latest", "--workspace", "/mnt/c/work", config)
			if explained.Code != 0 {
				t.Fatalf("explain: %s", explained.Stderr)
			}
			t.Logf("%s", explained.Stdout)
			for _, want := range []string{"# Observation", "This is not a fault", "## 1. What to do", "network_access = true", "Recorded at", "/mnt/c/work",
				"environment in the sandbox: `CODEX_SANDBOX_NETWORK_DISABLED=1`", "Effective policy: network access denied", "Projects: 1 trusted",
				"| stable | true |", "1. ", "sandbox_policy.network_access=false", "405 with `Allow: POST`", "run 6 of 6, inside the sandbox",
				"on the host: 3 of 3 runs succeeded", "inside the sandbox: 0 of 3 runs succeeded"} {
				if !strings.Contains(strings.ReplaceAll(explained.Stdout, "`stable`", "stable"), want) {
					t.Errorf("%q is not in the record", want)
				}
			}
			if strings.Contains(explained.Stdout, "secret-project") || strings.Contains(explained.Stdout, "sk-test") {
				t.Error("a project's name or a key is in the record")
			}
			if said := "error sending request for url ("; version == "0.104.0" && !strings.Contains(explained.Stdout, said) {
				t.Errorf("the agent's sentence %q is not in the record", said)
			}

			d := s.Daemon(config, "--storage.path="+s.dir+"/storage")
			d.AwaitReady()
			_, second := s.backtest(t, "1", config)
			if second.Incident != first.Incident {
				t.Errorf("beside a daemon it is recorded as %q, want %q extended", second.Incident, first.Incident)
			}
			if faults := metric(t, `netwatchd_verdict{cause="sandbox",service="codex"}`); faults != 0 {
				t.Errorf("the daemon's verdict is sandbox: %v", faults)
			}
			people := s.netwatchd("incidents", config)
			if !strings.Contains(people.Stdout, "no incidents") || !strings.Contains(people.Stdout, "observations, not faults") {
				t.Errorf("for people:\n%s%s", people.Stdout, people.Stderr)
			}

			s.configure(opened)
			s.backtest(t, "1", config)
			explained = s.netwatchd("explain", first.Incident, config)
			for _, want := range []string{"ended because", "policy: network_access", "What changed when it ended"} {
				if !strings.Contains(explained.Stdout, want) {
					t.Errorf("after its end %q is not in the record:\n%s", want, explained.Stdout)
				}
			}
			if e := s.netwatchd("store", "check", config); e.Code != 0 {
				t.Errorf("store check: %s%s", e.Stdout, e.Stderr)
			}
		})
	}
}
