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
		Short: "Show what is going on, live, in a terminal",
		Long: `Show what is going on, live, in a terminal: the verdict, the ladder with the host beside the sandbox, how each probe has
been in the last hour, and the latest incidents.

It asks the daemon at --url, or where the configuration has it listen, with TLS if the web configuration says so. While no
daemon answers it shows what the status file says.

Keys: q or Ctrl-C quits; up and down choose another service.`,
		Example: `  netwatchd top
  NETWATCHD_PASSWORD=... netwatchd top --url https://watch.example.com:19405 --user me`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.load()
			if err != nil {
				return err
			}
			asked, err := askedDaemon(c, o)
			if err != nil {
				return err
			}
			d := &top.Daemon{Client: asked, Files: c.StatusFiles()}
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
	cmd.Flags().StringVar(&o.URL, "url", os.Getenv("NETWATCHD_URL"), "`address` of the daemon, like http://127.0.0.1:19405 (default: where the configuration has it listen; NETWATCHD_URL)")
	cmd.Flags().StringVar(&o.User, "user", "", "`name` for basic auth; the password is NETWATCHD_PASSWORD, or asked for")
	cmd.Flags().StringVar(&o.CAFile, "ca-file", "", "PEM `file` of authorities to trust beside the system's")
	return cmd
}

// askedDaemon is the daemon that o and the configuration name.
func askedDaemon(c *config.Config, o client.Options) (*client.Client, error) {
	if o.URL == "" && len(c.Web.Listen) > 0 {
		here := client.LocalOptions(c.Web.Listen[0], c.Web.ConfigFile)
		o.URL, o.Certificate = here.URL, here.Certificate
	}
	o.Password = os.Getenv("NETWATCHD_PASSWORD")
	if o.User != "" && o.Password == "" && term.IsTerminal(int(os.Stdin.Fd())) {
		fmt.Fprintf(os.Stderr, "password of %s: ", o.User)
		typed, err := term.ReadPassword(int(os.Stdin.Fd()))
		fmt.Fprintln(os.Stderr)
		if err != nil {
			return nil, failed(err)
		}
		o.Password = string(typed)
	}
	return client.New(o)
}
