package main

import (
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/spf13/cobra"

	"netwatchd/internal/screen"
	"netwatchd/internal/statusfile"
)

func (a *app) statusCommand() *cobra.Command {
	var asJSON, verbose bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show the status reported by the running daemon",
		Long: `Show the status reported by the running daemon. It is read from the daemon's
status file, which every process on this host can read, also inside an agent's
sandbox.

Exit code: 0 healthy, 1 fault, 2 inconclusive or no status, 3 usage or
configuration error.`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			c, err := a.load()
			if err != nil {
				return err
			}
			status, _, err := statusfile.Latest(c.StatusFiles()...)
			if errors.Is(err, fs.ErrNotExist) {
				err = fmt.Errorf("%w: the daemon is not running; "+
					"start it with 'netwatchd run', or check once with 'netwatchd check'", err)
			}
			if err != nil {
				return &exitError{exitInconclusive, err}
			}
			if asJSON {
				err = printJSON(a.out, status)
			} else {
				o := screenOptions(a.out, verbose)
				o.Now = time.Now()
				err = screen.Status(a.out, status, o)
			}
			if err != nil {
				return failed(err)
			}
			return done(exitCode(status))
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the status as JSON")
	cmd.Flags().BoolVarP(&verbose, "verbose", "v", false,
		"show every attempt of the latest round, not only the decisive ones")
	return cmd
}
