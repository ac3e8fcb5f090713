package agent

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"time"

	"netwatchd/internal/probe"
	"netwatchd/internal/probe/execprobe"
)

// The default prompt of a run, and the text that its answer must contain.
const (
	Prompt = "Reply with the two letters OK and nothing else"
	Expect = "OK"
)

// Directories creates directories of a run below the state directory, readable by this user alone, and returns their
// absolute paths.
func (p Program) Directories(stateDir string, names ...string) ([]string, error) {
	if stateDir == "" {
		return nil, probe.Fail(probe.Internal, errors.New("no directory for "+p.Name+"'s state: set storage.path"))
	}
	state, err := filepath.Abs(stateDir)
	if err != nil {
		return nil, probe.Fail(probe.Internal, err)
	}
	all := make([]string, len(names))
	for i, name := range names {
		all[i] = filepath.Join(state, name)
		if err := os.MkdirAll(all[i], 0o700); err != nil {
			return nil, probe.Failf(probe.Internal, "%w: storage.path must be a directory this user may write", err)
		}
	}
	return all, nil
}

// leftAfter is how old a run's directory for temporary files is when its run has certainly ended: runs of the daemon
// and of a backtest may overlap, and the longest timeout that makes sense is far below it.
const leftAfter = 6 * time.Hour

// Temporary creates an empty directory for one run below the state directory, readable by this user alone. The caller
// removes it. It removes those of runs whose process was killed: they may hold a whole request, or a key.
func (p Program) Temporary(stateDir string) (string, error) {
	made, err := p.Directories(stateDir, ".")
	if err != nil {
		return "", err
	}
	prefix := p.Name + "-tmp-"
	left, _ := filepath.Glob(filepath.Join(made[0], prefix+"*")) // fails only on a malformed pattern
	for _, dir := range left {
		if info, err := os.Lstat(dir); err == nil && time.Since(info.ModTime()) > leftAfter {
			_ = os.RemoveAll(dir)
		}
	}
	dir, err := os.MkdirTemp(made[0], prefix)
	if err != nil {
		return "", probe.Fail(probe.Internal, err)
	}
	return dir, nil
}

// A Report is what a run of an agent has printed.
type Report interface {
	// Fill adds the tokens, the cost, the requests, the HTTP status and the answer, as far as the report has them.
	Fill(*probe.Facts)
	// Verdict returns how the run ended: nil if its answer contains want.
	Verdict(ctx context.Context, e execprobe.ExitState, want string) error
}

// Make makes a run of p within the deadline of ctx, removes the directory temporary (empty: none), and judges
// the run by its report.
func Make[R Report](ctx context.Context, s Settings, p execprobe.Process, temporary string,
	read func(execprobe.ExitState) R) (probe.Facts, error) {
	defer os.RemoveAll(temporary)
	e, facts, err := execprobe.Execute(ctx, p)
	if err != nil {
		return facts, err
	}
	report := read(e)
	report.Fill(&facts)
	facts.Requests = max(facts.Requests, 1)
	return facts, report.Verdict(ctx, e, execprobe.FirstNonBlank(s.Expect, Expect))
}

// ClassOfStatus is how a run failed whose request was answered with an HTTP error that says nothing more.
func ClassOfStatus(status int) probe.Class {
	switch {
	case status == 407:
		return probe.ProxyAuthRequired
	case status == 429:
		return probe.ExecRateLimited
	case status >= 500:
		return probe.ExecOverloaded
	}
	return probe.HTTPUnexpectedStatus
}

// JudgeAnswer returns what is wrong with the answer of a completed turn, or nil if want is in it.
func JudgeAnswer(answer, want string) error {
	switch {
	case strings.TrimSpace(answer) == "":
		return probe.Failf(probe.ExecUnexpectedOutput, "the turn was completed without an answer")
	case !strings.Contains(answer, want):
		return probe.Failf(probe.ExecUnexpectedOutput, "%q is not in the answer: %s", want, execprobe.Quote(answer))
	}
	return nil
}
