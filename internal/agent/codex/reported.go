package codex

import (
	"encoding/json"

	"netwatchd/internal/probe"
)

// Failure returns the class of a failed turn, as codex (since 0.155) writes it into its session files: a message,
// and codex_error_info, which is a reason code or an object of one reason with a status. Info may be empty: only the
// message is judged then. Unknown: no known version writes that.
func Failure(message string, info json.RawMessage) probe.Class {
	message = typographic.Replace(message)
	code, status := reasonOf(info)
	if status != 0 && httpStatus(message) == 0 {
		return classOfStatus(status, message)
	}
	if class, known := reasonClasses[code]; known && httpStatus(message) == 0 {
		return class
	}
	// An empty message is taken for a status 400 in a log. Beside a reason it is only empty.
	if message != "" || code == "" {
		if class, known := classOfFailure(message); known {
			return class
		}
	}
	switch code {
	case "http_connection_failed", "response_stream_connection_failed":
		return probe.ExecNetwork
	case "response_stream_disconnected":
		return probe.ExecStreamCut
	}
	return probe.Unknown
}

// reasonOf returns the reason code in info, and its HTTP status; zero: there is none.
func reasonOf(info json.RawMessage) (code string, status int) {
	if json.Unmarshal(info, &code) == nil {
		return code, 0
	}
	var reasons map[string]struct {
		Status int `json:"http_status_code"`
	}
	if json.Unmarshal(info, &reasons) == nil && len(reasons) == 1 {
		for code, reason := range reasons {
			return code, reason.Status
		}
	}
	return "", 0
}
