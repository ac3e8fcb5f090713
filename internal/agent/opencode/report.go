package opencode

import (
	"context"
	"encoding/json"
	"errors"
	"regexp"
	"strings"
	"time"

	"netwatchd/internal/agent"
	"netwatchd/internal/probe"
	"netwatchd/internal/probe/execprobe"
)

// An event is a line that `opencode run --format json` prints.
type event struct {
	Type string `json:"type"` // "step_start", "text", "step_finish", "error"
	Part struct {
		Text   string   `json:"text"`
		Reason string   `json:"reason"` // why a step finished: "stop"; "unknown" if its stream had no end
		Cost   *float64 `json:"cost"`   // in US dollars, by the prices of models.dev that opencode knows
		Tokens struct {
			Input     int64 `json:"input"` // without the two of the cache
			Output    int64 `json:"output"`
			Reasoning int64 `json:"reasoning"`
			Cache     struct {
				Read  int64 `json:"read"`
				Write int64 `json:"write"`
			} `json:"cache"`
		} `json:"tokens"`
	} `json:"part"`
	Error *failure `json:"error"`
}

// A failure is why a run failed.
type failure struct {
	Name string `json:"name"` // "APIError", "ProviderAuthError", "UnknownError"
	Data struct {
		Message string            `json:"message"`
		Status  int               `json:"statusCode"` // HTTP; zero: there was no answer
		Headers map[string]string `json:"responseHeaders"`
		Body    string            `json:"responseBody"`
	} `json:"data"`
}

const finished = "stop"

// A report is what a run printed.
type report struct {
	started bool   // a stream began
	reason  string // why the first step finished; empty: none did
	text    string
	tokens  *probe.TokensSpent
	cost    *float64
	failure *failure
	logged  string // the first error in the log, of a request that opencode would repeat
}

func readReport(e execprobe.ExitState) (r report) {
	for line := range strings.Lines(e.Stdout) {
		event, ok := readEvent(line)
		if !ok || r.failure != nil || r.reason != "" && r.reason != finished {
			continue // what follows a failure is a repetition
		}
		switch event.Type {
		case "step_start":
			r.started = true
		case "text":
			r.text += event.Part.Text
		case "step_finish":
			r.reason = execprobe.FirstNonBlank(event.Part.Reason, "unknown")
			r.add(event)
		case "error":
			r.failure = event.Error
		}
	}
	for line := range strings.Lines(e.Stderr) {
		if words, ok := readLog(line); ok {
			r.logged = words
			break
		}
	}
	return r
}

func (r *report) add(e event) {
	if r.tokens == nil {
		r.tokens = new(probe.TokensSpent)
	}
	if cost := e.Part.Cost; cost != nil {
		if r.cost == nil {
			r.cost = new(float64)
		}
		*r.cost += *cost
	}
	t := e.Part.Tokens
	r.tokens.Input += t.Input + t.Cache.Read + t.Cache.Write
	r.tokens.CachedInput += t.Cache.Read
	r.tokens.Output += t.Output + t.Reasoning
}

func readEvent(line string) (e event, ok bool) {
	if !strings.HasPrefix(line, "{") || json.Unmarshal([]byte(line), &e) != nil {
		return e, false
	}
	return e, e.Type != "error" || e.Error != nil
}

// logLine is a request that failed, in the log. What the service wrote is in quotes, and quotes in it are escaped.
var logLine = regexp.MustCompile(` level=ERROR .* error\.error="(?:AI_[A-Za-z]+: )?((?:[^"\\]|\\.)*)"`)

func readLog(line string) (words string, ok bool) {
	if !strings.HasPrefix(line, "timestamp=") {
		return "", false
	}
	m := logLine.FindStringSubmatch(line)
	if m == nil {
		return "", false
	}
	return m[1], true
}

// logGrace is how long a run may go on after an error in its log. An error that opencode does not repeat is reported a
// moment later as an event, with its status; before it repeats a request it waits two seconds or more (1.18.33).
const logGrace = 1500 * time.Millisecond

// endAt ends a run at its first error, and at a step that was not finished.
func endAt(line string) (after time.Duration, end bool) {
	if _, ok := readLog(line); ok {
		return logGrace, true
	}
	e, ok := readEvent(line)
	return 0, ok && (e.Type == "error" || e.Type == "step_finish" && e.Part.Reason != finished)
}

func (r report) Fill(facts *probe.Facts) {
	facts.Tokens, facts.CostUSD = r.tokens, r.cost
	if r.failure != nil && !r.failure.isUnreadable() {
		facts.Status = r.failure.Data.Status
	}
	if r.failure == nil && r.reason == finished {
		facts.Output = execprobe.Quote(r.text)
	}
}

// Verdict returns how the run ended: nil if its answer contains want. Exit code 0 alone proves nothing: it is 0 without
// an answer too.
func (r report) Verdict(ctx context.Context, e execprobe.ExitState, want string) error {
	switch {
	case e.Stopped:
		return e.Interrupted(ctx)
	case r.failure != nil:
		return probe.Fail(r.failure.class(r.started),
			errors.New(execprobe.Quote(execprobe.FirstNonBlank(r.failure.Data.Message, r.failure.Name))))
	case r.reason == "unknown":
		return probe.Failf(probe.ExecStreamCut, "the stream ended without a reason, as after the page of a captive portal")
	case r.reason != "" && r.reason != finished:
		return probe.Failf(probe.ExecUnexpectedOutput, "the step ended with the reason %q", execprobe.Quote(r.reason))
	case r.reason == "" && r.logged != "":
		return probe.Fail(classOfText(r.logged, r.started), errors.New(execprobe.Quote(r.logged)))
	case e.Signal != 0:
		return e.Interrupted(ctx)
	case e.Code != 0 || r.reason == "":
		return exitError(e)
	}
	return agent.JudgeAnswer(r.text, want)
}

// exitError is the error of a run that reported no failure: opencode did not get as far as a request.
func exitError(e execprobe.ExitState) error {
	words := execprobe.FirstNonBlank(e.Stderr, e.Stdout)
	switch {
	case strings.Contains(words, "EROFS"), strings.Contains(words, "EACCES"), strings.Contains(words, "ENOSPC"):
		return probe.Fail(probe.ExecHomeUnwritable, errors.New(execprobe.Quote(words)))
	case strings.Contains(words, "is not valid JSON"), strings.Contains(words, "Configuration is invalid"):
		return probe.Fail(probe.ExecConfigInvalid, errors.New(execprobe.Quote(words)))
	}
	return probe.Failf(probe.ExecUnexpectedExit, "exit code %d without an answer: %s", e.Code, execprobe.LastLine(words))
}

// isUnreadable reports whether the answer was no stream of events: its status is then one that opencode made up.
func (f *failure) isUnreadable() bool {
	return strings.HasPrefix(f.Data.Message, "JSON parsing failed")
}

// class is how a run that failed ended: by the kind of the error, then by the status, then by its words.
func (f *failure) class(started bool) probe.Class {
	words := f.Data.Message + " " + f.Data.Body
	switch status := f.Data.Status; {
	case f.Name == "ProviderAuthError":
		return probe.ExecNotLoggedIn
	case f.Name == "ProviderModelNotFoundError":
		return probe.ExecModelRejected
	case f.isUnreadable():
		return probe.ExecStreamCut
	case status == 0:
		return classOfText(f.Data.Message, started)
	case status == 402, status < 500 && isUsageLimit.MatchString(words):
		return probe.ExecUsageLimit
	case status == 401:
		return probe.ExecUnauthorized
	case status == 403 && !strings.HasPrefix(strings.TrimSpace(f.Data.Body), "{"): // a page in place of the API's JSON
		return probe.HTTPEdgeBlocked
	case status == 403:
		return probe.ExecUnauthorized
	case (status == 404 || status == 400) && isAboutModel.MatchString(words):
		return probe.ExecModelRejected
	}
	return agent.ClassOfStatus(f.Data.Status)
}

var (
	isUsageLimit = regexp.MustCompile(`(?i)usage.limit|credit balance|insufficient_quota|exceeded your current quota`)
	isAboutModel = regexp.MustCompile(`(?i)\bmodel\b|model_not_found`)
)

// texts are the words of each class where there is no status, the more exact ones first. opencode has one text for a
// name that does not exist, a host without a network and its own sandbox: other probes know more.
var texts = []struct {
	words *regexp.Regexp
	class probe.Class
}{
	{regexp.MustCompile(`^Unexpected server error`), probe.ExecUnexpectedExit}, // of opencode's own server
	{regexp.MustCompile(`^Cannot connect to API`), probe.ExecNetwork},
	{regexp.MustCompile(`(?i)certificate|self.signed|unable to connect|\bSSL\b|\bTLS\b`), probe.ExecNetwork},
	{regexp.MustCompile(`(?i)stream ended|terminated|socket connection was closed`), probe.ExecStreamCut},
	{regexp.MustCompile(`^Forbidden`), probe.HTTPEdgeBlocked}, // a page: the API has words of its own
	{isUsageLimit, probe.ExecUsageLimit},
	{regexp.MustCompile(`(?i)rate.limit|too many requests`), probe.ExecRateLimited},
	{regexp.MustCompile(`(?i)api.key|unauthorized|authentication`), probe.ExecUnauthorized},
	{regexp.MustCompile(`(?i)^model:|model.{0,60}not found`), probe.ExecModelRejected},
	{regexp.MustCompile(`(?i)overloaded|unavailable|server error|bad gateway|gateway time`), probe.ExecOverloaded},
	{regexp.MustCompile(`(?i)time(?:d )?out`), probe.ExecTimedOut},
	{regexp.MustCompile(`^JSON parsing failed`), probe.ExecStreamCut},
}

func classOfText(words string, started bool) probe.Class {
	if started && strings.Contains(words, "socket connection was closed") {
		return probe.ExecStreamCut
	}
	for _, t := range texts {
		if t.words.MatchString(words) {
			return t.class
		}
	}
	return probe.Unknown
}
