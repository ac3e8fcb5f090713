package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"netwatchd/internal/client"
	"netwatchd/internal/config"
	"netwatchd/internal/diagnose"
	"netwatchd/internal/exposure"
	"netwatchd/internal/history"
	"netwatchd/internal/host"
	"netwatchd/internal/incident"
	"netwatchd/internal/outcome"
	"netwatchd/internal/plan"
	"netwatchd/internal/probe"
	"netwatchd/internal/screen"
	"netwatchd/internal/snapshot"
	"netwatchd/internal/watch"
)

func (a *app) backtestCommand() *cobra.Command {
	b := &backtest{app: a}
	cmd := &cobra.Command{
		Use:   "backtest",
		Short: "Run the agent on the host and in its sandbox, and compare (costs tokens)",
		Long: `Run the agent several times, one run at a time: first on this host, then
inside its sandbox. Then run one full round of probes and print the verdict.

The runs are recorded, by the daemon if it runs. If the sandbox is closed as
configured and a run failed in it, that is an observation, not a fault:
"netwatchd incidents" lists it, and "netwatchd explain ID" prints its report.

If a run on the host fails and the installation may be the reason, one more run
is made against a stub of the service that netwatchd serves on 127.0.0.1. It
costs nothing: if it succeeds, the installation works.

Each run that reaches the model costs a few thousand tokens. These runs do not
count against the daemon's daily budget. A run inside a closed sandbox never
reaches the model and costs nothing.

While someone else answers in place of the service, nothing is run: the prompt
and the credentials would go there. --allow-interception runs it all the same.

Exit code: 0 if every run on the host gave the expected output, regardless of
the sandbox; 1 if one did not, or if nothing was run; 3 for a usage or configuration error.`,
		RunE: func(cmd *cobra.Command, _ []string) error { return b.run(cmd.Context()) },
	}
	f := cmd.Flags()
	f.IntVarP(&b.n, "runs", "n", 3, "`number` of runs on the host, and again in the sandbox")
	f.BoolVar(&b.sandbox, "sandbox", true, "also run in the sandbox, if one is configured")
	f.StringVar(&b.service, "service", "", "`name` of the service whose agent to run, if several services have one")
	f.BoolVar(&b.exposed, "allow-interception", false, "run the agent even if someone else answers in place of its service")
	f.BoolVar(&b.asJSON, "json", false, "print the runs and the verdict as JSON")
	return cmd
}

// A backtest compares runs of the agent on the host and in its sandbox.
type backtest struct {
	*app
	n       int
	sandbox bool
	service string
	exposed bool
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
	Want    string           `json:"want,omitempty"`    // the configured state of the sandbox
	Stub    *probe.Result    `json:"stub,omitempty"`    // the run against a stub of the service, if there was one
	NotRun  string           `json:"not_run,omitempty"` // why there are no runs
	Verdict diagnose.Verdict `json:"verdict"`

	Incident string `json:"incident,omitempty"` // the ID of the incident or observation whose report has the runs
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
	if e := exposure.Of(ctx, p.Plan, agent, build().Version); e != nil && !b.exposed {
		return b.refuse(e)
	} else if e != nil {
		fmt.Fprintf(b.errs, "netwatchd: %v\n", e)
	}
	o := screenOptions(b.out, false)
	if !b.asJSON {
		if err := screen.BacktestHeading(b.out, o); err != nil {
			return failed(err)
		}
	}
	runs, stub, skipped, err := b.runs(ctx, agent, o)
	if err != nil {
		return failed(err)
	}
	snapshotOptions := p.Agent()
	p.Services = []watch.Service{agent.Service}
	round := watch.Once(ctx, p.Plan, build().Version).Services[0]
	if ctx.Err() != nil {
		return failed(ctx.Err())
	}
	round.Results = slices.Concat(runs, stub, round.Results)
	round.Verdict = diagnose.Of(diagnose.Round{Service: agent.Service.Name, Results: round.Results,
		Expect: agent.Service.Expect})
	recorded, err := b.record(ctx, c, agent, runs, round, snapshotOptions)
	if err != nil {
		fmt.Fprintf(b.errs, "netwatchd: the runs are not recorded: %v\n", err)
	}
	if err := b.report(agent, runs, stub, skipped, agent.Conclusion(round), recorded, o); err != nil {
		return failed(err)
	}
	if onHost := count(runs, probe.FromHost); onHost.OK < onHost.Of {
		return done(exitFault)
	}
	return nil
}

// refuse says why there are no runs.
func (b *backtest) refuse(e *exposure.Exposure) error {
	why := "the agent was not run: " + e.String()
	if b.asJSON {
		if err := printJSON(b.out, "backtest", backtestReport{Service: e.Verdict.Service, Runs: []probe.Result{}, NotRun: why,
			Verdict: e.Verdict}); err != nil {
			return failed(err)
		}
	}
	return failed(errors.New(why + " Fix that first, or add --allow-interception."))
}

// record has the running daemon record the runs or, if none responds, writes them to the store. It returns the incident
// whose report has the runs; nil: none.
func (b *backtest) record(ctx context.Context, c *config.Config, agent plan.Agent, runs []probe.Result,
	round watch.ServiceStatus, o snapshot.Options,
) (*incident.Incident, error) {
	text, err := json.Marshal(snapshot.Take(ctx, o))
	if err != nil {
		return nil, err
	}
	report := &incident.Backtest{
		Service: agent.Service.Name, Want: agent.Want.String(), Runs: runs, Status: round, Snapshot: text,
	}
	remote := &client.Options{URL: os.Getenv("NETWATCHD_URL")}
	daemon, _, unreachable := b.daemon(ctx, c, remote)
	if unreachable == nil {
		return daemon.RecordBacktest(ctx, report)
	}
	found, err := history.WriteBacktest(ctx, c.Storage.Path, report)
	switch {
	case err == nil:
		return found, nil
	case !errors.Is(unreachable, errNotAsked):
		return nil, fmt.Errorf("%w\n%w", unreachable, err)
	}
	if daemon, ok := b.daemonOf(ctx, c, remote); ok {
		return daemon.RecordBacktest(ctx, report)
	}
	return nil, err
}

// daemonOf returns the daemon that uses the store at --storage.path, if it responds at the configured address.
func (b *backtest) daemonOf(ctx context.Context, c *config.Config, o *client.Options) (*client.Client, bool) {
	daemon, err := newClient(c, *o)
	if err != nil {
		return nil, false
	}
	status, err := daemon.Status(ctx)
	if err != nil {
		return nil, false
	}
	path, err := filepath.Abs(c.Storage.Path)
	return daemon, err == nil && status.Storage == path
}

func (b *backtest) choose(p *plan.Plan) (plan.Agent, error) {
	agents := p.Agents()
	if why := p.NoRun(b.service); why != "" {
		return plan.Agent{}, failed(errors.New(why))
	}
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
// skipped is the reason. If a run on the host failed in a way that the installation may explain, one run against a stub
// follows: it is the only result in stub.
func (b *backtest) runs(ctx context.Context, agent plan.Agent, o screen.Options) (
	runs, stub []probe.Result, skipped string, err error,
) {
	probes := []*probe.Probe{agent.Host}
	if b.sandbox && agent.Inside != nil {
		probes = append(probes, agent.Inside)
	}
	for _, p := range probes {
		if p == agent.Inside && slices.ContainsFunc(runs, accountRefused) {
			return runs, stub, "the account was refused on the host", nil
		}
		for range b.n {
			r, ok := probe.Do(ctx, p)
			if !ok {
				return nil, nil, "", ctx.Err()
			}
			runs = append(runs, r)
			if n := len(runs); n > 1 && r.Why != "" && r.Why == runs[n-2].Why {
				r.Why = "same error"
			}
			if err := b.printRun(len(runs), r, agent.Want, o); err != nil {
				return nil, nil, "", err
			}
		}
		if p != agent.Host || agent.Stub == nil || !slices.ContainsFunc(runs, outcome.NeedsStub) {
			continue
		}
		r, ok := probe.Do(ctx, agent.Stub)
		if !ok {
			return nil, nil, "", ctx.Err()
		}
		stub = []probe.Result{r}
		if err := b.printRun(0, r, agent.Want, o); err != nil {
			return nil, nil, "", err
		}
	}
	return runs, stub, "", nil
}

// printRun prints the n-th run, unless everything is printed as JSON at the end.
func (b *backtest) printRun(n int, r probe.Result, want diagnose.Want, o screen.Options) error {
	if b.asJSON {
		return nil
	}
	return screen.BacktestRun(b.out, n, r, want, o)
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
	agent plan.Agent, runs, stub []probe.Result, skipped string, v diagnose.Verdict, i *incident.Incident,
	o screen.Options,
) error {
	onHost, inSandbox := count(runs, probe.FromHost), count(runs, probe.FromSandbox)
	if !b.asJSON {
		return screen.BacktestEnd(b.out, screen.Backtest{HostOK: onHost.OK, Host: onHost.Of, SandboxOK: inSandbox.OK,
			Sandbox: inSandbox.Of, Want: agent.Want, Left: skipped, Verdict: v, Incident: i}, o)
	}
	report := backtestReport{Service: agent.Service.Name, Runs: runs, Host: onHost, Verdict: v}
	if inSandbox.Of > 0 {
		report.Sandbox, report.Want = &inSandbox, agent.Want.String()
	}
	if len(stub) > 0 {
		report.Stub = &stub[0]
	}
	if i != nil {
		report.Incident = i.ID
	}
	return printJSON(b.out, "backtest", report)
}
