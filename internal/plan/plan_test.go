package plan

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"netwatchd/internal/agent/codex"
	"netwatchd/internal/config"
	"netwatchd/internal/ledger"
	"netwatchd/internal/probe"
	"netwatchd/internal/watch"
)

func planned(t *testing.T, text string) *Plan {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	c, err := config.Load(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	return Of(c)
}

func TestTheBuiltinPlan(t *testing.T) {
	c := config.Builtin()
	p := Of(c)
	if len(p.Services) != len(c.Services) {
		t.Fatalf("%d services planned of %d", len(p.Services), len(c.Services))
	}
	s := p.Services[0]
	if s.Every != 30*time.Second {
		t.Errorf("a full round every %v, want as often as its cheap probes run", s.Every)
	}
	for _, task := range s.Tasks {
		at := slices.IndexFunc(c.Services[0].Probes, func(p config.Probe) bool { return p.Name == task.Name })
		if at < 0 {
			t.Errorf("%s is not configured", task.Name)
			continue
		}
		configured := c.Services[0].Probes[at]
		if task.Kind == probe.KindExec && (!task.Costly || task.RoundProbe != nil || task.Daily != configured.Budget.RunsPerDay) {
			t.Errorf("%s: costly %v, in rounds %v, %d a day", task.Name, task.Costly, task.RoundProbe != nil, task.Daily)
		}
		if task.Kind == probe.KindStream && task.RoundProbe.Timeout != configured.Timeout-configured.Hold {
			t.Errorf("%s: in a round it has %v, want the timeout without the hold", task.Name, task.RoundProbe.Timeout)
		}
		key := ledger.Key{Service: s.Name, Probe: task.Name, Kind: task.Kind, Vantage: probe.FromSandbox}
		info, known := p.Info(key)
		if !known || info.Target != target(configured) || info.Interval != configured.Interval.String() {
			t.Errorf("%s: described as %+v", task.Name, info)
		}
		if !p.Watches(key) {
			t.Errorf("%s is not watched", task.Name)
		}
	}
	for service, want := range map[string]bool{"resolvers": true, "controls": true, "host": true, "gone": false} {
		if got := p.Watches(ledger.Key{Service: service, Probe: "x"}); got != want {
			t.Errorf("a probe of %s: watched %v, want %v", service, got, want)
		}
	}
}

func TestFullRoundsForAFewServicesOnly(t *testing.T) {
	for _, tt := range []struct {
		services, probes int
		want             bool
	}{{fullRoundServices, 1, true}, {fullRoundServices + 1, 1, false}, {1, fullRoundProbes, true}, {1, fullRoundProbes + 1, false}} {
		var b strings.Builder
		b.WriteString("services:\n")
		for s := range tt.services {
			fmt.Fprintf(&b, "  - name: s%d\n    probes:\n", s)
			for p := range tt.probes {
				fmt.Fprintf(&b, "      - {name: p%d, kind: dns, target: host-%d.example}\n", p, p)
			}
		}
		if got := planned(t, b.String()).Services[0].Every > 0; got != tt.want {
			t.Errorf("%d services of %d probes: full rounds %v, want %v", tt.services, tt.probes, got, tt.want)
		}
	}
}

func TestResolvConfIsReadOncePerRound(t *testing.T) {
	file := filepath.Join(t.TempDir(), "resolv.conf")
	write := func(server string) {
		if err := os.WriteFile(file, []byte("nameserver "+server+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("192.0.2.1")
	p := planned(t, "resolvers: {files: ["+file+"], direct: []}\n"+
		"services:\n  - name: s\n    probes: [{name: p, kind: dns, target: host.example}]\n")
	first := p.Environment()
	write("192.0.2.2") // while the first round runs
	for want, e := range map[string]watch.Environment{"192.0.2.1": first, "192.0.2.2": p.Environment()} {
		probes := slices.Concat(e.Probes, p.Services[0].NameserverProbes(e.Nameservers, nil))
		if got := nameserversOf(t, probes); !slices.Equal(got, []string{want}) {
			t.Errorf("nameservers of the round: got %q, want %s alone", got, want)
		}
	}
}

// With many nameservers, a round queries those of its own probes alone: a confirming round of 16 probes must not query ten
// thousand servers.
func TestManyNameservers(t *testing.T) {
	for _, test := range []struct{ probes, want int }{{16, 16}, {40, 2}} {
		var text strings.Builder
		text.WriteString("resolvers: {system: false, files: [], direct: []}\nservices:\n  - name: s\n    probes:\n")
		for i := range test.probes {
			fmt.Fprintf(&text, "      - {name: p%d, kind: dns, target: host.example, nameservers: [192.0.2.%d]}\n", i, i+1)
		}
		s := planned(t, text.String()).Services[0]
		round := []*probe.Probe{s.Tasks[0].Probe, s.Tasks[9].Probe}
		queried := make(map[string]bool)
		for _, p := range s.NameserverProbes(nil, round) {
			server, _, _ := strings.Cut(p.Name, "/")
			queried[server] = true
		}
		if len(queried) != test.want || !queried["192.0.2.1"] || !queried["192.0.2.10"] {
			t.Errorf("of %d nameservers a round of two probes queries %d, want %d, theirs among them: %v",
				test.probes, len(queried), test.want, queried)
		}
	}
}

// nameserversOf returns the nameservers that the probes query and that the host check of resolv.conf reports.
func nameserversOf(t *testing.T, probes []*probe.Probe) (all []string) {
	t.Helper()
	for _, p := range probes {
		if server, _, ok := strings.Cut(p.Name, "/"); ok {
			all = append(all, server)
		}
		if p.Name == probe.CheckResolvConf {
			facts, err := p.Prober.Probe(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, facts.Answers...)
		}
	}
	if len(all) < 2 {
		t.Fatalf("%q: want a host check and at least one query", all)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// A run of an agent that netwatchd knows can be made again against a stub; any other command cannot.
func TestStubOfAnAgent(t *testing.T) {
	p := planned(t, `
services:
  - name: codex
    probes:
      - {name: run, kind: exec, preset: codex, timeout: 20s, interval: 1h}
      - {name: script, kind: exec, command: [/bin/true]}
`)
	run, script := p.Services[0].Tasks[0], p.Services[0].Tasks[1]
	if script.Stub != nil {
		t.Error("a command has a stub")
	}
	want := probe.Spec{Service: "codex", Name: "run/stub", Kind: probe.KindExec, Role: probe.AgentStub,
		Target: "a stub of the service on 127.0.0.1", Timeout: 20 * time.Second}
	if run.Stub == nil || run.Stub.Spec != want {
		t.Fatalf("got %+v, want %+v", run.Stub, want)
	}
	if info, known := p.Info(ledger.KeyOf(want)); !known || info.Target != want.Target || !p.Watches(ledger.KeyOf(want)) {
		t.Errorf("described as %+v", info)
	}
	if a := p.Agents()[0]; a.Stub == nil || a.Stub.Spec != want {
		t.Errorf("for a backtest: got %+v", a.Stub)
	}
}

// A usual run of an agent gives its place to one with the agent's own provider, unless it has that already.
func TestBuiltinRunOfAnAgent(t *testing.T) {
	p := planned(t, `
services:
  - name: codex
    probes:
      - {name: run, kind: exec, preset: codex}
      - {name: never, kind: exec, preset: codex, codex: {builtin_interval: 0s}}
      - {name: elsewhere, kind: exec, preset: codex, codex: {base_url: "http://127.0.0.1:1/v1"}}
      - {name: own, kind: exec, preset: codex, codex: {provider: builtin}}
      - {name: script, kind: exec, command: [/bin/true]}
`)
	tasks := p.Services[0].Tasks
	for _, task := range tasks[1:] {
		if task.Builtin != nil {
			t.Errorf("%s has %s", task.Name, task.Builtin.Name)
		}
	}
	run := tasks[0]
	if run.Builtin == nil || run.Builtin.Name != "run/builtin" || run.BuiltinEvery != 24*time.Hour || run.Builtin.Timeout != run.Timeout {
		t.Fatalf("got %+v every %v", run.Builtin, run.BuiltinEvery)
	}
	if c, ok := run.Builtin.Prober.(*codex.Codex); !ok || c.Provider != codex.BuiltinProvider {
		t.Errorf("made by %+v", run.Builtin.Prober)
	}
	if info, known := p.Info(ledger.KeyOf(run.Builtin.Spec)); !known || info.Interval != "24h0m0s" || !p.Watches(ledger.KeyOf(run.Builtin.Spec)) {
		t.Errorf("described as %+v", info)
	}
}
