// Package plan turns a configuration into the probes that carry it out.
package plan

import (
	"cmp"
	"context"
	"net/netip"
	"slices"
	"time"

	"netwatchd/internal/agent"
	"netwatchd/internal/config"
	"netwatchd/internal/diagnose"
	"netwatchd/internal/host"
	"netwatchd/internal/ledger"
	"netwatchd/internal/metrics"
	"netwatchd/internal/probe"
	"netwatchd/internal/redact"
	"netwatchd/internal/resolvconf"
	"netwatchd/internal/snapshot"
	"netwatchd/internal/watch"
)

// A Plan is what to watch, and what there is to say of each probe.
type Plan struct {
	watch.Plan
	about  map[ledger.Key]metrics.Info
	config *config.Config
}

// Of returns the plan of a configuration. If nobody named a service and there is no codex here, what takes one is
// left out, and a note says so.
func Of(c *config.Config) *Plan {
	c, notes := withoutAgent(c)
	p := &Plan{about: make(map[ledger.Key]metrics.Info), config: c}
	p.Environment, p.Notes = environment(c), notes
	p.Services = make([]watch.Service, len(c.Services))
	for i, s := range c.Services {
		p.Services[i] = service(c, s)
		p.describe(s)
	}
	return p
}

// HostOnly returns the plan for a process that is denied the network: only the sandbox check runs, and every service
// gets a verdict.
func (p *Plan) HostOnly() watch.Plan {
	hostOnly := watch.Plan{Notes: p.Notes, Environment: func() watch.Environment {
		return watch.Environment{Probes: host.Probes(resolvconf.Snapshot{})[:1]}
	}}
	for _, s := range p.Services {
		hostOnly.Services = append(hostOnly.Services, watch.Service{Name: s.Name, Expect: s.Expect})
	}
	return hostOnly
}

// Info describes one of the service's own probes.
func (p *Plan) Info(k ledger.Key) (metrics.Info, bool) {
	k.Vantage = probe.FromHost
	info, ok := p.about[k]
	return info, ok
}

// Watches reports whether k is still probed: a probe of a service, a host check, or a probe of the environment, whose
// nameservers come and go.
func (p *Plan) Watches(k ledger.Key) bool {
	_, own := p.Info(k)
	hostCheck := k.Kind == probe.KindHost && slices.ContainsFunc(p.Services, func(s watch.Service) bool { return s.Name == k.Service })
	return own || hostCheck || config.Reserved(k.Service)
}

// Keep is how long history is kept.
func (p *Plan) Keep() time.Duration { return p.config.Storage.Keep }

// Agent says which agent a snapshot looks at.
func (p *Plan) Agent() snapshot.Options {
	for _, s := range p.config.Services {
		for _, c := range s.Probes {
			if c.Preset == "codex" {
				return snapshot.Options{Agent: true, Path: c.Codex.Path, Home: c.Codex.Home, State: p.config.Storage.Path}
			}
		}
	}
	return snapshot.Options{}
}

// Codex is the agent that the configuration runs; zero if it runs none, or none is there.
func (p *Plan) Codex(ctx context.Context) metrics.Codex {
	for _, s := range p.config.Services {
		for _, c := range s.Probes {
			if c.Preset == "codex" {
				return installed(ctx, c.Codex.Path, s.Sandbox)
			}
		}
	}
	return metrics.Codex{}
}

func installed(ctx context.Context, path string, sandbox *config.Sandbox) metrics.Codex {
	found, err := agent.FindCodex(path)
	if err != nil {
		return metrics.Codex{}
	}
	about := metrics.Codex{Path: found, Version: "unknown", SandboxMode: "none"}
	if version, err := agent.CodexVersion(ctx, found); err == nil {
		about.Version = version.String()
	}
	if sandbox != nil {
		about.SandboxMode = sandbox.Want.String()
	}
	return about
}

func (p *Plan) describe(s config.Service) {
	for _, c := range s.Probes {
		key := ledger.Key{Service: s.Name, Probe: c.Name, Kind: c.Kind, Vantage: probe.FromHost}
		p.about[key] = metrics.Info{Target: target(c), Interval: c.Interval.String(), Expectation: c.Expect.String()}
	}
}

func service(c *config.Config, s config.Service) watch.Service {
	planned := watch.Service{
		Name:         s.Name,
		Tasks:        make([]watch.Task, len(s.Probes)),
		Expect:       diagnose.Expect{Late: s.Late, Severity: s.Severity},
		Confirmation: watch.Confirmation{Votes: s.Moves.Results, Of: s.Moves.Of},
	}
	for i, p := range s.Probes {
		planned.Tasks[i] = task(c, s, p)
	}
	if hasLadder(c, s) {
		planned.Every = every(c, s)
	}
	if around := aroundService(c, s); len(around.names) > 0 {
		planned.NameserverProbes = around.probes
	}
	planned.DirectProbes = past(c, s)
	if planned.SandboxProbes = twin(c, s); planned.SandboxProbes != nil {
		planned.Expect.Sandbox = s.Sandbox.Want
	}
	return planned
}

// A few services are each looked at in full rounds. Beyond that only those with an agent, a stream or a sandbox are: a
// thousand names that are merely looked up would otherwise ask every resolver and control about each of them, all day.
const (
	fewServices = 16
	fewProbes   = 16
)

func hasLadder(c *config.Config, s config.Service) bool {
	if len(s.Probes) > fewProbes {
		return false
	}
	deep := func(p config.Probe) bool { return p.Kind == probe.KindStream || p.Kind == probe.KindExec }
	return len(c.Services) <= fewServices || s.Sandbox != nil || slices.ContainsFunc(s.Probes, deep)
}

// every is how often the service is looked at in full: as often as the most frequent of its cheap probes.
func every(c *config.Config, s config.Service) time.Duration {
	var shortest time.Duration
	for _, p := range s.Probes {
		if cheap := p.Kind == probe.KindDNS || p.Kind == probe.KindHTTP; cheap && (shortest == 0 || p.Interval < shortest) {
			shortest = p.Interval
		}
	}
	return cmp.Or(shortest, c.Defaults.Interval)
}

func task(c *config.Config, s config.Service, p config.Probe) watch.Task {
	long := made(c, s, p, p.Hold)
	t := watch.Task{Probe: long, RoundProbe: long, Interval: p.Interval}
	switch {
	case p.Kind == probe.KindExec:
		t.RoundProbe, t.Costly, t.Daily = nil, p.Preset != "", p.Budget.RunsPerDay
	case p.Kind == probe.KindStream && p.Hold > 0:
		t.RoundProbe = made(c, s, p, 0)
	}
	return t
}

func made(c *config.Config, s config.Service, p config.Probe, hold time.Duration) *probe.Probe {
	return &probe.Probe{
		Spec: probe.Spec{
			Service: s.Name, Name: p.Name, Kind: p.Kind, Target: target(p),
			Timeout: p.Timeout - p.Hold + hold,
		},
		Prober: Prober(c, p, hold),
	}
}

// past are the service's requests as the world makes them, by public nameservers and without a proxy.
func past(c *config.Config, s config.Service) []*probe.Probe {
	var all []*probe.Probe
	if len(c.Resolvers.Direct) == 0 || len(s.Probes) > fewProbes {
		return nil
	}
	for _, p := range s.Probes {
		if p.Kind != probe.KindHTTP || len(p.Nameservers) > 0 || hostOf(p) == "" {
			continue
		}
		p.Nameservers, p.Proxy = c.Resolvers.Direct, "none"
		one := made(c, s, p, 0)
		one.Vantage = probe.Direct
		all = append(all, one)
	}
	return all
}

func target(p config.Probe) string {
	if p.Kind == probe.KindExec {
		return cmp.Or(p.Preset, firstOf(p.Command))
	}
	if p.URL != nil {
		return redact.String(p.URL.String()) // it may have a key among its parameters
	}
	return p.Target
}

func firstOf(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return list[0]
}

// hostOf is the name a probe depends on, as a resolver would be asked for it; empty for an address.
func hostOf(p config.Probe) string {
	name := p.Target
	if p.URL != nil {
		name = p.URL.Hostname()
	}
	if _, err := netip.ParseAddr(name); err == nil {
		return ""
	}
	return name
}
