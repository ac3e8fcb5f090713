package codex

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"netwatchd/internal/agent"
	"netwatchd/internal/codexconf"
	"netwatchd/internal/probe"
	"netwatchd/internal/probe/execprobe"
)

// A codexLog is an [agent.Report]: the output of one run of `codex exec --json`. Only the end of the turn counts:
// successful runs, too, have events and items of type "error" and ERROR lines on standard error (measured with codex
// 0.104.0 and 0.169.0).
type codexLog struct {
	started     bool // at least one event was read
	completed   bool
	failed      bool
	failure     string   // why the turn failed; may be empty even then
	answer      string   // the agent's last message
	errors      []string // messages of events of type "error", in order: retries, and the last one of the turn
	notes       []string // messages of items of type "error", in order
	tokens      *probe.TokensSpent
	warnings    []string
	stderr      string
	configFiles []string // where codex took its settings from
}

// codexEvent is one line of standard output.
type codexEvent struct {
	Type    string `json:"type"`
	Message string `json:"message"`
	Item    struct {
		Type    string `json:"type"`
		Text    string `json:"text"`
		Message string `json:"message"`
	} `json:"item"`
	Error struct {
		Message string `json:"message"`
	} `json:"error"`
	Usage struct {
		Input       int64 `json:"input_tokens"`
		CachedInput int64 `json:"cached_input_tokens"`
		Output      int64 `json:"output_tokens"`
	} `json:"usage"`
}

// typographic replaces the apostrophe of newer versions by the ASCII one of 0.104.
var typographic = strings.NewReplacer("\u2019", "'")

// readRun returns the function that reads a run with the environment env.
func readRun(env []string) func(execprobe.ExitState) *codexLog {
	return func(e execprobe.ExitState) *codexLog {
		log := readCodexLog(e.Stdout, e.Stderr)
		log.configFiles = codexconf.Setup{Home: lastValue(env, "CODEX_HOME"), System: codexSystem}.Paths()
		return log
	}
}

func readCodexLog(stdout, stderr string) *codexLog {
	stderr = typographic.Replace(execprobe.Escapes.ReplaceAllString(stderr, ""))
	l := &codexLog{stderr: strings.Replace(stderr, "Reading additional input from stdin...", "", 1)} // in every run
	for line := range strings.Lines(typographic.Replace(stdout)) {
		var event codexEvent
		if json.Unmarshal([]byte(line), &event) == nil && event.Type != "" {
			l.note(event)
		}
	}
	for line := range strings.Lines(l.stderr) {
		l.warn(line, "")
	}
	return l
}

func (l *codexLog) note(event codexEvent) {
	l.started = true
	switch event.Type {
	case "turn.completed":
		l.completed = true
		u := event.Usage
		l.tokens = &probe.TokensSpent{Input: u.Input, CachedInput: u.CachedInput, Output: u.Output}
	case "turn.failed":
		l.failed, l.failure = true, event.Error.Message
	case "error":
		l.errors = append(l.errors, event.Message)
		l.warn(event.Message, "")
	case "item.completed":
		switch event.Item.Type {
		case "agent_message":
			l.answer = event.Item.Text
		case "error":
			l.notes = append(l.notes, event.Item.Message)
			l.warn(event.Item.Message, otherCodexWarning)
		}
	}
}

type codexWarning struct{ name, words string }

// codexWarnings are faults that do not fail a run, each with the words that show it.
var codexWarnings = []codexWarning{
	{"codex_reconnecting", "Reconnecting... "},
	{"codex_arg0_cleanup", "failed to clean up stale arg0 temp dirs"}, // files of another user, from one `sudo codex`
	{"codex_path_update", "could not update PATH"},                    // CODEX_HOME is not writable, or under $TMPDIR
	{"codex_path_update", "could not create PATH aliases"},            // the same since 0.142
	{"codex_models_refresh", "failed to refresh available models"},
	{"codex_websocket_fallback", "Falling back from WebSockets"},
	{"codex_websocket_fallback", "failed to connect to Responses WebSocket"},
	{"codex_config_ignored", "unrecognized configuration setting"},
	{"codex_config_ignored", "Untrusted project-local configuration is disabled"},
	{"codex_skills_install", "failed to install system skills"},
	{"codex_mcp", "rmcp::transport"},
	{"codex_code_mode", "Code Mode is unavailable"},
}

// Warnings that no words show.
const (
	otherCodexWarning   = "codex_other"            // an item of type "error" that is not in the list
	warnBuiltinProvider = "codex_builtin_provider" // our own provider entry was refused, and codex's own was used instead
	// `codex doctor` printed no report, or one without what is read of it.
	warnDoctorUnreadable = "codex_doctor_unreadable"
)

// codexWarningNames is the closed list of the warnings of a run of codex.
func codexWarningNames() []string {
	names := []string{probe.WarnLeftProcesses, otherCodexWarning, warnBuiltinProvider, warnDoctorUnreadable}
	for _, w := range codexWarnings {
		names = append(names, w.name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// warn adds the warning that text shows, or else otherwise. Six retries of one fault are one warning.
func (l *codexLog) warn(text, otherwise string) {
	name := otherwise
	for _, w := range codexWarnings {
		if strings.Contains(text, w.words) {
			name = w.name
			break
		}
	}
	if name != "" && !slices.Contains(l.warnings, name) {
		l.warnings = append(l.warnings, name)
	}
}

// Fill adds the log to the facts of its run.
func (l *codexLog) Fill(facts *probe.Facts) {
	if l.failed {
		facts.Status = httpStatus(l.failure)
		facts.Refusal = refusalOf(l.failure)
	}
	facts.Output = execprobe.Quote(l.answer)
	facts.Tokens, facts.Requests = l.tokens, 1
	facts.Warnings = append(facts.Warnings, l.warnings...)
	facts.Signals = l.signals()
}

// causes are the words of the operating system and of the TLS library. Codex's own words are the same for a missing
// name, a refused port, a bad certificate and the sandbox; only its WebSocket attempts quote the cause.
var causes = anyOf(
	`[A-Z][a-z]+(?: [a-z]+)* \(os error \d+\)`,
	`failed to lookup address information: [A-Z][a-z ]+`,
	`invalid peer certificate: \w+(?: \w+)*`,
	`request timed out`)

// signalOf shortens a cause to one of a few words that programs can compare.
var signalOf = anyOf(`os error \d+`, `failed to lookup address`, `invalid peer certificate`, `request timed out`)

// cause returns the first cause that codex quotes, or nothing.
func (l *codexLog) cause() string {
	for _, text := range slices.Concat(l.errors, l.notes, []string{l.failure}) {
		if isTransport.MatchString(text) {
			if cause := causes.FindString(text); cause != "" {
				return cause
			}
		}
	}
	return ""
}

// routingDiscovery begins the messages about GET /backend-api/wham/accounts/check, which a codex with a ChatGPT sign-in
// and its own provider makes before each turn (since 0.156).
const routingDiscovery = "workspace routing discovery"

// sentWithoutAnswer matches the message for a connection that was closed or reset after the request was sent, since
// 0.155. A connection that was never made is "Connection failed: …" there. Up to 0.142 both are "… for url (…)"
// (measured).
var sentWithoutAnswer = regexp.MustCompile(`^` + cutPrefix + `error sending request$`)

// signals are for comparison with the results of other attempts: "os error 1" is a refusal by the sandbox or by a
// local firewall, whatever codex's words are.
func (l *codexLog) signals() []string {
	var signals []string
	if s := signalOf.FindString(l.cause()); s != "" {
		signals = append(signals, s)
	}
	if strings.Contains(l.failure, refreshURL) {
		signals = append(signals, refreshURL)
	}
	if strings.HasPrefix(l.failure, routingDiscovery) {
		signals = append(signals, probe.SignalRouting)
	}
	if sentWithoutAnswer.MatchString(l.failure) {
		signals = append(signals, probe.SignalConnected)
	}
	return signals
}

// Verdict returns how the run ended: nil if it completed its turn and the agent's answer contains want. Exit code 0
// alone proves nothing: 0.104 exits 0 after SIGINT, and after an empty answer.
func (l *codexLog) Verdict(ctx context.Context, e execprobe.ExitState, want string) error {
	switch {
	case e.Stopped && errors.Is(ctx.Err(), context.DeadlineExceeded):
		return l.timedOut()
	case e.Stopped || e.Signal != 0:
		return e.Interrupted(ctx)
	case l.failed:
		return l.turnFailed(l.failure)
	case l.completed && e.Code == 0:
		return agent.JudgeAnswer(l.answer, want)
	case !l.started:
		return l.neverStarted(e.Code)
	case len(l.errors) > 0 && !l.completed:
		return l.turnFailed(unwrapRetry(l.errors[len(l.errors)-1]))
	}
	return probe.Failf(probe.ExecUnexpectedExit, "exit code %d before the end of the turn: %s", e.Code, l.lastError())
}

// timedOut returns the reason behind the deadline, if codex has reported one: since 0.155 it retries some failures for
// ever. Nothing else is quoted. Standard error holds lines about the model list and about MCP servers, which fail in
// healthy runs, too.
func (l *codexLog) timedOut() error {
	if len(l.errors) == 0 {
		return probe.Failf(probe.ExecTimedOut,
			"no answer before the deadline; codex reported no error and was terminated")
	}
	last := l.errors[len(l.errors)-1]
	if reason := unwrapRetry(last); reason != last {
		if class, known := classOfFailure(reason); known {
			return probe.Failf(class, "still retrying at the deadline: %w", l.words(last))
		}
	}
	return probe.Failf(probe.ExecTimedOut, "no answer before the deadline; codex was terminated after: %s",
		execprobe.Quote(last))
}

// stderrError matches the lines of standard error that end a run. Lines of the log, which begin with a time, do not.
var stderrError = regexp.MustCompile(`(?m)^(?:Error|ERROR|error): .*$|^thread '.*' panicked at .*$`)

// lastError returns codex's last words about the end of a run: never a line that healthy runs have, too.
func (l *codexLog) lastError() string {
	if len(l.errors) > 0 {
		return execprobe.Quote(l.errors[len(l.errors)-1])
	}
	if lines := stderrError.FindAllString(l.stderr, -1); lines != nil {
		return execprobe.Quote(lines[len(lines)-1])
	}
	for _, line := range slices.Backward(strings.Split(l.stderr, "\n")) {
		if strings.TrimSpace(line) != "" && !isNoise(line) {
			return execprobe.Quote(line)
		}
	}
	return "it reported no reason"
}

var logLine = regexp.MustCompile(`^\s*\d{4}-\d\d-\d\dT\S+\s+(?:ERROR|WARN|INFO|DEBUG|TRACE)\b`)

// isNoise reports whether a line of standard error is part of healthy runs.
func isNoise(line string) bool {
	return logLine.MatchString(line) || slices.ContainsFunc(codexWarnings, func(w codexWarning) bool {
		return strings.Contains(line, w.words)
	})
}

var retry = regexp.MustCompile(`(?s)^Reconnecting\.\.\. (?:\d+/\d+|waiting for network) \((.*)\)$`)

// unwrapRetry returns the reason inside the announcement of a retry, or the message itself.
func unwrapRetry(message string) string {
	if m := retry.FindStringSubmatch(message); m != nil {
		return m[1]
	}
	return message
}

func (l *codexLog) turnFailed(message string) error {
	class, _ := classOfFailure(message)
	switch {
	case strings.TrimSpace(message) == "":
		message = "the turn failed with an empty message, as after status 400 without a body"
	case strings.HasPrefix(message, routingDiscovery):
		message += " (codex asks the service first where the workspace is: GET /backend-api/wham/accounts/check)"
	}
	return probe.Fail(class, l.words(message))
}

// words returns message with the cause that codex has quoted earlier.
func (l *codexLog) words(message string) error {
	cause := l.cause()
	if cause == "" || strings.Contains(message, cause) {
		return errors.New(execprobe.Quote(message))
	}
	// The cause first: a message may be long enough to push it out of sight.
	return fmt.Errorf("%s: %s", execprobe.Quote(cause), execprobe.Quote(message))
}
