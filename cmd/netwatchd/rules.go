package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"netwatchd/internal/rules"
)

// renamedNote keeps an upgrade from silently renaming the alerts that an existing Alertmanager routes by name.
const renamedNote = "netwatchd: note: alerts are named Netwatchd…, which were Codex… in 0.1: " +
	"routes and silences that match alertname need the new names, or --codex-names"

func (a *app) rulesCommand() *cobra.Command {
	o := rules.Default()
	percent := o.Objective * 100
	var inhibit, fleet bool
	cmd := &cobra.Command{
		Use:   "rules",
		Short: "Print alerting rules for Prometheus or inhibition rules for Alertmanager",
		Long: `Print Prometheus alerting rules with the severities and intervals of the
configuration.

With --inhibit, print the inhibit_rules for Alertmanager instead: an alert
whose cause explains another alert silences it. With --fleet, print the rules
that compare many hosts; load them in addition to the others.

Alerts are named after the cause: NetwatchdUpstreamOutage. netwatchd 0.1 had
Codex in most names; --codex-names keeps those, for routes and silences that
match them. Without that flag, a note on standard error says so; it is not
printed with --codex-names=false. The inhibitions fit both.

NetwatchdVerdict notifies nobody: it is the source of the inhibitions, so that
they hold before the alert of the cause fires. Route its severity, none, to a
receiver without integrations, or leave it out with --verdict=false, here and
with --inhibit.

    netwatchd rules > /etc/prometheus/netwatchd.rules.yml && promtool check rules /etc/prometheus/netwatchd.rules.yml`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if inhibit && fleet {
				return errors.New("--inhibit and --fleet are both set: keep one")
			}
			if percent <= 0 || percent >= 100 {
				return errors.New("--objective must be between 0 and 100 (a percentage of the time, for example 99.5)")
			}
			c, err := a.load()
			if err != nil {
				return err
			}
			if !inhibit && !cmd.Flags().Changed("codex-names") {
				fmt.Fprintln(a.errs, renamedNote)
			}
			o.Objective = percent / 100
			switch {
			case inhibit:
				err = rules.Inhibit(o).Write(a.out)
			case fleet:
				err = rules.Fleet(c, o).Write(a.out)
			default:
				err = rules.For(c, o).Write(a.out)
			}
			if err != nil {
				return failed(err)
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&o.Job, "job", o.Job, "job `label` of netwatchd in Prometheus")
	cmd.Flags().StringVar(&o.Runbooks, "runbooks", o.Runbooks,
		"base `URL` of docs/runbooks for runbook_url, without a trailing slash")
	cmd.Flags().Float64Var(&percent, "objective", percent, "availability objective in `percent` of the time")
	cmd.Flags().BoolVar(&o.CodexNames, "codex-names", false, "use the alert names of netwatchd 0.1")
	cmd.Flags().BoolVar(&o.Verdict, "verdict", o.Verdict, "include NetwatchdVerdict, the source of inhibitions")
	cmd.Flags().BoolVar(&inhibit, "inhibit", false, "print inhibit_rules for Alertmanager")
	cmd.Flags().BoolVar(&fleet, "fleet", false, "print the rules that compare many hosts")
	return cmd
}
