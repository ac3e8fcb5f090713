package watch

import (
	"context"
	"slices"
	"sync"
	"time"

	"netwatchd/internal/diagnose"
	"netwatchd/internal/probe"
)

// Once makes one full round for every service, all at the same moment, and says what it shows. Costly probes and long
// ones are left out, or made in their short form. What a line that loses packets may look like is asked once more
// before anyone is blamed for it.
func Once(ctx context.Context, plan Plan, version string) *Status {
	status := &Status{At: time.Now(), Version: version, Services: make([]ServiceStatus, len(plan.Services)), Notes: plan.Notes}
	var all sync.WaitGroup
	environmentResults := startAll(ctx, &all, plan.Environment())
	own := make([]func() []probe.Result, len(plan.Services))
	inSandbox := make([][]probe.Result, len(plan.Services))
	for i, s := range plan.Services {
		own[i] = startAll(ctx, &all, s.onceProbes())
		if s.SandboxProbes != nil {
			all.Go(func() { inSandbox[i], _ = s.SandboxProbes.Run(ctx, 0) })
		}
	}
	all.Wait()
	environment := environmentResults()
	status.Sandboxed = sandboxed(environment)
	rounds, repeated := make([][]probe.Result, len(own)), make([]func() []probe.Result, len(own))
	for i, s := range plan.Services {
		rounds[i] = slices.Concat(own[i](), inSandbox[i], environment)
		repeated[i] = startAll(ctx, &all, s.repeats(rounds[i]))
	}
	all.Wait()
	for i, s := range plan.Services {
		verdict, results := s.judge(append(rounds[i], repeated[i]()...))
		took := probe.InSeconds(time.Since(status.At))
		status.Services[i] = ServiceStatus{Verdict: verdict, Since: status.At, Delay: took, Results: results}
	}
	return status
}

// doubted are the attempts to be made again before the service or the resolver is blamed for results: those that failed, as
// many times over as a confirming round makes them, and in its haste.
func (s *Service) repeats(results []probe.Result) []*probe.Probe {
	switch v, _ := s.judge(results); v.Cause {
	case diagnose.Resolver, diagnose.Upstream, diagnose.Stream:
	default:
		return nil
	}
	var failed []*probe.Probe
	for _, t := range s.Tasks {
		if t.RoundProbe != nil && slices.ContainsFunc(results, func(r probe.Result) bool { return !r.OK() && r.Spec == t.RoundProbe.Spec }) {
			failed = append(failed, withTimeout(confirmTimeout, t.RoundProbe))
		}
	}
	return slices.Repeat(failed[:min(len(failed), sampleSize/confirmRepeats)], confirmRepeats)
}

// probes are all the attempts about s that a single round can afford.
func (s *Service) onceProbes() []*probe.Probe {
	var probes []*probe.Probe
	for _, t := range s.Tasks {
		if t.RoundProbe != nil {
			probes = append(probes, t.RoundProbe)
		}
	}
	if s.NameserverProbes != nil {
		probes = append(probes, s.NameserverProbes()...)
	}
	return append(probes, s.DirectProbes...)
}

// startAll starts every attempt and returns where its results will be once all has been waited for.
func startAll(ctx context.Context, all *sync.WaitGroup, probes []*probe.Probe) func() []probe.Result {
	results := make([]probe.Result, len(probes))
	made := make([]bool, len(probes))
	for i, p := range probes {
		all.Go(func() { results[i], made[i] = probe.Do(ctx, p) })
	}
	return func() []probe.Result {
		var back []probe.Result
		for i, r := range results {
			if made[i] {
				back = append(back, r)
			}
		}
		return back
	}
}

func sandboxed(results []probe.Result) Sandboxed {
	for _, r := range results {
		if r.Role == probe.OfHost && r.Name == probe.LookSandbox {
			return Sandboxed{Denied: r.Class == probe.LocalDenied, Signals: r.Signals}
		}
	}
	return Sandboxed{}
}
