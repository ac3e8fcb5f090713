// Package execprobe runs a command in a process group of its own and judges how it ended.
package execprobe

import (
	"context"
	"errors"
	"slices"
	"strings"
	"syscall"
	"time"

	"netwatchd/internal/probe"
)

// Run is a prober that runs a command. Success is exit code 0 and, if Expect is set, that text in standard output.
type Run struct {
	Command []string
	Env     []string // name=value, added to what [Environment] passes on
	Dir     string   // empty: the daemon's
	Expect  string
}

// Probe runs the command until it ends or ctx does. No process of its group outlives the call.
func (r Run) Probe(ctx context.Context) (probe.Facts, error) {
	if len(r.Command) == 0 {
		return probe.Facts{
				Phase: probe.Executing,
			}, probe.Fail(
				probe.Internal,
				errors.New("no command to run: set one in the configuration"),
			)
	}
	e, facts, err := Execute(ctx, Process{Argv: r.Command, Env: Environment(r.Env), Dir: r.Dir})
	if err != nil {
		return facts, err
	}
	facts.Output = Quote(FirstNonBlank(e.Stdout, e.Stderr))
	return facts, r.judge(ctx, e)
}

func (r Run) judge(ctx context.Context, e ExitState) error {
	if err := e.Interrupted(ctx); err != nil {
		return err
	}
	words := LastLine(FirstNonBlank(e.Stderr, e.Stdout))
	switch {
	case e.Code == 127: // of shells and env(1): POSIX, "Exit Status for Commands"
		return probe.Failf(probe.ExecNotFound, "exit code 127, command not found: %s: install it or correct the PATH", words)
	case e.Code == 126:
		return probe.Failf(probe.ExecStartFailed, "exit code 126, a command could not be run: %s", words)
	case e.Code != 0:
		return probe.Failf(probe.ExecUnexpectedExit, "exit code %d: %s", e.Code, words)
	case !strings.Contains(e.Stdout, r.Expect):
		return probe.Failf(probe.ExecUnexpectedOutput, "%q is not in the output: %s", r.Expect, Quote(e.Stdout))
	}
	return nil
}

// Execute runs a command and returns its end, with the facts that every run has.
func Execute(ctx context.Context, c Process) (ExitState, probe.Facts, error) {
	return ExecuteWithInput(ctx, c, "")
}

// ExecuteWithInput is Execute with input on standard input.
func ExecuteWithInput(ctx context.Context, c Process, input string) (ExitState, probe.Facts, error) {
	facts := probe.Facts{Phase: probe.Executing}
	start := time.Now()
	e, err := c.runWith(ctx, input)
	facts.Phases[probe.Executing] = probe.InSeconds(time.Since(start))
	if err != nil {
		return e, facts, err
	}
	facts.Exit = new(e.Code)
	// A run that was stopped could not end its processes itself, but those that left its group would have stayed.
	if slices.ContainsFunc(e.left, func(s stray) bool { return s.escaped || !e.Stopped && !e.Ended }) {
		facts.Warnings = append(facts.Warnings, probe.WarnLeftProcesses)
		for _, s := range e.left[:min(len(e.left), leftNamed)] {
			facts.LeftProcesses = append(facts.LeftProcesses, s.String())
		}
	}
	return e, facts, nil
}

// leftNamed bounds how many processes a result names: a fork bomb leaves thousands.
const leftNamed = 10

// Interrupted returns the error of a run that was stopped or killed, or nil if it ended by itself or at a line of its
// output.
func (e ExitState) Interrupted(ctx context.Context) error {
	switch {
	case e.Ended:
		return nil // its output says why
	case e.Stopped && errors.Is(ctx.Err(), context.DeadlineExceeded):
		return probe.Failf(probe.ExecTimedOut, "it did not finish in time and was terminated: %s",
			LastLine(FirstNonBlank(e.Stderr, e.Stdout)))
	case e.Stopped:
		return ctx.Err()
	case e.Signal == syscall.SIGKILL:
		return probe.Failf(
			probe.ExecKilled,
			"it was killed with SIGKILL: check the kernel's log for the out-of-memory killer",
		)
	case e.Signal != 0:
		return probe.Failf(probe.ExecKilled, "it was terminated by a signal: %s", e.Signal)
	}
	return nil
}

func LastLine(text string) string {
	text = strings.TrimRight(text, " \r\n\t")
	return Quote(text[strings.LastIndexByte(text, '\n')+1:])
}

// FirstNonBlank returns the first text that is not blank.
func FirstNonBlank(texts ...string) string {
	for _, text := range texts {
		if strings.TrimSpace(text) != "" {
			return text
		}
	}
	return ""
}
