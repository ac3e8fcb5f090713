package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"netwatchd/internal/hostpaths"
	"netwatchd/internal/humanize"
	"netwatchd/internal/plan"
	"netwatchd/internal/reloading"
)

func (a *app) configCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Validate, print or reload the configuration",
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
		&cobra.Command{
			Use:   "reload",
			Short: "Make the daemon of this systemd unit reload, and fail if it refuses (for ExecReload=)",
			Long: `Make the daemon of this systemd unit reload its configuration, and wait for the
outcome. If the daemon refuses the new configuration, print why and exit with 1:
then "systemctl reload netwatchd" fails too, and the daemon keeps its previous
configuration.

This is for ExecReload= of a unit, where systemd sets MAINPID and
RUNTIME_DIRECTORY. By hand, run "systemctl reload netwatchd".`,
			RunE: func(*cobra.Command, []string) error {
				err := reloading.Request(os.Getenv("MAINPID"), hostpaths.Paths{}.InUnit(os.Getenv).Run)
				if err != nil {
					return failed(err)
				}
				return nil
			},
		},
	)
	return cmd
}
