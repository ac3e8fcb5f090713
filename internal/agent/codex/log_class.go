package codex

import (
	"encoding/json"
	"errors"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"netwatchd/internal/agent"
	"netwatchd/internal/codexconf"
	"netwatchd/internal/probe"
	"netwatchd/internal/probe/execprobe"
)

// refreshURL is in the message when codex had to renew the sign-in and could not reach the server that does it.
const refreshURL = "auth.openai.com/oauth/token"

// cutPrefix begins a message if a stream was open. What follows it is one of a few phrases of codex, or else the
// service's own words: codex puts the message of a `response.failed` event there.
const cutPrefix = "stream disconnected before completion: "

// classOfFailure returns the class of a failed turn's message. It reports false, with Unknown, for a message that no
// known version writes.
//
// A message may quote a whole page or the service's own words, which can contain anything. So the form of the message
// decides first, then reason codes inside it, and words last.
func classOfFailure(message string) (class probe.Class, known bool) {
	message = strings.TrimSpace(message)
	if status := httpStatus(message); status != 0 {
		return classOfStatus(status, message), true
	}
	if rest, cut := strings.CutPrefix(message, cutPrefix); cut {
		if class, known := match(codexStreamPhrases, rest); known {
			return class, true
		}
		if class, known := match(serviceWords, rest); known {
			return class, true
		}
		return probe.ExecOverloaded, true // the service failed the response for a reason of its own
	}
	if class, known := match(codexMessages, message); known {
		return class, true
	}
	if isTransport.MatchString(message) {
		return probe.ExecNetwork, true
	}
	return match(serviceWords, message) // since 0.142 a status 400 is reported by its error.message alone
}

// A phrase is the class of the messages that match words.
type phrase struct {
	class probe.Class
	words *expression
}

func match(phrases []phrase, text string) (class probe.Class, known bool) {
	for _, p := range phrases {
		if p.words.MatchString(text) {
			return p.class, true
		}
	}
	return probe.Unknown, false
}

// An expression is compiled when it is first used. Together they take 0.7 MB, and a daemon whose runs of codex succeed
// needs none of them.
type expression struct {
	text     string
	compiled func() *regexp.Regexp
}

// anyOf returns an expression that matches what one of expressions does.
func anyOf(expressions ...string) *expression {
	text := strings.Join(expressions, "|")
	return &expression{text, sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(text) })}
}

func (e *expression) String() string                { return e.text }
func (e *expression) MatchString(text string) bool  { return e.compiled().MatchString(text) }
func (e *expression) FindString(text string) string { return e.compiled().FindString(text) }

// codexMessages are messages in codex's own words, from the tables of its errors in 0.104 and 0.169.
var codexMessages = []phrase{
	{probe.ExecUsageLimit, anyOf(
		`^You've hit your usage limit`,
		`^You hit your spend cap`,
		`^Your workspace is out of credits`,
		`^Quota exceeded\. Check your plan`,
		`^To use Codex with your ChatGPT plan, upgrade`)},
	{probe.ExecRateLimited, anyOf(`^rate limit exceeded: `)},
	{probe.ExecNotLoggedIn, anyOf(`^Missing environment variable: `)},
	{probe.ExecUnauthorized, anyOf(
		`^Your .*could not be refreshed`,
		`^workspace routing discovery unauthorized`,
		`^selected workspace missing from routing discovery`)},
	// The sign-in had to be renewed and was not. The network or the account? Codex does not say.
	{probe.ExecNetwork, anyOf(`^error sending request.*` + regexp.QuoteMeta(refreshURL))},
	{probe.ExecOverloaded, anyOf(
		`^Selected model is at capacity`,
		`^We're currently experiencing high demand`,
		`^Policy-restricted capacity is unavailable`,
		`^Flex capacity unavailable`)},
	{probe.ExecModelRejected, anyOf(`^Codex ran out of room in the model's context window`)}, // for one short sentence
	{probe.ExecUnexpectedOutput, anyOf(`^Your workspace inference hook blocked this request`)},
	// The renewed sign-in could not be written to auth.json: the stored one is spent.
	{probe.ExecHomeUnwritable, anyOf(`^(?:Read-only file system|Permission denied) \(os error \d+\)$`)},
	{probe.ExecStreamCut, anyOf(`^Error while reading the server response: `)},
}

// codexStreamPhrases are codex's own words after cutPrefix. Those of WebSockets are tungstenite's.
var codexStreamPhrases = []phrase{
	{probe.ExecStreamCut, anyOf(
		`^stream closed before response\.completed`,
		`^idle timeout waiting for `,
		`^Transport error: `,
		`^error decoding response body`,
		`^request or response body error`,
		`^failed to parse `,
		`^WebSocket protocol error: `,
		`^[Cc]onnection closed`,
		`^websocket (?:connection )?(?:is )?closed`,
		`^Responses websocket connection limit reached`)},
	{probe.ExecUnexpectedOutput, anyOf(`^Incomplete response returned, reason: `)}, // content_filter, max_output_tokens
	{probe.ExecNetwork, isTransport},
}

// isTransport matches what codex writes if it could not connect, send, or read an answer.
var isTransport = anyOf(
	`error sending request`,
	`Connection failed`,
	`workspace routing discovery (?:failed|timed out)`,
	`timeout waiting for child process to exit`, // what 0.104 writes for a connect timeout
	`failed to lookup address`,
	`invalid peer certificate`,
	`request timed out`,
	`os error`)

// serviceWords are what services write in place of a reason code. The expressions are loose, so they are tried last.
var serviceWords = []phrase{
	{probe.ExecUsageLimit, anyOf(
		`(?i)exceeded your current quota`,
		`(?i)usage limit`,
		`(?i)spend(?:ing)? (?:cap|limit)`,
		`(?i)out of credits`)},
	{probe.ExecRateLimited, anyOf(`(?i)rate limit (?:reached|exceeded)`, `(?i)too many requests`)},
	{probe.ExecModelRejected, anyOf(
		`(?i)\bmodel\b.{0,80}\bnot (?:supported|found|available|exist)`,
		`(?i)\bmodel\b.{0,80}\b(?:does not|doesn't) exist`,
		`(?i)\bmodel\b.{0,80}\bno longer available`,
		`(?i)\b(?:unsupported|unknown|invalid) model\b`,
		`(?i)do not have access to .{0,40}\bmodel\b`)},
	// The service answers, but not this prompt.
	{probe.ExecUnexpectedOutput, anyOf(
		`(?i)flagged for possible`,
		`(?i)for safety reasons`,
		`(?i)\bpolicy violation`,
		`(?i)\b(?:content|usage) policy`)},
	{probe.ExecOverloaded, anyOf(`(?i)\boverloaded\b`, `(?i)an error occurred while processing your request`)},
}

// reasonClasses are the reason codes in error bodies of the API and of ChatGPT's backend, in the header that codex
// quotes as "auth error code", and those of codex itself. A code that is absent, or too general to name a reason
// (invalid_request_error), leaves it to the status.
var reasonClasses = map[string]probe.Class{
	"usage_limit_reached":                  probe.ExecUsageLimit,
	"usage_limit_exceeded":                 probe.ExecUsageLimit,
	"usage_not_included":                   probe.ExecUsageLimit,
	"insufficient_quota":                   probe.ExecUsageLimit,
	"billing_hard_limit_reached":           probe.ExecUsageLimit,
	"credit_balance_exhausted":             probe.ExecUsageLimit,
	"organization_spend_limit_exceeded":    probe.ExecUsageLimit,
	"project_spend_limit_exceeded":         probe.ExecUsageLimit,
	"workspace_owner_credits_depleted":     probe.ExecUsageLimit,
	"workspace_member_credits_depleted":    probe.ExecUsageLimit,
	"workspace_owner_usage_limit_reached":  probe.ExecUsageLimit,
	"workspace_member_usage_limit_reached": probe.ExecUsageLimit,

	"rate_limit_exceeded": probe.ExecRateLimited,
	"rate_limit_reached":  probe.ExecRateLimited,

	"unauthorized":              probe.ExecUnauthorized,
	"invalid_api_key":           probe.ExecUnauthorized,
	"token_expired":             probe.ExecUnauthorized,
	"token_invalidated":         probe.ExecUnauthorized,
	"token_revoked":             probe.ExecUnauthorized,
	"refresh_token_expired":     probe.ExecUnauthorized,
	"refresh_token_reused":      probe.ExecUnauthorized,
	"refresh_token_invalidated": probe.ExecUnauthorized,
	"account_deactivated":       probe.ExecUnauthorized,
	"deactivated_workspace":     probe.ExecUnauthorized,

	"server_overloaded":     probe.ExecOverloaded,
	"server_is_overloaded":  probe.ExecOverloaded,
	"slow_down":             probe.ExecOverloaded,
	"server_error":          probe.ExecOverloaded,
	"internal_server_error": probe.ExecOverloaded,

	"model_not_found":         probe.ExecModelRejected,
	"unsupported_model":       probe.ExecModelRejected,
	"context_length_exceeded": probe.ExecModelRejected,
	"context_window_exceeded": probe.ExecModelRejected,

	"cyber_policy":             probe.ExecUnexpectedOutput,
	"content_policy_violation": probe.ExecUnexpectedOutput,
	"invalid_prompt":           probe.ExecUnexpectedOutput,

	"unsupported_country_region_territory": probe.HTTPEdgeBlocked,
}

// classOfReason returns the class of the first reason code in message that names a reason.
func classOfReason(message string) (class probe.Class, known bool) {
	for _, code := range reasons(message) {
		if class, known := reasonClasses[code]; known {
			return class, true
		}
	}
	return probe.Unknown, false
}

var authErrorCode = regexp.MustCompile(`, auth error code: (\w+)`)

// reasons returns the reason codes in message: in its JSON body, if it has one, and in the header that codex quotes.
func reasons(message string) []string {
	var codes []string
	if at := strings.IndexByte(message, '{'); at >= 0 {
		var body struct{ Error, Detail json.RawMessage }
		// A decoder, because codex writes ", url: …" after the body.
		if json.NewDecoder(strings.NewReader(message[at:])).Decode(&body) == nil {
			for _, part := range []json.RawMessage{body.Error, body.Detail} {
				var reason struct{ Code, Type string }
				if json.Unmarshal(part, &reason) == nil {
					codes = append(codes, reason.Code, reason.Type)
				}
			}
		}
	}
	if m := authErrorCode.FindStringSubmatch(message); m != nil {
		codes = append(codes, m[1])
	}
	return codes
}

var statusForm = regexp.MustCompile(`^(?:unexpected status |exceeded retry limit, last status: |` +
	`Access blocked by Cloudflare[^(]*\(status )(\d{3})\b`)

// httpStatus returns the HTTP status that a message reports, or 0.
//
// A status 400 is reported by its body alone. An empty message is a 400 without a body: it is the only error of codex
// that has no words of its own (seen when a TLS port answered plain HTTP).
func httpStatus(message string) int {
	message = strings.TrimSpace(message)
	if m := statusForm.FindStringSubmatch(message); m != nil {
		status, _ := strconv.Atoi(m[1])
		return status
	}
	if message == "" || message[0] == '{' || message[0] == '<' {
		return 400
	}
	return 0
}

var isAboutCountry = anyOf(`(?i)country, region,? or territory|not available in your (?:country|region)`)

// isBlocked matches a 403 by the edge: its message has no words of the service about the account. A cf-ray proves
// nothing, because it is on every answer that came through the CDN.
var isBlocked = anyOf(
	`(?i)<!doctype html|<html|just a moment|attention required`, // a page in place of a JSON body
	`^Access blocked by Cloudflare`,
	isAboutCountry.String(),
	`^unexpected status \d{3} [^:]*: Unknown error\b`) // codex's words for an empty body

// classOfStatus returns the class of an answer that codex did not expect. Where codex only passes on an answer that has
// nothing to do with the account, the class is one of HTTP, as if a probe of ours had got the answer.
func classOfStatus(status int, message string) probe.Class {
	if status == 403 && isSandboxRefusal(message) {
		return probe.LocalDenied // by the proxy of codex's own sandbox, on this host
	}
	if status == 401 && saysNoSignIn.MatchString(message) {
		return probe.ExecSignInMissing // whatever the code: OpenAI sends the one of a wrong key too
	}
	if class, known := classOfReason(message); known {
		return class
	}
	switch {
	case status == 401:
		return probe.ExecUnauthorized
	case status == 402:
		return probe.ExecUsageLimit
	case status == 403 && isBlocked.MatchString(message), status == 451:
		return probe.HTTPEdgeBlocked
	case status == 403:
		return probe.ExecUnauthorized
	case status == 400, status == 404:
		if class, known := match(serviceWords, message); known && !isBlocked.MatchString(message) {
			return class
		}
	}
	return agent.ClassOfStatus(status)
}

// saysNoSignIn matches a 401 that says that the request carried no sign-in at all, as services write it: ChatGPT's
// backend (openai/codex#12764), the API of OpenAI, those of Anthropic and of OpenRouter, and common frameworks.
var saysNoSignIn = anyOf(
	`(?i)login did not make it to this service`,
	`(?i)\bmissing (?:bearer|authorization|authentication header|credentials|api key)`,
	`(?i)\byou didn't provide an api key`,
	`(?i)\bno (?:api key|auth(?:orization)?(?: header)?|auth(?:entication)? credentials|credentials|access token)`+
		` (?:was |were )?(?:provided|found|supplied|received)`,
	`(?i)\b(?:authorization|x-api-key)(?: header)? is (?:required|missing)`,
	`(?i)\bcredentials were not provided`)

func isSandboxRefusal(message string) bool {
	return strings.Contains(message, `"source":"baseline_policy"`) || strings.Contains(message, "Sandbox policy blocks")
}

// refusalOf returns what a failed turn's message says about the client's country, or nil.
func refusalOf(message string) *probe.Refusal {
	codes := reasons(message)
	const code = "unsupported_country_region_territory"
	switch {
	case slices.Contains(codes, code):
		return &probe.Refusal{Code: code, Location: true}
	case httpStatus(message) != 0 && isAboutCountry.MatchString(message):
		return &probe.Refusal{Location: true}
	}
	return nil
}

// startFailures are the reasons why codex ends before its first event. They are on standard error.
var startFailures = []phrase{
	{probe.ExecNotFound, anyOf(`Missing optional dependency.*`, `env: .*: No such file or directory`)},
	{probe.ExecHomeUnwritable, anyOf(`failed to initialize in-process app-server client: .*\(os error (?:1|13|30)\)`)},
	{probe.ExecConfigInvalid, anyOf(
		`(?s)Error loading config.*`,
		`(?s)Error finding codex home.*`,
		`(?s)Unknown feature flag.*`,
		`(?s)Not inside a trusted directory.*`,
		`(?s)No prompt provided.*`,
		`(?s)error: (?:unexpected argument|invalid value|the following).*`,
		`Error: No such file or directory \(os error 2\)`)},
	// Settings that codex can read but not use: each of these was seen (0.104 to 0.171).
	{probe.ExecConfigInvalid, anyOf(
		`required MCP servers failed to initialize: .*`,
		`(?m)^Error: Model provider .* not found`,
		`(?m)^Error: config profile .* not found`,
		`(?m)^Error: .*\bno longer supported\b.*`,
		`(?m)^Error: .*\b(?:config|requirements)\.toml\b.*`,
		`(?m)^Error: .*\binvalid configuration\b.*`,
		`(?m)^Error: error loading default config.*`,
		`(?m)^Error: .*\bnot allowed by requirements\b.*`)},
	{probe.ExecNotLoggedIn, anyOf(`Not logged in`)},
}

// neverStarted returns why codex ended before its first event.
func (l *codexLog) neverStarted(exit int) error {
	for _, f := range startFailures {
		words := f.words.FindString(l.stderr)
		if words == "" {
			continue
		}
		if f.class == probe.ExecConfigInvalid {
			words = codexconf.Locate(words, l.configFiles)
		}
		return probe.Fail(f.class, errors.New(execprobe.Quote(words)))
	}
	switch exit {
	case 127:
		return probe.Failf(probe.ExecNotFound, "exit code 127, command not found: %s", execprobe.LastLine(l.stderr))
	case 126:
		return probe.Failf(probe.ExecStartFailed, "exit code 126, a command could not be run: %s",
			execprobe.LastLine(l.stderr))
	}
	return probe.Failf(probe.ExecUnexpectedExit, "exit code %d before the first event: %s", exit, l.lastError())
}
