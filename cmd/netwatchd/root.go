package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"netwatchd/internal/config"
	"netwatchd/internal/redact"
	"netwatchd/internal/strictyaml"
	"netwatchd/internal/usage"
)

// Exit codes. Scripts rely on them, and so does an agent that runs `netwatchd check`.
const (
	exitHealthy      = 0
	exitFault        = 1
	exitInconclusive = 2
	exitUsage        = 3 // also an invalid configuration
)

// exitError ends the program with a code; err, if any, is printed first.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

// failed ends with exitFault: the command line was valid, but the command failed.
func failed(err error) error { return &exitError{exitFault, err} }

// done ends with code and prints nothing more.
func done(code int) error {
	if code == exitHealthy {
		return nil
	}
	return &exitError{code: code}
}

// app holds what all commands share.
type app struct {
	out, errs io.Writer
	overrides *config.Overrides
}

func execute(ctx context.Context, args []string, in io.Reader, out, errs io.Writer) int {
	a := &app{out: out, errs: errs}
	root := a.rootCommand()
	root.SetArgs(args)
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(errs)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitHealthy
	}
	exit, ok := errors.AsType[*exitError](err)
	if !ok {
		exit = &exitError{exitUsage, err}
	}
	if exit.err != nil {
		fmt.Fprintf(errs, "netwatchd: %s\n", messageOf(exit.err))
	}
	return exit.code
}

// messageOf returns err as text without secrets. An error in the configuration has none: it says where a secret
// belongs, which looks like one.
func messageOf(err error) string {
	if _, ok := errors.AsType[*strictyaml.Error](err); ok {
		return err.Error()
	}
	return redact.String(err.Error())
}

func (a *app) rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "netwatchd",
		Short: "Report whose fault it is when a coding agent cannot reach its service",
		Long: `netwatchd reports whose fault it is when a coding agent cannot reach its
service: the host, the resolver, a proxy, the service, the account, or the
agent's own sandbox.

Without a configuration it watches OpenAI Codex. "netwatchd check" checks
once; "netwatchd run" monitors continuously.

Exit codes of check and status: 0 healthy, 1 fault, 2 inconclusive, 3 usage or
configuration error.`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Version:       versionLine(),
	}
	root.SetVersionTemplate("{{.Version}}\n")
	root.Flags().Bool("version", false, "print the version and build information") // without cobra's shorthand -v
	a.overrides = config.BindFlags(root.PersistentFlags())
	root.AddCommand(
		a.runCommand(), a.checkCommand(), a.probeCommand(), a.statusCommand(), a.backtestCommand(),
		a.topCommand(), a.incidentsCommand(), a.explainCommand(), a.storeCommand(),
		a.configCommand(), a.rulesCommand(), a.doctorCommand(), a.demoCommand(), a.initCommand(),
		versionCommand(a.out), manCommand(a.out),
	)
	usage.InPlainWords(root, globalFlags)
	return root
}

// globalFlags are the global flags that have an effect on each command.
var globalFlags = usage.GlobalFlags{
	"backtest":   {"config.file"},
	"check":      {"config.file", "status.file"},
	"completion": {},
	"demo":       {},
	"explain":    {"config.file", "status.file", "storage.path", "web.config.file", "web.listen-address"},
	"help":       {},
	"incidents":  {"config.file", "status.file", "storage.path", "web.config.file", "web.listen-address"},
	"init":       {},
	"man":        {},
	"probe":      {},
	"rules":      {"config.file"},
	"status":     {"config.file", "status.file", "web.config.file", "web.listen-address"},
	"store":      {"config.file", "status.file", "storage.path", "web.config.file", "web.listen-address"},
	"top":        {"config.file", "status.file", "web.config.file", "web.listen-address"},
	"version":    {},
}

// load reads the configuration file and applies flags and environment variables.
func (a *app) load() (*config.Config, error) {
	c, err := config.Load("", a.overrides)
	if err == nil {
		redact.Know("configuration", c.PlainSecrets()...)
	}
	return c, err
}
