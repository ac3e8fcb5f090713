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
	environment := together(ctx, &all, plan.Environment())
	own := make([]func() []probe.Result, len(plan.Services))
	twins := make([][]probe.Result, len(plan.Services))
	for i, s := range plan.Services {
		own[i] = together(ctx, &all, s.quick())
		if s.SandboxProbes != nil {
			all.Go(func() { twins[i], _ = s.SandboxProbes.Run(ctx, 0) })
		}
	}
	all.Wait()
	around := environment()
	status.Sandboxed = sandboxed(around)
	rounds, repeated := make([][]probe.Result, len(own)), make([]func() []probe.Result, len(own))
	for i, s := range plan.Services {
		rounds[i] = slices.Concat(own[i](), twins[i], around)
		repeated[i] = together(ctx, &all, s.doubted(rounds[i]))
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
func (s *Service) doubted(results []probe.Result) []*probe.Probe {
	switch v, _ := s.judge(results); v.Cause {
	case diagnose.Resolver, diagnose.Upstream, diagnose.Stream:
	default:
		return nil
	}
	var failed []*probe.Probe
	for _, t := range s.Tasks {
		if t.RoundProbe != nil && slices.ContainsFunc(results, func(r probe.Result) bool { return !r.OK() && r.Spec == t.RoundProbe.Spec }) {
			failed = append(failed, within(patience, t.RoundProbe))
		}
	}
	return slices.Repeat(failed[:min(len(failed), sampleSize/again)], again)
}

// quick are all the attempts about s that a single round can afford.
func (s *Service) quick() []*probe.Probe {
	var quick []*probe.Probe
	for _, t := range s.Tasks {
		if t.RoundProbe != nil {
			quick = append(quick, t.RoundProbe)
		}
	}
	if s.NameserverProbes != nil {
		quick = append(quick, s.NameserverProbes()...)
	}
	return append(quick, s.DirectProbes...)
}

// together starts every attempt and returns where its results will be once all has been waited for.
func together(ctx context.Context, all *sync.WaitGroup, probes []*probe.Probe) func() []probe.Result {
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
