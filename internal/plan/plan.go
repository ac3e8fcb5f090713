// Package plan turns a configuration into probes.
package plan

import (
	"cmp"
	"context"
	"net/netip"
	"slices"
	"time"

	"netwatchd/internal/config"
	"netwatchd/internal/diagnose"
	"netwatchd/internal/host"
	"netwatchd/internal/ledger"
	"netwatchd/internal/metrics"
	"netwatchd/internal/presets"
	"netwatchd/internal/probe"
	"netwatchd/internal/probe/dnsprobe"
	"netwatchd/internal/probe/httpprobe"
	"netwatchd/internal/redact"
	"netwatchd/internal/resolvconf"
	"netwatchd/internal/snapshot"
	"netwatchd/internal/watch"
)

// A Plan is what to watch, with a description of each probe.
type Plan struct {
	watch.Plan
	info   map[ledger.Key]metrics.Info
	config *config.Config
}

// Of returns the plan of a configuration. Without a configuration file and without codex on this host, it leaves out
// the exec and sandbox probes and adds a note that says so.
func Of(c *config.Config) *Plan {
	c, notes := Derive(c)
	p := &Plan{info: make(map[ledger.Key]metrics.Info), config: c}
	controls := allControls(c)
	p.Environment, p.Notes = environment(c, controls), notes
	p.Services = make([]watch.Service, len(c.Services))
	for i, s := range c.Services {
		p.Services[i] = service(c, s, controls)
		p.describe(s)
	}
	return p
}

// HostOnly returns the plan for a process without network access: only the sandbox check runs, and every service gets
// a verdict from it.
func (p *Plan) HostOnly() watch.Plan {
	hostOnly := watch.Plan{Notes: p.Notes, Environment: func() watch.Environment {
		return watch.Environment{Probes: host.Probes(resolvconf.Snapshot{})[:1]}
	}}
	for _, s := range p.Services {
		hostOnly.Services = append(hostOnly.Services, watch.Service{Name: s.Name, Expect: s.Expect})
	}
	return hostOnly
}

// Info describes the configured probe with key k, whatever its vantage. It reports false for any other key.
func (p *Plan) Info(k ledger.Key) (metrics.Info, bool) {
	k.Vantage = probe.FromHost
	info, ok := p.info[k]
	return info, ok
}

// Watches reports whether k is still probed: as a configured probe, a host check, or a probe of the environment. Any
// key of the environment counts, because its nameservers change at run time.
func (p *Plan) Watches(k ledger.Key) bool {
	_, configured := p.Info(k)
	hostCheck := k.Kind == probe.KindHost &&
		slices.ContainsFunc(p.Services, func(s watch.Service) bool { return s.Name == k.Service })
	return configured || hostCheck || config.Reserved(k.Service)
}

// Keep returns how long history is kept.
func (p *Plan) Keep() time.Duration { return p.config.Storage.Keep }

// codex returns the first service that runs codex, and that run.
func (p *Plan) codex() (s config.Service, run config.Probe, ok bool) {
	for _, s := range p.config.Services {
		if run, ok := agentProbe(s); ok && run.Preset == "codex" {
			return s, run, true
		}
	}
	return config.Service{}, config.Probe{}, false
}

// Agent returns the options for a snapshot of codex, if the configuration runs it.
func (p *Plan) Agent() snapshot.Options {
	s, run, ok := p.codex()
	if !ok {
		return snapshot.Options{}
	}
	o := snapshot.Options{Agent: true, Path: run.Codex.Path, Home: run.Codex.Home, State: p.config.Storage.Path}
	if s.Sandbox != nil {
		o.Sandbox = wrapperOf(p.config, s).inside
	}
	return o
}

// Installed describes each agent that the configuration runs, as far as it is found.
func (p *Plan) Installed(ctx context.Context) (all []metrics.Agent) {
	for _, s := range p.config.Services {
		run, ok := agentProbe(s)
		if !ok || slices.ContainsFunc(all, func(a metrics.Agent) bool { return a.Name == run.Preset }) {
			continue
		}
		a := presets.Named(run.Preset)
		found, err := a.Find(run.Codex.Path)
		if err != nil {
			continue
		}
		installed := metrics.Agent{Name: a.Name, Path: found, Version: "unknown", SandboxMode: "none"}
		if version, err := a.Version(ctx, found); err == nil {
			installed.Version = version.String()
		}
		if s.Sandbox != nil {
			installed.SandboxMode = s.Sandbox.Want.String()
		}
		all = append(all, installed)
	}
	return all
}

func (p *Plan) describe(s config.Service) {
	describe := func(spec probe.Spec, interval time.Duration, expectation string) {
		p.info[ledger.KeyOf(spec)] = metrics.Info{Target: spec.Target, Interval: interval.String(), Expectation: expectation}
	}
	for _, c := range s.Probes {
		if isNotRun(c) {
			continue
		}
		describe(probe.Spec{Service: s.Name, Name: c.Name, Kind: c.Kind, Target: target(c)}, c.Interval, c.Expect.String())
		if builtin := builtinProbe(p.config, s, c); builtin != nil {
			describe(builtin.Spec, c.Codex.BuiltinInterval, c.Expect.String())
		}
		if stub := stubProbe(p.config, s, c); stub != nil {
			p.info[ledger.KeyOf(stub.Spec)] = metrics.Info{Target: stub.Target, Expectation: c.Expect.String()}
		}
	}
	if t, ok := statusTask(p.config, s); ok {
		describe(t.Spec, t.Interval, "signed in, and the service is reached")
	}
}

func service(c *config.Config, s config.Service, controls []config.Control) watch.Service {
	planned := watch.Service{
		Name:  s.Name,
		Tasks: make([]watch.Task, 0, len(s.Probes)),
		Expect: diagnose.Expect{Owner: s.Owner, CertificateLeft: s.CertificateLeft, Late: s.Late, Severity: s.Severity,
			Client: s.Reach.Client, Advice: s.Advice, Profile: profile(s)},
		Leaves:       leaves(c, s, controls),
		Confirmation: watch.Confirmation{Votes: s.Moves.Results, Of: s.Moves.Of},
		Intermittent: s.Intermittent,
	}
	c = ownOf(c, s)
	lookups := clientLookups(c, planned.Expect.Client)
	for _, p := range s.Probes {
		if !isNotRun(p) {
			planned.Tasks = append(planned.Tasks, task(c, s, p, lookups))
		}
	}
	if t, ok := statusTask(c, s); ok {
		planned.Tasks = append(planned.Tasks, t)
	}
	if hasFullRounds(c, s) {
		planned.Every = roundInterval(c, s)
	}
	if n := newNameserverProbes(c, s, lookups); len(n.names) > 0 {
		planned.NameserverProbes = n.inRound
	}
	planned.DirectProbes = directProbes(c, s)
	planned.PrefixProbe = prefixProbe(c, s)
	if planned.SandboxProbes = sandboxProbes(c, s); planned.SandboxProbes != nil {
		planned.Expect.Sandbox, planned.Expect.SandboxAdvice = s.Sandbox.Want, s.Sandbox.Advice
		if selfSandboxed().Denied { // a sandbox in this one would show nothing
			planned.SandboxProbes, planned.Expect.SelfSandboxAdvice = nil, grant(s)
		}
	}
	return planned
}

// Up to fullRoundServices, every service gets full rounds. Above that, only services with an agent, a stream or a
// sandbox do: with a thousand names to look up, each would otherwise probe every resolver and control, all day. A
// service with more than fullRoundProbes probes never gets full rounds.
const (
	fullRoundServices = 16
	fullRoundProbes   = 16
)

func hasFullRounds(c *config.Config, s config.Service) bool {
	if len(s.Probes) > fullRoundProbes {
		return false
	}
	long := func(p config.Probe) bool { return p.Kind == probe.KindStream || p.Kind == probe.KindExec }
	return len(c.Services) <= fullRoundServices || s.Sandbox != nil || slices.ContainsFunc(s.Probes, long)
}

// roundInterval returns how often the service gets a full round: as often as its most frequent cheap probe runs.
func roundInterval(c *config.Config, s config.Service) time.Duration {
	var shortest time.Duration
	for _, p := range s.Probes {
		if cheap := p.Kind == probe.KindDNS || p.Kind == probe.KindHTTP; cheap && (shortest == 0 || p.Interval < shortest) {
			shortest = p.Interval
		}
	}
	return cmp.Or(shortest, c.Defaults.Interval)
}

func task(c *config.Config, s config.Service, p config.Probe, lookups *dnsprobe.Client) watch.Task {
	held := func(hold time.Duration) *probe.Probe {
		made := resolvingAs(lookups, newProbe(c, s, p, hold))
		if p.Refused != "" {
			return onLocalServer(made, p.URL, p.Refused)
		}
		if presets.IsRouting(p.URL) {
			return &probe.Probe{Spec: made.Spec, Prober: routing{made.Prober}}
		}
		return made
	}
	long := held(p.Hold)
	t := watch.Task{Probe: long, RoundProbe: long, Interval: p.Interval} // the same: every round runs it
	switch {
	case p.Kind == probe.KindExec:
		t.RoundProbe, t.Costly, t.Daily = nil, p.Preset != "", p.Budget.RunsPerDay
		t.DailyTokens = int64(p.Budget.TokensPerDay)
		t.Stub = stubProbe(c, s, p)
		t.Builtin, t.BuiltinEvery = builtinProbe(c, s, p), p.Codex.BuiltinInterval
	case p.Kind == probe.KindStream && p.Hold > 0:
		t.RoundProbe = held(0)
	}
	if p.Kind == probe.KindHTTP || p.Kind == probe.KindStream {
		t.AtAddress = func(addr netip.Addr) *probe.Probe { return addressProbe(c, s, p, addr) }
	}
	return t
}

func newProbe(c *config.Config, s config.Service, p config.Probe, hold time.Duration) *probe.Probe {
	prober := Prober(c, p, hold)
	reachAs(prober, s.Reach)
	return &probe.Probe{
		Spec: probe.Spec{
			Service: s.Name, Name: p.Name, Kind: p.Kind, Target: target(p),
			Timeout: p.Timeout - p.Hold + hold,
		},
		Prober: prober,
	}
}

// addressProbe returns p as one attempt at a single address of its name.
func addressProbe(c *config.Config, s config.Service, p config.Probe, addr netip.Addr) *probe.Probe {
	at := newProbe(c, s, p, 0)
	at.Role = probe.ServiceAddress
	switch prober := at.Prober.(type) {
	case *httpprobe.Request:
		prober.Address = addr
		at.Prober = httpprobe.SizeCheck{Request: prober}
	case *httpprobe.Stream:
		prober.Address = addr
	}
	return at
}

// directProbes returns the service's HTTP probes with public nameservers and without a proxy.
func directProbes(c *config.Config, s config.Service) []*probe.Probe {
	var all []*probe.Probe
	if len(c.Resolvers.Direct) == 0 || len(s.Probes) > fullRoundProbes {
		return nil
	}
	for _, p := range s.Probes {
		if p.Kind != probe.KindHTTP || len(p.Nameservers) > 0 || hostOf(p) == "" {
			continue
		}
		p.Nameservers, p.Proxy = c.Resolvers.Direct, "none"
		direct := newProbe(c, s, p, 0)
		direct.Vantage = probe.Direct
		all = append(all, direct)
	}
	return all
}

// prefixProbe returns the lookup of this network's NAT64 prefixes by the nameservers that the service's requests use,
// or nil if no request resolves a name.
func prefixProbe(c *config.Config, s config.Service) *probe.Probe {
	i := slices.IndexFunc(s.Probes, func(p config.Probe) bool {
		return (p.Kind == probe.KindHTTP || p.Kind == probe.KindStream) && hostOf(p) != ""
	})
	if i < 0 {
		return nil
	}
	return &probe.Probe{
		Spec: probe.Spec{
			Service: "resolvers", Name: "nat64", Kind: probe.KindDNS, Target: dnsprobe.PrefixName,
			Role: probe.ResolverAsksPrefix, Timeout: c.Defaults.Timeout,
		},
		Prober: dnsprobe.PrefixLookup{Nameservers: nameservers(c, s.Probes[i])},
	}
}

func target(p config.Probe) string {
	if p.Kind == probe.KindExec {
		return cmp.Or(p.Preset, firstOf(p.Command))
	}
	if p.URL != nil {
		return redact.String(p.URL.String()) // the query may contain a key
	}
	return p.Target
}

func firstOf(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return list[0]
}

// hostOf returns the name that a probe has to resolve; it is empty for an address.
func hostOf(p config.Probe) string {
	name := p.Target
	if p.URL != nil {
		name = p.URL.Hostname()
	}
	if !needsDNS(name) {
		return ""
	}
	return name
}
