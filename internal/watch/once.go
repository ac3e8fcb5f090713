package watch

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"time"

	"netwatchd/internal/causes"
	"netwatchd/internal/diagnose"
	"netwatchd/internal/probe"
)

// Once makes one full round for every service, all at the same time, and returns the verdicts. Costly probes are left
// out, and long ones run in their round form. A failure that packet loss could explain is repeated before it counts.
func Once(ctx context.Context, plan Plan, version string) *Status {
	status := &Status{At: time.Now(), Version: version, Notes: plan.Notes}
	status.Services = make([]ServiceStatus, len(plan.Services))
	var all sync.WaitGroup
	shared := plan.Environment()
	environmentResults := startAll(ctx, &all, shared.Probes)
	own := make([]func() []probe.Result, len(plan.Services))
	inSandbox := make([][]probe.Result, len(plan.Services))
	for i, s := range plan.Services {
		own[i] = startAll(ctx, &all, s.onceProbes(shared.Nameservers))
		if s.SandboxProbes != nil {
			all.Go(func() { inSandbox[i], _ = s.SandboxProbes.Run(ctx, 0) })
		}
	}
	all.Wait()
	environment := environmentResults()
	status.Sandboxed = sandboxed(environment)
	rounds, repeated := make([][]probe.Result, len(own)), make([]func() []probe.Result, len(own))
	for i, s := range plan.Services {
		rounds[i] = slices.Concat(own[i](), inSandbox[i], s.ofEnvironment(environment))
		repeated[i] = startAll(ctx, &all, append(s.repeats(rounds[i]), s.addressRepeats(rounds[i])...))
	}
	all.Wait()
	for i, s := range plan.Services {
		verdict, results := s.judge(diagnose.Round{Results: append(rounds[i], repeated[i]()...)})
		took := probe.InSeconds(time.Since(status.At))
		status.Services[i] = ServiceStatus{Verdict: verdict, Since: status.At, Delay: took, Results: results}
	}
	status.HostFaults = Overview(status.Services).HostFaults
	return status
}

// repeats returns the attempts to make again before results are blamed on the service or the resolver: those that
// failed, as often and with as little time as in a confirming round.
func (s *Service) repeats(results []probe.Result) []*probe.Probe {
	switch v, _ := s.judge(diagnose.Round{Results: results}); v.Cause {
	case causes.Resolver, causes.Upstream, causes.Stream:
	default:
		return nil
	}
	var failed []*probe.Probe
	for _, t := range s.Tasks {
		if t.RoundProbe == nil || t.Status {
			continue
		}
		if slices.ContainsFunc(results, func(r probe.Result) bool { return !r.OK() && r.Spec == t.RoundProbe.Spec }) {
			failed = append(failed, withTimeout(confirmTimeout, t.RoundProbe))
		}
	}
	return slices.Repeat(failed[:min(len(failed), sampleSize/confirmRepeats)], confirmRepeats)
}

// addressRepeats returns the attempts at each address of the service's names, as results resolved them.
func (s *Service) addressRepeats(results []probe.Result) []*probe.Probe {
	probes := s.atEachAddress(func(t Task) (attemptEnd, bool) {
		i := slices.IndexFunc(results, func(r probe.Result) bool {
			return t.RoundProbe != nil && r.Spec == t.RoundProbe.Spec
		})
		if i < 0 {
			return attemptEnd{}, false
		}
		return endOf(results[i]), true
	})
	for i, p := range probes {
		probes[i] = withTimeout(confirmTimeout, p)
	}
	return probes
}

// onceProbes returns every probe of s that a single round can run.
func (s *Service) onceProbes(nameservers []netip.AddrPort) []*probe.Probe {
	var probes []*probe.Probe
	for _, t := range s.Tasks {
		if t.RoundProbe != nil {
			probes = append(probes, t.RoundProbe)
		}
	}
	if s.NameserverProbes != nil {
		probes = append(probes, s.NameserverProbes(nameservers, probes)...)
	}
	return append(probes, s.DirectProbes...)
}

// startAll starts an attempt of every probe. The function it returns may be called after all.Wait, and returns the
// results.
func startAll(ctx context.Context, all *sync.WaitGroup, probes []*probe.Probe) func() []probe.Result {
	results := make([]probe.Result, len(probes))
	made := make([]bool, len(probes))
	for i, p := range probes {
		all.Go(func() { results[i], made[i] = probe.Do(ctx, p) })
	}
	return func() []probe.Result {
		var ended []probe.Result
		for i, r := range results {
			if made[i] {
				ended = append(ended, r)
			}
		}
		return ended
	}
}

func sandboxed(results []probe.Result) Sandboxed {
	for _, r := range results {
		if r.Role == probe.OfHost && r.Name == probe.CheckSandbox {
			return Sandboxed{Denied: r.Class == probe.LocalDenied, Signals: r.Signals}
		}
	}
	return Sandboxed{}
}
