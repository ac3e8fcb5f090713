package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"netwatchd/internal/client"
	"netwatchd/internal/config"
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
		Args: cobra.NoArgs,
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
	cmd.Flags().StringVar(&o.URL, "url", os.Getenv("NETWATCHD_URL"), "`URL` of the daemon, for example "+
		"http://127.0.0.1:19405 (default $NETWATCHD_URL, then the configured listen address)")
	cmd.Flags().StringVar(&o.User, "user", "",
		"user `name` for basic auth; the password is $NETWATCHD_PASSWORD, or top prompts for it")
	cmd.Flags().StringVar(&o.CAFile, "ca-file", "",
		"PEM `file` with certificate authorities to trust in addition to the system's")
	return cmd
}

// newClient returns a client for the daemon at o.URL or, if that is empty, at the configured listen address.
func newClient(c *config.Config, o client.Options) (*client.Client, error) {
	if o.URL == "" && len(c.Web.Listen) > 0 {
		here := client.LocalOptions(c.Web.Listen[0], c.Web.ConfigFile)
		o.URL, o.Certificate = here.URL, here.Certificate
	}
	o.Password = os.Getenv("NETWATCHD_PASSWORD")
	if o.User != "" && o.Password == "" && term.IsTerminal(int(os.Stdin.Fd())) {
		fmt.Fprintf(os.Stderr, "password for %s: ", o.User)
		typed, err := term.ReadPassword(int(os.Stdin.Fd()))
		fmt.Fprintln(os.Stderr)
		if err != nil {
			return nil, failed(err)
		}
		o.Password = string(typed)
	}
	return client.New(o)
}
