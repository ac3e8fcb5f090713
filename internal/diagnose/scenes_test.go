package diagnose_test

import (
	"flag"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"netwatchd/internal/causes"
	"netwatchd/internal/diagnose"
	"netwatchd/internal/diagnose/diagnosetest"
	"netwatchd/internal/probe"
)

var update = flag.Bool("update", false, "write the golden file instead of comparing with it")

func TestScenes(t *testing.T) {
	for _, s := range diagnosetest.Scenes() {
		t.Run(s.Name, func(t *testing.T) {
			v := diagnose.Of(s.Round)
			if v.Cause != s.Cause {
				t.Errorf("cause %v, want %v: %s", v.Cause, s.Cause, v.Title)
			}
			var also []causes.Cause
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
		b.WriteString("# " + s.Name + "\n" + v.Title + "\n")
		for _, more := range []string{v.Note, v.Reassurance()} {
			if more != "" {
				b.WriteString("  " + more + "\n")
			}
		}
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
	const golden = "testdata/scenes.golden"
	if *update {
		if err := os.WriteFile(golden, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), b.String()); diff != "" {
		t.Errorf("%s differs: read the change as prose, then run go test -update (-want +got):\n%s", golden, diff)
	}
}

func TestOrderOfResultsDoesNotMatter(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, s := range diagnosetest.Scenes() {
		round := s.Round
		want := diagnose.Of(round)
		for range 20 {
			round.Results = slices.Clone(round.Results)
			rng.Shuffle(len(round.Results),
				func(i, j int) { round.Results[i], round.Results[j] = round.Results[j], round.Results[i] })
			if diff := cmp.Diff(want, diagnose.Of(round)); diff != "" {
				t.Fatalf("%s: another order, another verdict (-want +got):\n%s", s.Name, diff)
			}
		}
	}
}

func TestConfiguredSeverity(t *testing.T) {
	round := diagnose.Round{Service: "codex",
		Results: diagnosetest.Results(diagnosetest.Working + ` exec:exec.not_found`)}
	round.Expect.Severity = map[causes.Cause]causes.Severity{causes.Agent: causes.Page}
	if v := diagnose.Of(round); v.Severity != causes.Page {
		t.Errorf("severity %v, want the configured %v", v.Severity, causes.Page)
	}
}

// What the agent's files say about its sandbox is the advice where it is closed against them.
func TestSandboxAdvice(t *testing.T) {
	expect := diagnose.Expect{Sandbox: diagnose.WantOpen, SandboxAdvice: "See config.toml."}
	round := diagnose.Round{Service: "codex", Expect: expect,
		Results: diagnosetest.Results(diagnosetest.Working + diagnosetest.SandboxClosed)}
	if v := diagnose.Of(round); v.Cause != causes.Sandbox || v.Advice != expect.SandboxAdvice {
		t.Errorf("%v: %q", v.Cause, v.Advice)
	}
	round.Expect.SandboxAdvice = ""
	if v := diagnose.Of(round); v.Advice != causes.Sandbox.About().Advice {
		t.Errorf("without: %q", v.Advice)
	}
}

// A healthy service with a closed sandbox is reachable first. The sandbox is a second, smaller sentence.
func TestClosedSandboxIsANote(t *testing.T) {
	for _, test := range []struct {
		want diagnose.Want
		note string
	}{
		{diagnose.WantClosed, "the sandbox has no network, as configured"},
		{diagnose.WantAny, "the sandbox has no network"},
	} {
		results := diagnosetest.Results(diagnosetest.Working + diagnosetest.SandboxClosed + ` -s.dns`)
		v := diagnose.Of(diagnose.Round{Service: "codex", Results: results, Expect: diagnose.Expect{Sandbox: test.want}})
		got := []string{v.Title, v.Note, v.Reassurance()}
		want := []string{"codex: reachable", test.note, "Your network and the API are fine."}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("sandbox wanted %v (-want +got):\n%s", test.want, diff)
		}
	}
}

// The signs seen inside are part of what shows it.
func TestSignsInsideAreEvidence(t *testing.T) {
	for _, want := range []diagnose.Want{diagnose.WantOpen, diagnose.WantClosed} {
		world := diagnosetest.Working + diagnosetest.SandboxClosed +
			` s.sandbox:local.denied(signals=socket_inet_eperm|env_network_disabled)`
		v := diagnose.Of(diagnose.Round{Service: "codex", Results: diagnosetest.Results(world),
			Expect: diagnose.Expect{Sandbox: want}})
		if !slices.ContainsFunc(v.Evidence,
			func(r probe.Result) bool { return slices.Contains(r.Signals, "env_network_disabled") }) {
			t.Errorf("wanted %v: no signs in the evidence of %q", want, v.Title)
		}
	}
}

func TestNotReady(t *testing.T) {
	v := diagnose.NotReady("codex", causes.Starting)
	if v.Cause != causes.Starting || v.Severity != causes.None ||
		v.Title != "codex: not judged yet: the first round is still running" {
		t.Errorf("got %v %v %q", v.Cause, v.Severity, v.Title)
	}
}
