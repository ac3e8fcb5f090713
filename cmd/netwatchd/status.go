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
		Short: "Show what the running daemon says",
		Long: `Show what the running daemon says, as it stands in its status file: that can be read from everywhere on this host,
an agent's sandbox included.`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			c, err := a.load()
			if err != nil {
				return err
			}
			status, _, err := statusfile.Latest(c.StatusFiles()...)
			if errors.Is(err, fs.ErrNotExist) {
				err = fmt.Errorf("%w: no daemon keeps it; start one with 'netwatchd run', or look now with 'netwatchd check'", err)
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
	cmd.Flags().BoolVarP(&verbose, "verbose", "v", false, "show every attempt of the latest round")
	return cmd
}
