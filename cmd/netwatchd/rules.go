package main

import (
	"errors"

	"github.com/spf13/cobra"

	"netwatchd/internal/rules"
)

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

    netwatchd rules > /etc/prometheus/netwatchd.rules.yml && promtool check rules /etc/prometheus/netwatchd.rules.yml`,
		RunE: func(*cobra.Command, []string) error {
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
			o.Objective = percent / 100
			switch {
			case inhibit:
				err = rules.Inhibit().Write(a.out)
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
	cmd.Flags().BoolVar(&inhibit, "inhibit", false, "print inhibit_rules for Alertmanager")
	cmd.Flags().BoolVar(&fleet, "fleet", false, "print the rules that compare many hosts")
	return cmd
}
