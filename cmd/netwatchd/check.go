package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"netwatchd/internal/causes"
	"netwatchd/internal/config"
	"netwatchd/internal/hearsay"
	"netwatchd/internal/host"
	"netwatchd/internal/plan"
	"netwatchd/internal/probe"
	"netwatchd/internal/screen"
	"netwatchd/internal/statusfile"
	"netwatchd/internal/statusline"
	"netwatchd/internal/watch"
)

func (a *app) checkCommand() *cobra.Command {
	var asJSON, verbose bool
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Run one full round of probes now and report whose fault it is",
		Long: `Run one full round of probes now: this host, its resolvers, the controls and
the service. Costs no tokens.

Inside an agent's sandbox, report what the sandbox denies and what the daemon
on the host last saw.

Exit code: 0 healthy, 1 fault, 2 inconclusive, 3 usage or configuration error.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.load()
			if err != nil {
				return err
			}
			return a.check(cmd.Context(), c, asJSON, verbose)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the status as JSON")
	cmd.Flags().BoolVarP(&verbose, "verbose", "v", false, "show every attempt of the round, not only the decisive ones")
	return cmd
}

func (a *app) check(ctx context.Context, c *config.Config, asJSON, verbose bool) error {
	planned := plan.Of(c)
	status := watch.Once(ctx, checkPlan(planned), build().Version)
	askStatusPages(ctx, planned, status)
	if ctx.Err() != nil {
		return failed(ctx.Err())
	}
	if err := a.show(status, c.StatusFiles(), asJSON, screenOptions(a.out, verbose)); err != nil {
		return failed(err)
	}
	return done(exitCode(status))
}

// hearsayWithin bounds how long a verdict waits for what a vendor's status page says: a page that works answers in a
// fraction of a second, and someone waits for the verdict.
const hearsayWithin = time.Second

func askStatusPages(ctx context.Context, p *plan.Plan, status *watch.Status) {
	ctx, stop := context.WithTimeout(ctx, hearsayWithin)
	defer stop()
	hearsay.AskOnce(ctx, p.StatusPages, status)
}

// checkPlan returns the whole plan, or the host checks alone if this process is denied the network: every other probe
// would fail and prove nothing. A sandbox with a managed proxy still gets the whole plan, because the proxy may let
// the service through.
func checkPlan(p *plan.Plan) watch.Plan {
	if sandbox := host.DetectSandbox(); sandbox.Denied && !sandbox.HasProxy() {
		return p.HostOnly()
	}
	return p.Plan
}

// show prints the status. Inside a sandbox it also prints what the daemon on the host last saw.
func (a *app) show(status *watch.Status, statusFiles []string, asJSON bool, o screen.Options) error {
	if !status.Sandboxed.Denied {
		if asJSON {
			return printJSON(a.out, "status", status)
		}
		return screen.Check(a.out, status, o)
	}
	outside, age, err := statusfile.Latest(statusFiles...)
	if !asJSON {
		return errors.Join(screen.Inside(a.out, status, outside, age, err, o), a.verboseOutside(outside, o))
	}
	status.Outside = &watch.Outside{Age: probe.InSeconds(age), Services: []watch.ServiceStatus{}}
	if err != nil {
		status.Outside.Error = err.Error()
	} else {
		status.Outside.Services = outside.Services
	}
	return printJSON(a.out, "status", status)
}

// verboseOutside prints the host's status in full, if that was asked for and there is one.
func (a *app) verboseOutside(outside *watch.Status, o screen.Options) error {
	if outside == nil || !o.Verbose {
		return nil
	}
	fmt.Fprintln(a.out)
	o.Now = time.Now()
	return screen.Status(a.out, outside, o)
}

// exitCode returns the code of the worst verdict.
func exitCode(status *watch.Status) int {
	all := make([]causes.Cause, len(status.Services))
	for i, s := range status.Services {
		all[i] = s.Cause
	}
	return statusline.Code(all)
}

func screenOptions(w io.Writer, verbose bool) screen.Options {
	var o screen.Options
	if f, ok := w.(*os.File); ok {
		o = screen.For(f, os.Getenv)
	}
	o.Verbose = verbose
	return o
}

// printJSON prints an object that the schema of that name in docs/schemas describes.
func printJSON(w io.Writer, schema string, v any) error {
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("writing JSON: %w", err)
	}
	return printObject(w, schema, text.Bytes())
}

// printObject prints the JSON text of an object, with its schema and the version of that as first field.
func printObject(w io.Writer, schema string, text []byte) error {
	_, err := fmt.Fprintf(w, "{\n  \"schema\": \"urn:netwatchd:schema:v1:%s\",%s", schema, text[1:])
	return err
}
