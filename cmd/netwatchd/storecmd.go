package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"netwatchd/internal/store"
)

func (a *app) storeCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "store",
		Short: "Back up or check the store",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(
		&cobra.Command{
			Use:   "backup FILE",
			Short: "Write a copy of the store to a new file, while the daemon runs",
			Args:  cobra.ExactArgs(1),
			RunE: func(cmd *cobra.Command, args []string) error {
				c, err := a.load()
				if err != nil {
					return err
				}
				if err := store.Backup(cmd.Context(), c.Storage.Path, args[0]); err != nil {
					return failed(err)
				}
				return nil
			},
		},
		a.storeCheckCommand(),
	)
	return cmd
}

func (a *app) storeCheckCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Read all of the store and say what is wrong with it",
		Long:  "Read all of the store and say what is wrong with it. Exit code: 0 nothing, 1 something.",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.load()
			if err != nil {
				return err
			}
			h, err := store.Check(cmd.Context(), c.Storage.Path)
			if err != nil {
				return failed(err)
			}
			if asJSON {
				if err := printJSON(a.out, h); err != nil {
					return failed(err)
				}
			} else {
				a.tellHealth(h)
			}
			if len(h.Faults) > 0 {
				return done(exitFault)
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print what was found as JSON")
	return cmd
}

func (a *app) tellHealth(h *store.Health) {
	for _, fault := range h.Faults {
		fmt.Fprintf(a.out, "fault: %s\n", fault)
	}
	if len(h.Faults) == 0 {
		fmt.Fprintf(a.out, "%s: no faults; version %d, %d KB\n", h.Path, h.Version, h.Bytes/1024)
	} else {
		fmt.Fprintf(a.out, "%s: stop the daemon, then restore a backup or move the file away; the daemon makes a new one\n", h.Path)
	}
	for _, c := range h.Counts {
		fmt.Fprintf(a.out, "  %-10s %d\n", c.Table, c.Rows)
	}
}
