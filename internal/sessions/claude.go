package sessions

import (
	"bytes"
	"encoding/json"
	"errors"
	"regexp"

	"netwatchd/internal/probe"
)

// transcript parses the files that Claude Code keeps of its sessions, projects/*/*.jsonl (2.1.332).
type transcript struct{}

// A transcriptLine is one line that reports a failure.
type transcriptLine struct {
	Timestamp  string
	Type       string
	Subtype    string
	Error      json.RawMessage // a word, or an object in a line of subtype api_error
	IsAPIError bool            `json:"isApiErrorMessage"`
	Status     int             `json:"apiErrorStatus"`
	Retry      int             `json:"retryAttempt"`
	Message    struct{ Content json.RawMessage }
}

// A claudeError is the error of a request that is made again.
type claudeError struct {
	Status      int
	Message     string
	NetworkDown bool `json:"isNetworkDown"`
	Connection  *struct {
		Code     string
		SSLError bool `json:"isSSLError"`
	}
}

var (
	apiError       = []byte(`"api_error"`)
	apiErrorAnswer = []byte(`"isApiErrorMessage":`)
	violation      = []byte(`"sandbox_violation"`)
)

func (transcript) parse(line []byte) (Event, bool) {
	switch {
	case bytes.Contains(line, violation):
		return deniedByClaude(line)
	case !bytes.Contains(line, apiError) && !bytes.Contains(line, apiErrorAnswer):
		return Event{}, false
	}
	var l transcriptLine
	err := json.Unmarshal(line, &l)
	if _, isOfTomorrow := errors.AsType[*json.UnmarshalTypeError](err); err != nil && !isOfTomorrow {
		return Event{}, false // a value of another type is left out, and the rest counts
	}
	e := Event{At: parseTime(l.Timestamp)}
	switch {
	case l.Type == "system" && l.Subtype == "api_error":
		var failure claudeError
		_ = json.Unmarshal(l.Error, &failure) // another shape is unknown
		e.Kind, e.Class, e.Retry = Retry, failure.class(), min(max(l.Retry, 0), 1000)
	case l.Type == "assistant" && l.IsAPIError:
		var word string
		_ = json.Unmarshal(l.Error, &word)
		e.Class = classOfClaude(word, l.Status, l.Message.Content)
	default:
		return Event{}, false
	}
	return e, true
}

// deniedByClaude reads the result of a tool that Claude Code says its sandbox has stopped. The sandbox also stops
// writes: only what a program prints without a network counts.
func deniedByClaude(line []byte) (Event, bool) {
	var l struct {
		Timestamp string
		Type      string
	}
	if json.Unmarshal(line, &l) != nil || l.Type != "user" || !containsAny(line, noNetwork) {
		return Event{}, false
	}
	return Event{At: parseTime(l.Timestamp), Kind: Denied, Class: probe.LocalDenied, Network: NetworkDenied}, true
}

func (e claudeError) class() probe.Class {
	switch c := e.Connection; {
	case e.Status != 0:
		return classOfClaudeStatus(e.Status, []byte(e.Message))
	case c != nil && c.Code == "StreamTruncated":
		return probe.ExecStreamCut
	case c != nil && (c.SSLError || claudeCode.MatchString(c.Code)), e.NetworkDown, e.Message == "Request timed out.":
		return probe.ExecNetwork
	}
	return probe.Unknown
}

// claudeCode matches the code of a connection that failed: of Node, or of its TLS library.
var claudeCode = regexp.MustCompile(`^(?:E[A-Z_0-9]+|[A-Z_]*CERT[A-Z_]*|UNABLE_TO_[A-Z_]+)$`)

// classOfClaude returns the class of the message that ends a turn: by its status, then by its word, then by the code at
// the end of its text.
func classOfClaude(word string, status int, content []byte) probe.Class {
	if status != 0 {
		return classOfClaudeStatus(status, content)
	}
	for _, text := range claudeTexts {
		if bytes.Contains(content, []byte(text.words)) {
			return text.class
		}
	}
	switch {
	case claudeEnd.Match(content):
		return probe.ExecNetwork
	case word == "rate_limit":
		return probe.ExecRateLimited
	case word == "authentication_failed":
		return probe.ExecUnauthorized
	case word == "billing_error":
		return probe.ExecUsageLimit
	}
	return probe.Unknown
}

// claudeTexts are Claude Code's own sentences (2.1.332).
var claudeTexts = []struct {
	words string
	class probe.Class
}{
	{"Not logged in", probe.ExecNotLoggedIn},
	{"Credit balance", probe.ExecUsageLimit},
	{"StreamTruncated", probe.ExecStreamCut},
	{"without receiving any events", probe.ExecStreamCut},
	{"malformed response (HTTP 200)", probe.HTTPUnexpectedBody},
	{"Request timed out", probe.ExecNetwork},
	{"SSL certificate", probe.ExecNetwork},
}

// claudeEnd matches a code of Node in parentheses, as in "(ECONNRESET)".
var claudeEnd = regexp.MustCompile(`\((?:E[A-Z_]{3,30}|[A-Z_]*CERT[A-Z_]*|UNABLE_TO_[A-Z_]+)\)`)

var (
	challenge  = regexp.MustCompile(`(?i)just a moment|<!doctype|<html|attention required|403 status code \(no body\)`)
	usageLimit = regexp.MustCompile(`(?i)usage limit|credit balance`)
)

func classOfClaudeStatus(status int, text []byte) probe.Class {
	switch {
	case status == 403 && challenge.Match(text):
		return probe.HTTPEdgeBlocked
	case status == 401, status == 403:
		return probe.ExecUnauthorized
	case status == 402, status == 429 && usageLimit.Match(text), status == 400 && usageLimit.Match(text):
		return probe.ExecUsageLimit
	case status == 404:
		return probe.ExecModelRejected
	case status == 407:
		return probe.ProxyAuthRequired
	case status == 429:
		return probe.ExecRateLimited
	case status >= 500 && status < 600:
		return probe.ExecOverloaded
	}
	return probe.HTTPUnexpectedStatus
}
