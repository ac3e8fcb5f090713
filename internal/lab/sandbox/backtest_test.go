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
	inside := map[string]string{"0.104.0": "exec.network", "0.169.0": "exec.home_unwritable"}
	for _, version := range parts.CodexVersions {
		t.Run(version, func(t *testing.T) {
			s := play(t, version)
			config := s.watching(closed)

			e, got := s.backtest(t, "3", config)
			if e.Code != 0 || got.Host.OK != 3 || got.Host.Of != 3 || got.Sandbox == nil || got.Sandbox.OK != 0 || got.Sandbox.Of != 3 {
				t.Errorf("exit code %d, host %+v, sandbox %+v", e.Code, got.Host, got.Sandbox)
			}
			if got.Verdict.Cause != "sandbox" || !slices.Equal(got.classes("sandbox"), []string{inside[version]}) {
				t.Errorf("%s (%s), inside %v; want sandbox, %s", got.Verdict.Cause, got.Verdict.Title, got.classes("sandbox"), inside[version])
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
	if e.Code != 1 || !strings.Contains(e.Stderr, "run this outside") || len(s.service.Requests()) != 0 {
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
