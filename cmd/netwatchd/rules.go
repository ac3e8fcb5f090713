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
		Short: "Print alerting rules for Prometheus, or inhibitions for Alertmanager",
		Long: `Print alerting rules for Prometheus that follow from the configuration: its severities and its intervals. With --inhibit
print the inhibit_rules of Alertmanager instead: which cause explains, and so silences, which. With --fleet print the rules
that hold many hosts against each other, to be loaded beside the others.

    netwatchd rules > /etc/prometheus/netwatchd.rules.yml && promtool check rules /etc/prometheus/netwatchd.rules.yml`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if percent <= 0 || percent >= 100 {
				return errors.New("--objective must be over 0 and under 100: it is the percentage of the time, like 99.5")
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
	cmd.Flags().StringVar(&o.Job, "job", o.Job, "the job label under which Prometheus scrapes netwatchd")
	cmd.Flags().StringVar(&o.Runbooks, "runbooks", o.Runbooks, "where docs/runbooks can be read by whoever is paged, for runbook_url: a URL without a slash at its end")
	cmd.Flags().Float64Var(&percent, "objective", percent, "percentage of the time in which a service should be available")
	cmd.Flags().BoolVar(&inhibit, "inhibit", false, "print the inhibit_rules of Alertmanager's configuration")
	cmd.Flags().BoolVar(&fleet, "fleet", false, "print the rules that hold many hosts against each other")
	cmd.MarkFlagsMutuallyExclusive("inhibit", "fleet")
	return cmd
}
