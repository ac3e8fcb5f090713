package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"netwatchd/internal/store"
)

func (a *app) storeCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "store",
		Short: "Back up or check the store",
	}
	cmd.AddCommand(
		&cobra.Command{
			Use:     "backup FILE",
			Short:   "Copy the store to a new file; the daemon may keep running",
			Example: "  netwatchd store backup netwatchd-backup.db",
			RunE: func(cmd *cobra.Command, args []string) error {
				return a.withStorage(cmd.Context(), func(dir string) error {
					if err := store.Backup(cmd.Context(), dir, args[0]); err != nil {
						return err
					}
					fmt.Fprintf(a.out, "store of %s copied to %s%s\n", dir, args[0], sizeOf(args[0]))
					return nil
				})
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
		Short: "Verify the whole store and report every error",
		Long: `Verify the whole store and report every error.

Exit code: 0 no errors, 1 errors or the store cannot be read, 3 usage or
configuration error.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withStorage(cmd.Context(), func(dir string) error {
				h, err := store.Check(cmd.Context(), dir)
				if err != nil {
					return err
				}
				if asJSON {
					if err := printJSON(a.out, "store-check", h); err != nil {
						return err
					}
				} else {
					a.printHealth(h)
				}
				if len(h.Faults) > 0 {
					return done(exitFault)
				}
				return nil
			})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the result as JSON")
	return cmd
}

func (a *app) printHealth(h *store.Health) {
	for _, fault := range h.Faults {
		fmt.Fprintf(a.out, "error: %s\n", fault)
	}
	for _, moved := range h.Malformed {
		fmt.Fprintf(a.out, "note: an earlier store was malformed and was moved to %s\n", moved)
	}
	if len(h.Faults) == 0 {
		fmt.Fprintf(a.out, "%s: no errors; schema version %d, %d KB\n", h.Path, h.Version, h.Bytes/1024)
	} else {
		const fix = "the daemon leaves damaged rows out and moves them to the table damaged, and moves a malformed " +
			"store away; to have everything back, stop it and restore a backup"
		fmt.Fprintf(a.out, "%s: %s\n", h.Path, fix)
	}
	for _, c := range h.Counts {
		fmt.Fprintf(a.out, "  %-10s %d\n", c.Table, c.Rows)
	}
}

// sizeOf is the size of a file that was just written, for a message; empty if it is not a file.
func sizeOf(path string) string {
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() {
		return ""
	}
	return fmt.Sprintf(" (%d KB)", (info.Size()+1023)/1024)
}
