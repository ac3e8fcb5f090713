package probe

import (
	"context"
	"errors"
	"strings"
	"syscall"
	"time"
)

// leftProcesses is the warning for a command that ended and left processes behind; they were killed.
const leftProcesses = "exec_left_processes"

// Exec is a prober that runs a command. Success is exit code 0 and, if Expect is set, that text on standard output.
type Exec struct {
	Command []string
	Env     []string // name=value, added to the part of our own environment that a command is given
	Dir     string   // empty: our own
	Expect  string
}

// Probe runs the command to its end, or to the end of ctx. Nothing of its process group outlives the call.
func (r Exec) Probe(ctx context.Context) (Facts, error) {
	if len(r.Command) == 0 {
		return Facts{Phase: Executing}, Fail(Internal, errors.New("no command to run: name one in the configuration"))
	}
	e, facts, err := execute(ctx, command{argv: r.Command, env: environment(r.Env), dir: r.Dir})
	if err != nil {
		return facts, err
	}
	facts.Output = said(firstWords(e.stdout, e.stderr))
	return facts, r.judge(ctx, e)
}

func (r Exec) judge(ctx context.Context, e ending) error {
	if err := e.cutShort(ctx); err != nil {
		return err
	}
	words := lastLine(firstWords(e.stderr, e.stdout))
	switch {
	case e.exit == 127: // what shells and env(1) say: POSIX, "Exit Status for Commands"
		return Failf(ExecNotFound, "exit code 127, a command was not found: %s: install it, or correct the PATH", words)
	case e.exit == 126:
		return Failf(ExecStartFailed, "exit code 126, a command could not be run: %s", words)
	case e.exit != 0:
		return Failf(ExecUnexpectedExit, "exit code %d: %s", e.exit, words)
	case !strings.Contains(e.stdout, r.Expect):
		return Failf(ExecUnexpectedOutput, "%q is not in the output: %s", r.Expect, said(e.stdout))
	}
	return nil
}

// execute runs a command and notes what is true of every run.
func execute(ctx context.Context, c command) (ending, Facts, error) { return executeWith(ctx, c, "") }

// executeWith gives the command something to read.
func executeWith(ctx context.Context, c command, input string) (ending, Facts, error) {
	facts := Facts{Phase: Executing}
	start := time.Now()
	e, err := c.runWith(ctx, input)
	facts.Phases[Executing] = InSeconds(time.Since(start))
	if err != nil {
		return e, facts, err
	}
	facts.Exit = new(e.exit)
	if e.left > 0 && !e.stopped {
		facts.Warnings = append(facts.Warnings, leftProcesses)
	}
	return e, facts, nil
}

// cutShort is the error of a run that did not end by itself.
func (e ending) cutShort(ctx context.Context) error {
	switch {
	case e.stopped && errors.Is(ctx.Err(), context.DeadlineExceeded):
		return Failf(ExecTimedOut, "it had not ended when its time was over, and was ended: %s",
			lastLine(firstWords(e.stderr, e.stdout)))
	case e.stopped:
		return ctx.Err()
	case e.signal == syscall.SIGKILL:
		return Failf(ExecKilled, "someone killed it with SIGKILL: look in the kernel's log whether memory had run out")
	case e.signal != 0:
		return Failf(ExecKilled, "it was ended by a signal: %s", e.signal)
	}
	return nil
}

func lastLine(text string) string {
	text = strings.TrimRight(text, " \r\n\t")
	return said(text[strings.LastIndexByte(text, '\n')+1:])
}

// firstWords is the first text that says something.
func firstWords(texts ...string) string {
	for _, text := range texts {
		if strings.TrimSpace(text) != "" {
			return text
		}
	}
	return ""
}
