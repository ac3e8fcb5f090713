package agent

import (
	"errors"
	"regexp"
	"strconv"
	"strings"

	"netwatchd/internal/probe"
	"netwatchd/internal/probe/execprobe"
)

var (
	statusOf = regexp.MustCompile(`^(?:unexpected status|exceeded retry limit, last status:) (\d{3})\b`)
	// A page instead of a JSON body: a cf-ray proves nothing, since it is on every answer that came through the CDN.
	isPage      = regexp.MustCompile(`(?i)<!doctype html|<html|just a moment|attention required|country, region, or territory not supported`)
	isTransport = regexp.MustCompile(`error sending request|Connection failed|workspace routing discovery failed|` +
		`timeout waiting for child process to exit|failed to lookup address|invalid peer certificate|request timed out|os error`)
)

// refreshURL is in the message when a sign-in had to be renewed and its server could not be reached.
const refreshURL = "auth.openai.com/oauth/token"

// failures are the reasons a turn failed, in the order in which they are asked. Messages with an HTTP status are not
// among them: they hold whole bodies, and those can contain anything. Transport comes late for the same reason.
var failures = []struct {
	class probe.Class
	words *regexp.Regexp
}{
	{probe.ExecUsageLimit, regexp.MustCompile(`usage limit|[Qq]uota exceeded`)},
	{probe.ExecRateLimited, regexp.MustCompile(`rate limit exceeded|[Rr]ate limit reached`)},
	{probe.ExecNotLoggedIn, regexp.MustCompile(`Missing environment variable`)},
	{probe.ExecUnauthorized, regexp.MustCompile(`could not be refreshed`)},
	// A sign-in had to be renewed and could not: is it the network or the account? codex cannot say.
	{probe.ExecNetwork, regexp.MustCompile(`error sending request.*` + regexp.QuoteMeta(refreshURL))},
	{probe.ExecOverloaded, regexp.MustCompile(`at capacity|high demand|An error occurred while processing your request`)},
	{probe.ExecModelRejected, regexp.MustCompile(`^\s*\{"(?:detail|error)"|not supported when using Codex|model .* does not exist`)},
	{probe.ExecStreamCut, regexp.MustCompile(`idle timeout waiting for SSE|closed before response\.completed|` +
		`error decoding response body|Incomplete response`)},
	// A renewed sign-in that could not be written to auth.json: the stored one is spent.
	{probe.ExecHomeUnwritable, regexp.MustCompile(`^(?:Read-only file system|Permission denied) \(os error \d+\)$`)},
	{probe.ExecNetwork, isTransport},
	{probe.ExecStreamCut, regexp.MustCompile(`^stream disconnected before completion`)},
}

// classOfFailure is the class of a failed turn's message; false with Unknown if nobody has seen such a message before.
func classOfFailure(message string) (probe.Class, bool) {
	if m := statusOf.FindStringSubmatch(message); m != nil {
		status, _ := strconv.Atoi(m[1])
		return classOfStatus(status, message), true
	}
	for _, f := range failures {
		if f.words.MatchString(message) {
			return f.class, true
		}
	}
	return probe.Unknown, false
}

// classOfStatus is the class of an answer codex did not expect. Where the agent only passes on what HTTP said, the class
// is HTTP's: the cause is the same as if a probe of ours had been told so.
func classOfStatus(status int, message string) probe.Class {
	switch {
	case status == 401, status == 402: // 402: a deactivated workspace
		return probe.ExecUnauthorized
	case status == 403 && (strings.Contains(message, `"source":"baseline_policy"`) || strings.Contains(message, "Sandbox policy blocks")):
		return probe.LocalDenied // codex's own sandbox proxy, on this host
	case status == 403 && isPage.MatchString(message):
		return probe.HTTPEdgeBlocked
	case status == 403:
		return probe.ExecUnauthorized
	case status == 407:
		return probe.ProxyAuthRequired
	case status == 429:
		return probe.ExecRateLimited
	case status >= 500:
		return probe.ExecOverloaded
	case (status == 400 || status == 404) && strings.Contains(message, "model"):
		return probe.ExecModelRejected
	}
	return probe.HTTPUnexpectedStatus
}

// silences are the reasons codex ends before its first event; they are on standard error.
var silences = []struct {
	class probe.Class
	words *regexp.Regexp
}{
	{probe.ExecNotFound, regexp.MustCompile(`Missing optional dependency.*|env: .*: No such file or directory`)},
	{probe.ExecHomeUnwritable, regexp.MustCompile(`failed to initialize in-process app-server client: .*\(os error (?:1|13|30)\)`)},
	{probe.ExecConfigInvalid, regexp.MustCompile(`(?s)Error loading config.*|Error finding codex home.*|Unknown feature flag.*|` +
		`Not inside a trusted directory.*|No prompt provided.*|error: (?:unexpected argument|invalid value|the following).*|` +
		`Error: No such file or directory \(os error 2\)`)},
	{probe.ExecNotLoggedIn, regexp.MustCompile(`Not logged in`)},
}

func (l *codexLog) neverSpoke(exit int) error {
	for _, s := range silences {
		if words := s.words.FindString(l.stderr); words != "" {
			return probe.Fail(s.class, errors.New(execprobe.Quote(words)))
		}
	}
	switch exit {
	case 127:
		return probe.Failf(probe.ExecNotFound, "exit code 127, a command was not found: %s", execprobe.LastLine(l.stderr))
	case 126:
		return probe.Failf(probe.ExecStartFailed, "exit code 126, a command could not be run: %s", execprobe.LastLine(l.stderr))
	}
	return probe.Failf(probe.ExecUnexpectedExit, "exit code %d before the first event: %s", exit, l.lastWords())
}
