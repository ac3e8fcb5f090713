package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"netwatchd/internal/client"
	"netwatchd/internal/config"
	"netwatchd/internal/host"
	"netwatchd/internal/screen"
	"netwatchd/internal/statusfile"
	"netwatchd/internal/statusline"
	"netwatchd/internal/watch"
)

func (a *app) statusCommand() *cobra.Command {
	var asJSON, verbose, line bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show the status reported by the running daemon",
		Long: `Show the status reported by the running daemon. It is read from the daemon's
status file, which every process on this host can read. If there is none, the
daemon at the configured listen address is asked.

With --line, print one line for a shell prompt or a status line, from the status
file alone: "✗ codex upstream 3 min  ✓ claude,gemini". The worst comes first;
"?" means that there is no status, or an old one.

Inside an agent's sandbox, report what "netwatchd check" reports there: what the
sandbox denies, and what the daemon on the host last saw (with -v in full).

Exit code: 0 healthy, 1 fault, 2 inconclusive or no status, 3 usage or
configuration error.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.load()
			if err != nil {
				return err
			}
			if line {
				return done(statusline.Print(a.out, c.StatusFiles(), a.lineOptions()))
			}
			if host.DetectSandbox().Denied { // one question, one answer: what check says here
				return a.check(cmd.Context(), c, asJSON, verbose)
			}
			status, _, err := statusfile.Latest(c.StatusFiles()...)
			if errors.Is(err, fs.ErrNotExist) {
				status, err = a.statusOfDaemon(cmd.Context(), c)
			}
			if err != nil {
				return &exitError{exitInconclusive, err}
			}
			if asJSON {
				err = printJSON(a.out, "status", status)
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
	cmd.Flags().BoolVar(&line, "line", false, "print one short line, for a prompt or a status line")
	cmd.Flags().BoolVarP(&verbose, "verbose", "v", false,
		"show every attempt of the latest round, not only the decisive ones")
	cmd.MarkFlagsMutuallyExclusive("line", "json")
	cmd.MarkFlagsMutuallyExclusive("line", "verbose")
	return cmd
}

func (a *app) lineOptions() statusline.Options {
	if f, ok := a.out.(*os.File); ok {
		return statusline.For(f, os.Getenv)
	}
	return statusline.Options{Now: time.Now()}
}

// statusOfDaemon asks the daemon, because there is no status file.
func (a *app) statusOfDaemon(ctx context.Context, c *config.Config) (*watch.Status, error) {
	daemon, err := newClient(c, client.Options{URL: os.Getenv("NETWATCHD_URL")})
	if err != nil {
		return nil, err
	}
	status, err := daemon.Status(ctx)
	if err != nil {
		return nil, fmt.Errorf("%w\nstart it with 'netwatchd run', or check once with 'netwatchd check'\n"+
			"there is no status file either: %s", daemon.Unavailable(err), strings.Join(c.StatusFiles(), ", "))
	}
	return status, nil
}
