package gemini

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"netwatchd/internal/agent"
	"netwatchd/internal/probe"
	"netwatchd/internal/probe/execprobe"
	"netwatchd/internal/userfile"
)

// furnish writes the settings of a run into dir, and links the user's sign-in there. Google's renewal leaves the stored
// token valid, so that it does not matter who renews it.
func (s setup) furnish(e endpoint, dir string) error {
	if err := userfile.Replace(filepath.Join(dir, "settings.json"), fmt.Appendf(nil, ownSettings, e.kind)); err != nil {
		return err
	}
	link := filepath.Join(dir, "oauth_creds.json")
	if target, err := os.Readlink(link); e.kind != kindLogin || err == nil && target == s.login() {
		return nil
	}
	_ = os.Remove(link)
	return os.Symlink(s.login(), link)
}

// A report is what a run printed: an answer on standard output, or an error at the end of standard error.
type report struct {
	Response *string `json:"response"`
	Stats    struct {
		Models map[string]struct {
			API struct {
				Requests int `json:"totalRequests"`
			} `json:"api"`
			Tokens struct {
				Prompt     int64 `json:"prompt"` // with those of the cache
				Cached     int64 `json:"cached"`
				Candidates int64 `json:"candidates"`
			} `json:"tokens"`
		} `json:"models"`
	} `json:"stats"`
	Error *struct {
		Message string `json:"message"`
		Code    int    `json:"code"` // an HTTP status, or the exit code
	} `json:"error"`
}

func readReport(e execprobe.ExitState) (r report) {
	if json.Unmarshal([]byte(e.Stdout), &r) == nil && (r.Response != nil || r.Error != nil) {
		return r
	}
	r = report{}
	if at := strings.LastIndex(e.Stderr, "\n{\n"); at >= 0 || strings.HasPrefix(e.Stderr, "{\n") {
		_ = json.Unmarshal([]byte(e.Stderr[at+1:]), &r)
	}
	return r
}

func (r report) Fill(facts *probe.Facts) {
	if status := r.status(); status != 0 {
		facts.Status = status
	}
	for _, m := range r.Stats.Models {
		if facts.Tokens == nil {
			facts.Tokens = &probe.TokensSpent{}
		}
		facts.Requests += m.API.Requests
		facts.Tokens.Input += m.Tokens.Prompt
		facts.Tokens.CachedInput += m.Tokens.Cached
		facts.Tokens.Output += m.Tokens.Candidates
	}
	if r.Error == nil && r.Response != nil {
		facts.Output = execprobe.Quote(*r.Response)
	}
}

// status returns the HTTP status of the error, or 0.
func (r report) status() int {
	if r.Error == nil || r.Error.Code < 400 || r.Error.Code > 599 {
		return 0
	}
	return r.Error.Code
}

// Exit codes of gemini's own.
const (
	exitNoAuth   = 41
	exitSettings = 52
)

// Verdict returns how the run ended: nil if its answer contains want. The exit code is the HTTP status modulo 256 for
// an error of the service, and 0 after a signal.
func (r report) Verdict(ctx context.Context, e execprobe.ExitState, want string) error {
	switch {
	case e.Stopped || e.Signal != 0:
		return e.Interrupted(ctx)
	case r.Error != nil:
		return probe.Fail(r.class(e.Code), errors.New(execprobe.Quote(r.Error.Message)))
	case e.Code == exitNoAuth:
		return errSignedOut
	case e.Code == exitSettings:
		return probe.Failf(probe.ExecConfigInvalid, "%s", execprobe.LastLine(strings.TrimSpace(firstLine(e.Stderr))))
	case r.Response == nil || e.Code != 0:
		return probe.Failf(probe.ExecUnexpectedExit, "exit code %d without an answer: %s", e.Code,
			execprobe.LastLine(execprobe.FirstNonBlank(e.Stderr, e.Stdout)))
	}
	return agent.JudgeAnswer(*r.Response, want)
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}

// class is how a run that failed ended. Every fault of the network has one text: "fetch failed".
func (r report) class(exit int) probe.Class {
	message := r.Error.Message
	reason := reasonOf(message)
	switch status := r.status(); {
	case exit == exitNoAuth || r.Error.Code == exitNoAuth:
		return probe.ExecNotLoggedIn
	case reason == "RESOURCE_EXHAUSTED" && strings.Contains(message, "quota"), status == 429 && strings.Contains(message, "quota"):
		return probe.ExecUsageLimit
	case status == 400 && strings.Contains(message, "API key"), status == 401, reason == "PERMISSION_DENIED", reason == "UNAUTHENTICATED":
		return probe.ExecUnauthorized
	case status == 403: // a page in place of the API's JSON
		return probe.HTTPEdgeBlocked
	case status == 404 || strings.HasPrefix(message, "model: ") || strings.Contains(message, "not_found_error"),
		strings.Contains(message, "is not found for API version"):
		return probe.ExecModelRejected
	case status != 0:
		return agent.ClassOfStatus(status)
	case strings.Contains(message, "fetch failed"):
		return probe.ExecNetwork
	case strings.Contains(message, "empty response"):
		return probe.ExecUnexpectedOutput
	case message == "terminated", strings.Contains(message, "without a finish reason"), strings.Contains(message, "Incomplete JSON segment"), strings.Contains(message, "is not valid JSON"):
		return probe.ExecStreamCut // a portal's page, too
	}
	return probe.Unknown
}

// reasonOf returns the service's own reason, if the message is its JSON.
func reasonOf(message string) string {
	var body struct {
		Error struct {
			Status string `json:"status"`
		} `json:"error"`
	}
	if json.Unmarshal([]byte(message), &body) != nil || body.Error.Status == "Forbidden" { // the client's word for a page
		return ""
	}
	return body.Error.Status
}
