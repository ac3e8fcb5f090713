package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"netwatchd/internal/diagnose"
	"netwatchd/internal/host"
	"netwatchd/internal/plan"
	"netwatchd/internal/probe"
	"netwatchd/internal/screen"
	"netwatchd/internal/watch"
)

func (a *app) backtestCommand() *cobra.Command {
	b := &backtest{app: a}
	cmd := &cobra.Command{
		Use:   "backtest",
		Short: "Run the agent on the host and in its sandbox, and compare (costs tokens)",
		Long: `Run the agent several times, one run at a time: first on this host, then
inside its sandbox. Then run one full round of probes and print the verdict.

Each run that reaches the model costs a few thousand tokens. These runs do not
count against the daemon's daily budget. A run inside a closed sandbox never
reaches the model and costs nothing.

Exit code: 0 if every run on the host gave the expected output, regardless of
the sandbox; 1 if one did not; 3 for a usage or configuration error.`,
		RunE: func(cmd *cobra.Command, _ []string) error { return b.run(cmd.Context()) },
	}
	f := cmd.Flags()
	f.IntVarP(&b.n, "runs", "n", 3, "`number` of runs on the host, and again in the sandbox")
	f.BoolVar(&b.sandbox, "sandbox", true, "also run in the sandbox, if one is configured")
	f.StringVar(&b.service, "service", "", "`name` of the service whose agent to run, if several services have one")
	f.BoolVar(&b.asJSON, "json", false, "print the runs and the verdict as JSON")
	return cmd
}

// A backtest compares runs of the agent on the host and in its sandbox.
type backtest struct {
	*app
	n       int
	sandbox bool
	service string
	asJSON  bool
}

// maxRuns keeps a typing error from spending a day's tokens.
const maxRuns = 20

// A backtestReport is what --json prints.
type backtestReport struct {
	Service string           `json:"service"`
	Runs    []probe.Result   `json:"runs"`
	Host    tally            `json:"host"`
	Sandbox *tally           `json:"sandbox,omitempty"`
	Want    string           `json:"want,omitempty"` // the configured state of the sandbox
	Verdict diagnose.Verdict `json:"verdict"`
}

// A tally counts the runs that gave the expected output.
type tally struct {
	OK int `json:"ok"`
	Of int `json:"of"`
}

func (b *backtest) run(ctx context.Context) error {
	if b.n < 1 || b.n > maxRuns {
		return fmt.Errorf("--runs %d: must be between 1 and %d", b.n, maxRuns)
	}
	c, err := b.load()
	if err != nil {
		return err
	}
	p := plan.Of(c)
	agent, err := b.choose(p)
	if err != nil {
		return err
	}
	if sandbox := host.DetectSandbox(); sandbox.Denied {
		return failed(fmt.Errorf("%s: run backtest outside the sandbox; netwatchd check shows the details", sandbox.Why))
	}
	o := screenOptions(b.out, false)
	if !b.asJSON {
		if err := screen.BacktestHeading(b.out, o); err != nil {
			return failed(err)
		}
	}
	runs, skipped, err := b.runs(ctx, agent, o)
	if err != nil {
		return failed(err)
	}
	p.Services = []watch.Service{agent.Service}
	round := watch.Once(ctx, p.Plan, build().Version).Services[0]
	if ctx.Err() != nil {
		return failed(ctx.Err())
	}
	verdict := diagnose.Of(diagnose.Round{Service: agent.Service.Name, Results: slices.Concat(runs, round.Results),
		Expect: agent.Service.Expect})
	if err := b.report(agent, runs, skipped, verdict, o); err != nil {
		return failed(err)
	}
	if onHost := count(runs, probe.FromHost); onHost.OK < onHost.Of {
		return done(exitFault)
	}
	return nil
}

func (b *backtest) choose(p *plan.Plan) (plan.Agent, error) {
	agents := p.Agents()
	if b.service != "" {
		agents = slices.DeleteFunc(agents, func(a plan.Agent) bool { return a.Service.Name != b.service })
	}
	switch {
	case len(agents) == 1:
		return agents[0], nil
	case len(agents) > 1:
		return plan.Agent{}, errors.New("several services have an agent: select one with --service")
	case len(p.Notes) > 0:
		return plan.Agent{}, failed(errors.New(strings.Join(p.Notes, "; ")))
	case b.service != "":
		return plan.Agent{}, fmt.Errorf("--service %q: no service of this name has a probe of kind exec", b.service)
	}
	return plan.Agent{}, errors.New("no service has an agent: add a probe of kind exec to one")
}

// runs runs the agent, one run at a time, and shows each result as it arrives. It skips the sandbox if the account
// was refused on the host: there is nothing to compare, and codex must not renew a sign-in where it cannot save it.
// skipped is the reason.
func (b *backtest) runs(ctx context.Context, agent plan.Agent, o screen.Options) (
	runs []probe.Result, skipped string, err error,
) {
	probes := []*probe.Probe{agent.Host}
	if b.sandbox && agent.Inside != nil {
		probes = append(probes, agent.Inside)
	}
	for _, p := range probes {
		if p == agent.Inside && slices.ContainsFunc(runs, accountRefused) {
			return runs, "the account was refused on the host", nil
		}
		for range b.n {
			r, ok := probe.Do(ctx, p)
			if !ok {
				return nil, "", ctx.Err()
			}
			runs = append(runs, r)
			if b.asJSON {
				continue
			}
			if n := len(runs); n > 1 && r.Why != "" && r.Why == runs[n-2].Why {
				r.Why = "same error"
			}
			if err := screen.BacktestRun(b.out, len(runs), r, o); err != nil {
				return nil, "", err
			}
		}
	}
	return runs, "", nil
}

func accountRefused(r probe.Result) bool {
	return r.Class == probe.ExecNotLoggedIn || r.Class == probe.ExecUnauthorized || r.Class == probe.ExecUsageLimit
}

func count(runs []probe.Result, from probe.Vantage) tally {
	var n tally
	for _, r := range runs {
		if r.Vantage != from {
			continue
		}
		n.Of++
		if r.OK() {
			n.OK++
		}
	}
	return n
}

func (b *backtest) report(
	agent plan.Agent, runs []probe.Result, skipped string, v diagnose.Verdict, o screen.Options,
) error {
	onHost, inSandbox := count(runs, probe.FromHost), count(runs, probe.FromSandbox)
	if !b.asJSON {
		return screen.BacktestEnd(b.out, screen.Backtest{HostOK: onHost.OK, Host: onHost.Of, SandboxOK: inSandbox.OK,
			Sandbox: inSandbox.Of, Want: agent.Want, Left: skipped, Verdict: v}, o)
	}
	report := backtestReport{Service: agent.Service.Name, Runs: runs, Host: onHost, Verdict: v}
	if inSandbox.Of > 0 {
		report.Sandbox, report.Want = &inSandbox, agent.Want.String()
	}
	return printJSON(b.out, report)
}
