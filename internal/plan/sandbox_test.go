package plan

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"netwatchd/internal/causes"
	"netwatchd/internal/config"
	"netwatchd/internal/diagnose"
	"netwatchd/internal/ledger"
	"netwatchd/internal/presets"
	"netwatchd/internal/probe"
	"netwatchd/internal/watch"
)

// fakeCodex makes a codex of that version the only program on the PATH and returns its path. Without a version, the
// PATH has no program.
func fakeCodex(t *testing.T, version string) string {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("PATH", dir)
	t.Setenv("HOME", t.TempDir())
	if version == "" {
		return ""
	}
	path := filepath.Join(dir, "codex")
	if err := os.WriteFile(path, []byte("#!/bin/sh\necho codex-cli "+version+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func load(t *testing.T, text string) *config.Config {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := config.Load(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	c.Storage.Path = t.TempDir()
	return c
}

func builtin(t *testing.T) *config.Config {
	c := config.Builtin()
	c.Storage.Path = t.TempDir()
	return c
}

func has(p *Plan, task string) bool {
	for _, t := range p.Services[0].Tasks {
		if t.Name == task {
			return true
		}
	}
	return false
}

const named = `
services:
  - name: codex
    probes:
      - {name: dns, kind: dns, target: chatgpt.com}
      - {name: exec, kind: exec, preset: codex}
    sandbox: {want: open, interval: 2m}
`

func TestWithoutCodex(t *testing.T) {
	fakeCodex(t, "")
	p := Of(builtin(t))
	if want := []string{"codex was not found on the PATH: agent runs and the agent's sandbox are not monitored"}; !slices.Equal(p.Notes, want) {
		t.Errorf("notes: got %q, want %q", p.Notes, want)
	}
	if p.Services[0].SandboxProbes != nil || has(p, "exec") || !has(p, "head") || p.Services[0].Expect.Sandbox != diagnose.WantAny {
		t.Errorf("got %+v, want all but the exec and sandbox probes", p.Services[0])
	}

	// A configuration file that names them wants them: a missing codex is then a fault.
	p = Of(load(t, named))
	if p.Services[0].SandboxProbes == nil || !has(p, "exec") || len(p.Notes) > 0 {
		t.Fatalf("got %+v and notes %q, want the exec and sandbox probes that were named", p.Services[0], p.Notes)
	}
	results, ok := p.Services[0].SandboxProbes.Run(t.Context(), 0)
	if !ok || len(results) != 1 || results[0].Class != probe.ExecNotFound {
		t.Errorf("got %v %v, want %v", results, ok, probe.ExecNotFound)
	}
	v := diagnose.Of(diagnose.Round{Service: "codex", Results: append(results, probe.Result{Class: probe.OK, Spec: probe.Spec{
		Service: "codex", Name: "dns", Kind: probe.KindDNS}}), Expect: p.Services[0].Expect})
	if v.Cause != causes.Agent {
		t.Errorf("cause: got %v, want %v", v.Cause, causes.Agent)
	}
}

func TestASystemUserHasNoAgent(t *testing.T) {
	fakeCodex(t, "0.169.0")
	t.Setenv("HOME", "/")
	t.Setenv("CODEX_HOME", "")
	if p := Of(builtin(t)); p.Services[0].SandboxProbes != nil || len(p.Notes) != 1 {
		t.Errorf("notes %q, want one, and no sandbox probes", p.Notes)
	}
}

func TestSandboxProbes(t *testing.T) {
	fakeCodex(t, "0.169.0")
	p := Of(builtin(t))
	s := p.Services[0]
	if s.SandboxProbes == nil || s.SandboxProbes.Interval != 5*time.Minute || s.Expect.Sandbox != diagnose.WantClosed || !has(p, "exec") || len(p.Notes) > 0 {
		t.Errorf("the built-in service: got %+v, notes %q", s, p.Notes)
	}
	if s := Of(load(t, named)).Services[0]; s.SandboxProbes.Interval != 2*time.Minute || s.Expect.Sandbox != diagnose.WantOpen {
		t.Errorf("the named service: got %+v", s)
	}
	if !p.Watches(ledger.Key{Service: "codex", Probe: probe.CheckSandbox, Kind: probe.KindHost, Vantage: probe.FromSandbox}) {
		t.Error("a reload would forget the host check made inside the sandbox")
	}
	without := load(t, "services: [{name: codex, probes: [{name: exec, kind: exec, preset: codex}], sandbox: {want: open}}]")
	if s := Of(without).Services[0]; s.SandboxProbes != nil || s.Expect.Sandbox != diagnose.WantAny {
		t.Errorf("no probe can run inside, but there are sandbox probes: %+v", s)
	}
}

// TestSandboxEnvironment: the command that starts a sandbox gets the variables of codex only if codex has the sandbox.
// A command of the user's own gets them too.
func TestSandboxEnvironment(t *testing.T) {
	fakeCodex(t, "0.169.0")
	t.Setenv("PATH", "/usr/bin:/bin")
	t.Setenv("CODEX_API_KEY", "of-codex")
	t.Setenv("ANTHROPIC_API_KEY", "of-claude")
	dir := t.TempDir()
	script := filepath.Join(dir, "script")
	if err := os.WriteFile(script, []byte("#!/bin/sh\ncat /proc/self/environ >"+dir+"/env\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		probe string
		want  bool
	}{
		"codex":         {"{name: exec, kind: exec, preset: codex}", true},
		"claude":        {"{name: exec, kind: exec, preset: claude}", false},
		"no agent":      {"{name: other, kind: dns, target: example.com}", true},
		"one's command": {"{name: command, kind: exec, command: [" + script + "]}", true},
	} {
		s := Of(load(t, "services: [{name: s, probes: [{name: dns, kind: dns, target: example.com}, "+test.probe+
			"], sandbox: {command: ["+script+"], want: closed}}]")).Services[0]
		if i := slices.IndexFunc(s.Tasks, func(t watch.Task) bool { return t.Name == "command" }); i >= 0 {
			_, _ = s.Tasks[i].Prober.Probe(t.Context())
		} else {
			_, _ = s.SandboxProbes.Run(t.Context(), 0) // the script answers nothing
		}
		text, err := os.ReadFile(dir + "/env")
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(string(text), "of-codex"); got != test.want || strings.Contains(string(text), "of-claude") {
			t.Errorf("%s: has codex's key: %t, want %t, in %q", name, got, test.want, text)
		}
		if err := os.Remove(dir + "/env"); err != nil {
			t.Fatal(err)
		}
	}
}

func TestSandboxCommand(t *testing.T) {
	for _, test := range []struct {
		version          string
		configured, want []string
	}{
		{"0.104.0", nil, []string{"CODEX", "sandbox", "linux", "--"}},
		{"0.169.0", nil, []string{"CODEX", "sandbox", "-c", `sandbox_mode="read-only"`, "--"}},
		{"0.169.0", []string{"codex", "sandbox", "-P", "mine", "--"}, []string{"CODEX", "sandbox", "-P", "mine", "--"}},
		{"0.104.0", []string{"bwrap", "--unshare-net", "--"}, []string{"bwrap", "--unshare-net", "--"}},
		{"", []string{"env"}, []string{"env"}},
	} {
		path := fakeCodex(t, test.version)
		got, err := wrapper{configured: test.configured, agent: presets.Named("codex")}.command(context.Background())
		for i := range test.want {
			if test.want[i] == "CODEX" {
				test.want[i] = path
			}
		}
		if diff := cmp.Diff(test.want, got); diff != "" || err != nil {
			t.Errorf("codex %s, configured %v: %v (-want +got):\n%s", test.version, test.configured, err, diff)
		}
	}
}
