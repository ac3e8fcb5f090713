package main

import (
	"errors"
	"os"

	"github.com/spf13/cobra"

	"netwatchd/internal/client"
	"netwatchd/internal/top"
)

func (a *app) topCommand() *cobra.Command {
	var o client.Options
	cmd := &cobra.Command{
		Use:   "top",
		Short: "Show the live status in a terminal",
		Long: `Show the live status in a terminal: the verdict, the ladder for the host and
the sandbox side by side, each probe over the last hour, and the latest
incidents.

top connects to the daemon at --url or, without it, at the configured listen
address; it uses TLS if the web configuration does. While no daemon answers,
it shows the status file.

Keys: q or Ctrl-C quits; up and down select another service.`,
		Example: `  netwatchd top
  NETWATCHD_PASSWORD=... netwatchd top --url https://watch.example.com:19405 --user me`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.load()
			if err != nil {
				return err
			}
			remote, err := newClient(c, o)
			if err != nil {
				return err
			}
			d := &top.Daemon{Client: remote, Files: c.StatusFiles()}
			err = top.Run(cmd.Context(), top.Options{In: os.Stdin, Out: os.Stdout, Getenv: os.Getenv, Read: d.Read})
			if errors.Is(err, top.ErrNoTerminal) {
				return err
			}
			if err != nil {
				return failed(err)
			}
			return nil
		},
	}
	bindRemote(cmd, &o)
	return cmd
}
