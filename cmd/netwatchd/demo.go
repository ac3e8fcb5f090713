package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"netwatchd/internal/demo"
)

func (a *app) demoCommand() *cobra.Command {
	var play bool
	var pause time.Duration
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Inject faults into a small internet on this host, and watch the verdicts",
		Long: `Inject faults and watch how netwatchd names them. No root, agent, account or
network is needed.

demo starts a small internet of servers on loopback, and a daemon that watches
it. Press a key to inject a fault: the terminal and the status page show the
verdict within seconds. Your configuration, your agent's files and a running
daemon are not used, and nothing is sent beyond loopback. At the end, also with
Ctrl-C, everything is removed.

` + demo.Menu() + `
Exit code: 0, or 1 if --play was interrupted or a verdict was not the expected
one; 3 for a usage error.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case pause < 0:
				return fmt.Errorf("--pause %v: must not be negative", pause)
			case pause > 0 && !play:
				return errors.New("--pause is for --play: add it")
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGHUP) // the terminal was closed
			defer stop()
			return notUsage(a.demo(ctx, play, pause))
		},
	}
	cmd.Flags().BoolVar(&play, "play", false, "inject each fault in turn, print the verdicts and end")
	cmd.Flags().DurationVar(&pause, "pause", 0, "with --play: time to look at each verdict")
	cmd.AddCommand(demoSandboxCommand())
	return cmd
}

func (a *app) demo(ctx context.Context, play bool, pause time.Duration) (err error) {
	if !play && !demo.HasTerminal(os.Stdin, os.Stdout, os.Getenv) {
		return &exitError{exitUsage, demo.ErrNoTerminal}
	}
	program, err := os.Executable()
	if err != nil {
		return err
	}
	d, err := demo.Start(ctx, program)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	if play {
		return d.Play(ctx, a.out, pause, screenOptions(a.out, false))
	}
	return d.Show(ctx, os.Stdin, os.Stdout, os.Getenv)
}

// demoSandboxCommand is what the demo's daemon uses as the agent's sandbox.
func demoSandboxCommand() *cobra.Command {
	return &cobra.Command{
		Use:                "sandbox FILE COMMAND...",
		Short:              "Run a command as in an agent's sandbox",
		Hidden:             true,
		DisableFlagParsing: true, // the command's flags are not ours
		RunE: func(_ *cobra.Command, args []string) error {
			return failed(fmt.Errorf("the demo's sandbox: %w", demo.ExecSandboxed(args[0], args[1:])))
		},
	}
}
