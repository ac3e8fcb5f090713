package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"netwatchd/internal/humanize"
	"netwatchd/internal/plan"
)

func (a *app) configCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Validate or print the configuration",
	}
	cmd.AddCommand(
		&cobra.Command{
			Use:   "check",
			Short: "Validate the configuration and report every error with its location",
			RunE: func(*cobra.Command, []string) error {
				c, err := a.load()
				if err != nil {
					return err
				}
				if err := c.Secrets(); err != nil {
					return err
				}
				for _, warning := range c.Warnings() {
					fmt.Fprintf(a.errs, "warning: %s\n", warning)
				}
				probes := 0
				for _, s := range c.Services {
					probes += len(s.Probes)
				}
				fmt.Fprintf(a.out, "%s: valid: %s, %s, %s\n", c.Origin(), humanize.Count(len(c.Services), "service"),
					humanize.Count(probes, "probe"), humanize.Count(len(c.Controls), "control"))
				return nil
			},
		},
		&cobra.Command{
			Use:   "show",
			Short: "Print the effective configuration with all defaults, secrets redacted",
			RunE: func(*cobra.Command, []string) error {
				c, err := a.load()
				if err != nil {
					return err
				}
				derived, _ := plan.Derive(c)
				return derived.Show(a.out)
			},
		},
	)
	return cmd
}
