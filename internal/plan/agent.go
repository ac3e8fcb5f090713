package plan

import (
	"context"
	"slices"

	"netwatchd/internal/agent"
	"netwatchd/internal/causes"
	"netwatchd/internal/config"
	"netwatchd/internal/diagnose"
	"netwatchd/internal/presets"
	"netwatchd/internal/probe"
	"netwatchd/internal/watch"
)

// An Agent is the exec probe of a service, for a caller that runs it outside the schedule.
type Agent struct {
	Service watch.Service
	Host    *probe.Probe
	Stub    *probe.Probe // the same run against a stub of the service; nil: the agent has none
	Inside  *probe.Probe // the same run inside the agent's sandbox; nil if the service has no sandbox
	Want    diagnose.Want
	Sends   agent.Mode // which credentials a run sends; empty: not known
}

// Agents returns the agent of every service that has an exec probe.
func (p *Plan) Agents() []Agent {
	var all []Agent
	for i, s := range p.config.Services {
		first := slices.IndexFunc(s.Probes, func(p config.Probe) bool { return p.Kind == probe.KindExec })
		if first < 0 {
			continue
		}
		run := s.Probes[first]
		if isNotRun(run) {
			continue
		}
		a := Agent{Service: p.Services[i], Host: newProbe(p.config, s, run, 0),
			Stub: stubProbe(p.config, s, run)}
		known := presets.Named(run.Preset)
		if known != nil {
			_, endpoint := inspect(p.config, known, run)
			a.Sends = endpoint.Mode
		}
		if s.Sandbox != nil && (known == nil || known.Wraps) {
			spec := a.Host.Spec
			spec.Vantage = probe.FromSandbox
			a.Want = s.Sandbox.Want
			a.Inside = &probe.Probe{Spec: spec, Prober: wrappedRun{wrapperOf(p.config, s), p.config, run}}
		}
		all = append(all, a)
	}
	return all
}

// isNotRun reports whether an exec probe has an agent that netwatchd knows and does not run: the probe names it, and
// its installation.
func isNotRun(p config.Probe) bool {
	a := presets.Named(p.Preset)
	return a != nil && a.Run == nil
}

// noRun returns why the agent of a service is not run, or "" if it is, or if the service names none.
func noRun(s config.Service) string {
	if run, ok := agentProbe(s); ok && isNotRun(run) {
		return presets.Named(run.Preset).NoRun
	}
	return ""
}

// NoRun returns why the agent of the named service is not run, or "" if it is.
func (p *Plan) NoRun(service string) string {
	for _, s := range p.config.Services {
		if s.Name == service {
			return noRun(s)
		}
	}
	return ""
}

// Conclusion returns the verdict on a round with runs of a, for people. Runs that fail in a sandbox that is closed as
// configured confirm the configuration: they are recorded as an observation, and the verdict is the one without them.
func (a Agent) Conclusion(round watch.ServiceStatus) diagnose.Verdict {
	blamed := func(f diagnose.Finding) bool { return f.Cause == causes.Sandbox }
	if a.Want != diagnose.WantClosed || round.Cause != causes.Sandbox && !slices.ContainsFunc(round.Also, blamed) {
		return round.Verdict
	}
	others := slices.DeleteFunc(slices.Clone(round.Results), func(r probe.Result) bool {
		return r.Kind == probe.KindExec && r.Vantage == probe.FromSandbox
	})
	return diagnose.Of(diagnose.Round{Service: a.Service.Name, Results: others, Expect: a.Service.Expect})
}

// statusTask returns the task that asks the service's agent about itself. It reports false if there is none.
func statusTask(c *config.Config, s config.Service) (watch.Task, bool) {
	run, ok := agentProbe(s)
	if !ok || !run.Status.Enabled {
		return watch.Task{}, false
	}
	a := presets.Named(run.Preset)
	if a.Status == nil {
		return watch.Task{}, false
	}
	// Without a timeout: the prober may have to wait for a run of the agent, and then has a timeout of its own.
	asked := &probe.Probe{
		Spec:   probe.Spec{Service: s.Name, Name: run.Name + statusSuffix, Kind: probe.KindStatus, Target: run.Preset},
		Prober: a.Status(settings(c, run), run.Status.Timeout),
	}
	return watch.Task{Probe: asked, Interval: run.Status.Interval,
		RoundProbe: &probe.Probe{Spec: asked.Spec, Prober: asked.Prober},
		Status:     true}, true
}

// statusSuffix follows the name of the agent's run in the name of what the agent reports about itself.
const statusSuffix = "-status"

// wrappedRun runs the agent in its sandbox.
type wrappedRun struct {
	wrapper
	config *config.Config
	run    config.Probe
}

func (w wrappedRun) Probe(ctx context.Context) (probe.Facts, error) {
	wrap, err := w.runCommand(ctx)
	if err != nil {
		return probe.Facts{Phase: probe.Executing}, err
	}
	if a := presets.Named(w.run.Preset); a != nil {
		return a.Run(settings(w.config, w.run), wrap).Probe(ctx)
	}
	return commandRun(slices.Concat(wrap, w.run.Command), w.run.Expect.Output).Probe(ctx)
}
