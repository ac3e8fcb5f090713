package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"netwatchd/internal/host"
	"netwatchd/internal/starter"
)

func (a *app) initCommand() *cobra.Command {
	var output string
	var force bool
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Look at this host and write a commented configuration for it",
		Long: `Look at this host (agents, their sign-in and sandbox, proxies, nameservers,
WSL) and write a configuration for it to standard output. It has the keys that
are recommended here, and every other key as a comment with its default.

No configuration is needed: this one is a start for your own settings. An
existing configuration file is not read. init sends nothing to the network and
costs no tokens. Run it as the user whose agent is watched.

Exit code: 0, or 1 if the file was not written; 3 for a usage error.`,
		Example: "  netwatchd init --output config.yaml\n  netwatchd config check --config.file config.yaml",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if force && output == "" {
				return errors.New("--force is for --output: name the file to replace")
			}
			if sandbox := host.DetectSandbox(); sandbox.Denied {
				return failed(fmt.Errorf("%s: run init outside the sandbox", sandbox.Why))
			}
			facts := starter.Look(cmd.Context(), build().Version)
			if err := cmd.Context().Err(); err != nil {
				return failed(err)
			}
			text := starter.Configuration(facts)
			if output == "" {
				fmt.Fprint(a.out, text)
				return nil
			}
			if err := starter.Write(output, text, force); err != nil {
				return failed(err)
			}
			fmt.Fprintf(a.out, "%s written\nto validate it after a change: netwatchd config check --config.file %s\n",
				output, output)
			return nil
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "", "write to this `file`, which must not exist")
	cmd.Flags().BoolVar(&force, "force", false, "replace the file if it exists")
	return cmd
}
