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
	t := &backtest{app: a}
	cmd := &cobra.Command{
		Use:   "backtest",
		Short: "Run the agent a few times, on this host and in its sandbox, and compare (costs tokens)",
		Long: `Run the agent a few times, one run after the other: on this host, then inside its sandbox. Then make one full round
and say what it all comes to.

Every run that reaches the model costs tokens, some thousand each; they do not count against the daemon's daily budget.
A run inside a closed sandbox reaches nothing and costs nothing.

Exit code: 0 if every run on the host said what it should, whatever the sandbox does; 1 if not; 3 usage or configuration.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return t.run(cmd.Context()) },
	}
	f := cmd.Flags()
	f.IntVarP(&t.n, "runs", "n", 3, "how many runs on each side")
	f.BoolVar(&t.sandbox, "sandbox", true, "run it in the sandbox as well, if one is configured")
	f.StringVar(&t.service, "service", "", "whose agent; needed if several services have one")
	f.BoolVar(&t.asJSON, "json", false, "print the runs and the verdict as JSON")
	return cmd
}

// A backtest compares runs of the agent.
type backtest struct {
	*app
	n       int
	sandbox bool
	service string
	asJSON  bool
}

// mostRuns keeps a typing error from spending a day's tokens.
const mostRuns = 20

// A tested is a backtest as programs read it.
type tested struct {
	Service string           `json:"service"`
	Runs    []probe.Result   `json:"runs"`
	Host    tally            `json:"host"`
	Sandbox *tally           `json:"sandbox,omitempty"`
	Want    string           `json:"want,omitempty"` // how the sandbox should be
	Verdict diagnose.Verdict `json:"verdict"`
}

// A tally says how many of some runs said what they should.
type tally struct {
	OK int `json:"ok"`
	Of int `json:"of"`
}

func (t *backtest) run(ctx context.Context) error {
	if t.n < 1 || t.n > mostRuns {
		return fmt.Errorf("--runs %d: use 1 to %d", t.n, mostRuns)
	}
	c, err := t.load()
	if err != nil {
		return err
	}
	p := plan.Of(c)
	agent, err := t.choose(p)
	if err != nil {
		return err
	}
	if look := host.DetectSandbox(); look.Denied {
		return failed(fmt.Errorf("%s: run this outside; netwatchd check says more", look.Why))
	}
	o := screenOptions(t.out, false)
	if !t.asJSON {
		if err := screen.BacktestHeading(t.out, o); err != nil {
			return failed(err)
		}
	}
	runs, left, err := t.runs(ctx, agent, o)
	if err != nil {
		return failed(err)
	}
	p.Services = []watch.Service{agent.Service}
	round := watch.Once(ctx, p.Plan, build().Version).Services[0]
	if ctx.Err() != nil {
		return failed(ctx.Err())
	}
	verdict := diagnose.Of(diagnose.Round{Service: agent.Service.Name, Results: slices.Concat(runs, round.Results), Expect: agent.Service.Expect})
	if err := t.conclude(agent, runs, left, verdict, o); err != nil {
		return failed(err)
	}
	if ok := count(runs, probe.FromHost); ok.OK < ok.Of {
		return done(exitFault)
	}
	return nil
}

func (t *backtest) choose(p *plan.Plan) (plan.Agent, error) {
	agents := p.Agents()
	if t.service != "" {
		agents = slices.DeleteFunc(agents, func(a plan.Agent) bool { return a.Service.Name != t.service })
	}
	switch {
	case len(agents) == 1:
		return agents[0], nil
	case len(agents) > 1:
		return plan.Agent{}, errors.New("several services have an agent: choose one with --service")
	case len(p.Notes) > 0:
		return plan.Agent{}, failed(errors.New(strings.Join(p.Notes, "; ")))
	case t.service != "":
		return plan.Agent{}, fmt.Errorf("--service %q: there is no such service with a probe of kind exec", t.service)
	}
	return plan.Agent{}, errors.New("no service has an agent: give one a probe of kind exec")
}

// runs makes the runs, never two at once, and shows each as it ends. It makes none inside if the account says no outside:
// there is nothing to compare, and a sign-in must not be renewed where it cannot be saved.
func (t *backtest) runs(ctx context.Context, agent plan.Agent, o screen.Options) (runs []probe.Result, left string, err error) {
	sides := []*probe.Probe{agent.Host}
	if t.sandbox && agent.Inside != nil {
		sides = append(sides, agent.Inside)
	}
	for _, side := range sides {
		if side == agent.Inside && slices.ContainsFunc(runs, ofAccount) {
			return runs, "the account says no", nil
		}
		for range t.n {
			r, ok := probe.Do(ctx, side)
			if !ok {
				return nil, "", ctx.Err()
			}
			runs = append(runs, r)
			if t.asJSON {
				continue
			}
			if n := len(runs); n > 1 && r.Why != "" && r.Why == runs[n-2].Why {
				r.Why = "same error"
			}
			if err := screen.BacktestRun(t.out, len(runs), r, o); err != nil {
				return nil, "", err
			}
		}
	}
	return runs, "", nil
}

func ofAccount(r probe.Result) bool {
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

func (t *backtest) conclude(agent plan.Agent, runs []probe.Result, left string, v diagnose.Verdict, o screen.Options) error {
	outside, inside := count(runs, probe.FromHost), count(runs, probe.FromSandbox)
	if !t.asJSON {
		return screen.BacktestEnd(t.out, screen.Backtest{HostOK: outside.OK, Host: outside.Of, SandboxOK: inside.OK,
			Sandbox: inside.Of, Want: agent.Want, Left: left, Verdict: v}, o)
	}
	all := tested{Service: agent.Service.Name, Runs: runs, Host: outside, Verdict: v}
	if inside.Of > 0 {
		all.Sandbox, all.Want = &inside, agent.Want.String()
	}
	return printJSON(t.out, all)
}
