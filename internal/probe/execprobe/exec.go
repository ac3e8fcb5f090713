// Package execprobe runs a command in a process group of its own and judges how it ended.
package execprobe

import (
	"context"
	"errors"
	"strings"
	"syscall"
	"time"

	"netwatchd/internal/probe"
)

// WarnLeftProcesses is the warning for a command that ended and left processes behind; they were killed.
const WarnLeftProcesses = "exec_left_processes"

// Run is a prober that runs a command. Success is exit code 0 and, if Expect is set, that text on standard output.
type Run struct {
	Command []string
	Env     []string // name=value, added to the part of our own environment that a command is given
	Dir     string   // empty: our own
	Expect  string
}

// Probe runs the command to its end, or to the end of ctx. Nothing of its process group outlives the call.
func (r Run) Probe(ctx context.Context) (probe.Facts, error) {
	if len(r.Command) == 0 {
		return probe.Facts{Phase: probe.Executing}, probe.Fail(probe.Internal, errors.New("no command to run: name one in the configuration"))
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
	case e.Code == 127: // what shells and env(1) say: POSIX, "Exit Status for Commands"
		return probe.Failf(probe.ExecNotFound, "exit code 127, a command was not found: %s: install it, or correct the PATH", words)
	case e.Code == 126:
		return probe.Failf(probe.ExecStartFailed, "exit code 126, a command could not be run: %s", words)
	case e.Code != 0:
		return probe.Failf(probe.ExecUnexpectedExit, "exit code %d: %s", e.Code, words)
	case !strings.Contains(e.Stdout, r.Expect):
		return probe.Failf(probe.ExecUnexpectedOutput, "%q is not in the output: %s", r.Expect, Quote(e.Stdout))
	}
	return nil
}

// Execute runs a command and notes what is true of every run.
func Execute(ctx context.Context, c Process) (ExitState, probe.Facts, error) {
	return ExecuteWithInput(ctx, c, "")
}

// ExecuteWithInput gives the command something to read.
func ExecuteWithInput(ctx context.Context, c Process, input string) (ExitState, probe.Facts, error) {
	facts := probe.Facts{Phase: probe.Executing}
	start := time.Now()
	e, err := c.runWith(ctx, input)
	facts.Phases[probe.Executing] = probe.InSeconds(time.Since(start))
	if err != nil {
		return e, facts, err
	}
	facts.Exit = new(e.Code)
	if e.left > 0 && !e.Stopped {
		facts.Warnings = append(facts.Warnings, WarnLeftProcesses)
	}
	return e, facts, nil
}

// Interrupted is the error of a run that did not end by itself.
func (e ExitState) Interrupted(ctx context.Context) error {
	switch {
	case e.Stopped && errors.Is(ctx.Err(), context.DeadlineExceeded):
		return probe.Failf(probe.ExecTimedOut, "it had not ended when its time was over, and was ended: %s",
			LastLine(FirstNonBlank(e.Stderr, e.Stdout)))
	case e.Stopped:
		return ctx.Err()
	case e.Signal == syscall.SIGKILL:
		return probe.Failf(probe.ExecKilled, "someone killed it with SIGKILL: look in the kernel's log whether memory had run out")
	case e.Signal != 0:
		return probe.Failf(probe.ExecKilled, "it was ended by a signal: %s", e.Signal)
	}
	return nil
}

func LastLine(text string) string {
	text = strings.TrimRight(text, " \r\n\t")
	return Quote(text[strings.LastIndexByte(text, '\n')+1:])
}

// FirstNonBlank is the first text that says something.
func FirstNonBlank(texts ...string) string {
	for _, text := range texts {
		if strings.TrimSpace(text) != "" {
			return text
		}
	}
	return ""
}
