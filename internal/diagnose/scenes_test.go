package diagnose_test

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"netwatchd/internal/diagnose"
	"netwatchd/internal/diagnose/diagnosetest"
	"netwatchd/internal/probe"
)

func TestScenes(t *testing.T) {
	for _, s := range diagnosetest.Scenes() {
		t.Run(s.Name, func(t *testing.T) {
			v := diagnose.Of(s.Round)
			if v.Cause != s.Cause {
				t.Errorf("cause %v, want %v: %s", v.Cause, s.Cause, v.Title)
			}
			var also []diagnose.Cause
			for _, f := range v.Also {
				also = append(also, f.Cause)
			}
			if diff := cmp.Diff(s.Also, also); diff != "" {
				t.Errorf("also (-want +got):\n%s", diff)
			}
			decisive := ""
			if len(v.Evidence) > 0 {
				decisive = v.Evidence[0].Class.String()
			}
			if decisive != s.Decisive {
				t.Errorf("decisive is %q, want %q", decisive, s.Decisive)
			}
		})
	}
}

// The words of every scene are read as prose: testdata/scenes.golden.
func TestSceneWords(t *testing.T) {
	var b strings.Builder
	for _, s := range diagnosetest.Scenes() {
		v := diagnose.Of(s.Round)
		b.WriteString("# " + s.Name + "\n" + v.Headline() + "\n")
		for _, f := range v.Also {
			b.WriteString("  also: " + f.Title + "\n")
		}
		if len(v.Blocked) > 0 {
			b.WriteString("  blocked: " + strings.Join(v.Blocked, ", ") + "\n")
		}
		if len(v.Missing) > 0 {
			b.WriteString("  missing: " + strings.Join(v.Missing, ", ") + "\n")
		}
		b.WriteString("  do: " + v.Advice + "\n\n")
	}
	golden(t, "testdata/scenes.golden", b.String())
}

func TestOrderOfResultsDoesNotMatter(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, s := range diagnosetest.Scenes() {
		round := s.Round
		want := diagnose.Of(round)
		for range 20 {
			round.Results = slices.Clone(round.Results)
			rng.Shuffle(len(round.Results), func(i, j int) { round.Results[i], round.Results[j] = round.Results[j], round.Results[i] })
			if diff := cmp.Diff(want, diagnose.Of(round)); diff != "" {
				t.Fatalf("%s: another order, another verdict (-want +got):\n%s", s.Name, diff)
			}
		}
	}
}

func TestConfiguredSeverity(t *testing.T) {
	round := diagnose.Round{Service: "codex", Results: diagnosetest.Results(diagnosetest.Working + ` exec:exec.not_found`), Expect: diagnose.Expect{Severity: map[diagnose.Cause]diagnose.Severity{diagnose.Agent: diagnose.Page}}}
	if v := diagnose.Of(round); v.Severity != diagnose.Page {
		t.Errorf("severity %v, want the configured %v", v.Severity, diagnose.Page)
	}
}

// The first screen of the manual shows this verdict; it must be said in these words.
func TestSandboxOnly(t *testing.T) {
	v := diagnose.Of(diagnose.Round{Service: "codex", Results: diagnosetest.Results(diagnosetest.Working + diagnosetest.SandboxClosed + ` -s.dns`), Expect: diagnose.Expect{Sandbox: diagnose.WantClosed}})
	if got, want := v.Headline(), "codex: unreachable from the sandbox only - as configured. Your network and the API are fine."; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	host, _ := v.Seen(probe.FromHost)
	sandbox, _ := v.Seen(probe.FromSandbox)
	got := []string{host, sandbox}
	want := []string{"405 in 84ms", "resolve: local.denied (operation not permitted)"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("one line per vantage (-want +got):\n%s", diff)
	}
	if direct, seen := v.Seen(probe.Direct); seen {
		t.Errorf("nothing was tried past the proxy, but %q was seen there", direct)
	}
}

// The signs seen inside are part of what shows it.
func TestSignsInsideAreEvidence(t *testing.T) {
	for _, want := range []diagnose.Want{diagnose.WantOpen, diagnose.WantClosed} {
		world := diagnosetest.Working + diagnosetest.SandboxClosed + ` s.sandbox:local.denied(signals=socket_inet_eperm|env_network_disabled)`
		v := diagnose.Of(diagnose.Round{Service: "codex", Results: diagnosetest.Results(world), Expect: diagnose.Expect{Sandbox: want}})
		if !slices.ContainsFunc(v.Evidence, func(r probe.Result) bool { return slices.Contains(r.Signals, "env_network_disabled") }) {
			t.Errorf("wanted %v: no signs in the evidence of %q", want, v.Title)
		}
	}
}

func TestNotReady(t *testing.T) {
	v := diagnose.NotReady("codex", diagnose.Starting)
	if v.Cause != diagnose.Starting || v.Severity != diagnose.None || v.Title != "codex: not judged yet: the first round is not over" {
		t.Errorf("got %v %v %q", v.Cause, v.Severity, v.Title)
	}
}
