package claude

import (
	"context"
	"encoding/json"
	"errors"
	"regexp"
	"slices"
	"strings"

	"netwatchd/internal/agent"
	"netwatchd/internal/probe"
	"netwatchd/internal/probe/execprobe"
)

// A report is the object that `claude -p --output-format json` prints at its end. Its subtype is "success" for errors
// too, so that it is not read.
type report struct {
	Type    string `json:"type"` // "result"
	IsError *bool  `json:"is_error"`
	Result  string `json:"result"`
	Reason  string `json:"terminal_reason"` // "completed", "api_error", "aborted_streaming"

	Status int    `json:"api_error_status"` // HTTP; zero: there was no answer
	Kind   string `json:"api_error_type"`   // the service's own reason: "rate_limit_error"

	Cost *float64 `json:"total_cost_usd"` // by claude's own list of prices

	Usage struct {
		Input      int64 `json:"input_tokens"` // without the two of the cache
		CacheRead  int64 `json:"cache_read_input_tokens"`
		CacheWrite int64 `json:"cache_creation_input_tokens"`
		Output     int64 `json:"output_tokens"`
	} `json:"usage"`

	understood bool
}

// readReport reads the last line that is a report: claude prints one, or a line for each event.
func readReport(e execprobe.ExitState) (r report) {
	for _, line := range slices.Backward(strings.Split(e.Stdout, "\n")) {
		var found report
		if json.Unmarshal([]byte(line), &found) == nil && found.Type == "result" && found.IsError != nil {
			found.understood = true
			return found
		}
	}
	return r
}

func (r report) Fill(facts *probe.Facts) {
	if !r.understood {
		return
	}
	facts.Status, facts.CostUSD = r.Status, r.Cost
	u := r.Usage
	facts.Tokens = &probe.TokensSpent{
		Input: u.Input + u.CacheRead + u.CacheWrite, CachedInput: u.CacheRead, Output: u.Output}
	if !*r.IsError {
		facts.Output = execprobe.Quote(r.Result)
	}
}

// Verdict returns how the run ended: nil if its answer contains want. Exit code 0 alone proves nothing: claude exits 0
// after SIGINT.
func (r report) Verdict(ctx context.Context, e execprobe.ExitState, want string) error {
	switch {
	case e.Stopped || e.Signal != 0:
		return e.Interrupted(ctx)
	case r.understood && strings.HasPrefix(r.Reason, "aborted"), !r.understood && e.Code > signalled:
		return probe.Failf(probe.ExecKilled, "it was interrupted by a signal: exit code %d", e.Code)
	case !r.understood:
		return probe.Failf(probe.ExecUnexpectedExit, "exit code %d without a report: %s", e.Code,
			execprobe.LastLine(execprobe.FirstNonBlank(e.Stderr, e.Stdout)))
	case *r.IsError:
		return probe.Fail(r.class(), errors.New(execprobe.Quote(execprobe.FirstNonBlank(r.Result, "it reported no reason"))))
	case e.Code != 0:
		return probe.Failf(probe.ExecUnexpectedExit, "exit code %d: %s", e.Code, execprobe.Quote(r.Result))
	}
	return agent.JudgeAnswer(r.Result, want)
}

// signalled is what claude adds to the number of a signal that ends it: 143 for SIGTERM.
const signalled = 128

// class is how a run that failed ended: by the status and the service's reason, then by the code that claude writes in
// parentheses, and by its words last.
func (r report) class() probe.Class {
	if r.Status != 0 {
		return r.classOfStatus()
	}
	if m := codes.FindAllStringSubmatch(r.Result, -1); m != nil {
		if class, known := codeClasses[m[len(m)-1][1]]; known {
			if class == probe.ExecNetwork && strings.Contains(r.Result, "Connection to the API was lost") {
				return probe.ExecStreamCut
			}
			return class
		}
	}
	for _, p := range phrases {
		if strings.Contains(r.Result, p.words) {
			return p.class
		}
	}
	return probe.Unknown
}

// codes are those of the operating system, of the TLS library and of claude's client.
var codes = regexp.MustCompile(`\(([A-Z][A-Za-z_0-9]+)\)`)

// codeClasses has the codes that were seen. EAI_AGAIN is a dead resolver, a host without a network, or claude's own
// sandbox; ECONNREFUSED also a blocked or missing route. So each is only "the network": other probes know more.
var codeClasses = map[string]probe.Class{
	"ENOTFOUND": probe.ExecNetwork, "EAI_AGAIN": probe.ExecNetwork, "ECONNREFUSED": probe.ExecNetwork,
	"ECONNRESET": probe.ExecNetwork, "ETIMEDOUT": probe.ExecNetwork, "EHOSTUNREACH": probe.ExecNetwork,
	"ENETUNREACH": probe.ExecNetwork, "EPIPE": probe.ExecNetwork, "EPROTO": probe.ExecNetwork,
	"UNABLE_TO_VERIFY_LEAF_SIGNATURE": probe.ExecNetwork, "SELF_SIGNED_CERT_IN_CHAIN": probe.ExecNetwork,
	"DEPTH_ZERO_SELF_SIGNED_CERT": probe.ExecNetwork, "UNABLE_TO_GET_ISSUER_CERT_LOCALLY": probe.ExecNetwork,
	"CERT_HAS_EXPIRED": probe.ExecNetwork, "ERR_TLS_CERT_ALTNAME_INVALID": probe.ExecNetwork,
	"StreamTruncated": probe.ExecStreamCut,
}

// phrases are claude's own words where there is no code.
var phrases = []struct {
	words string
	class probe.Class
}{
	{"Not logged in", probe.ExecNotLoggedIn},
	{"Invalid API key", probe.ExecUnauthorized},
	{"Credit balance", probe.ExecUsageLimit},
	{"without receiving any events", probe.ExecStreamCut}, // a portal's page, too
	{"malformed response", probe.HTTPUnexpectedBody},
	{"Request timed out", probe.ExecTimedOut},
	{"SSL certificate", probe.ExecNetwork},
	{"Unable to connect to API", probe.ExecNetwork},
}

// reasons are the types in error bodies of the API. A type that names no reason (invalid_request_error) leaves it to
// the status.
var reasons = map[string]probe.Class{
	"authentication_error": probe.ExecUnauthorized,
	"permission_error":     probe.ExecUnauthorized,
	"billing_error":        probe.ExecUsageLimit,
	"overloaded_error":     probe.ExecOverloaded,
	"api_error":            probe.ExecOverloaded,
	"timeout_error":        probe.ExecOverloaded,
	"request_too_large":    probe.HTTPUnexpectedStatus,
}

func (r report) classOfStatus() probe.Class {
	switch {
	case strings.Contains(r.Result, "Not logged in"):
		return probe.ExecNotLoggedIn
	case strings.Contains(r.Result, "Credit balance"), r.Status == 429 && isUsageLimit.MatchString(r.Result):
		return probe.ExecUsageLimit
	case strings.Contains(r.Result, "issue with the selected model"):
		return probe.ExecModelRejected
	}
	if class, known := reasons[r.Kind]; known {
		return class
	}
	switch {
	case r.Status == 401:
		return probe.ExecUnauthorized
	case r.Status == 403 && r.Kind == "": // a page in place of the API's JSON
		return probe.HTTPEdgeBlocked
	case r.Status == 403:
		return probe.ExecUnauthorized
	}
	return agent.ClassOfStatus(r.Status)
}

// isUsageLimit tells a plan that is used up from too many requests at once.
var isUsageLimit = regexp.MustCompile(`(?i)usage limit|hit your limit|limit reached|out of (?:extra )?usage`)
