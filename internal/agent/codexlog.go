package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"netwatchd/internal/probe"
	"netwatchd/internal/probe/execprobe"
)

// A codexLog is what one run of `codex exec --json` said. Only the turn's own end counts: runs that succeed carry events
// and items of type "error" and ERROR lines on standard error, too (measured with codex 0.104.0 and 0.169.0).
type codexLog struct {
	spoke     bool // at least one event was read
	completed bool
	failed    bool
	failure   string   // why the turn failed; may be empty even then
	answer    string   // the agent's last message
	troubles  []string // what events and items of type "error" said, in order
	tokens    *probe.TokensSpent
	warnings  []string
	stderr    string
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

// typographic is what newer versions write where 0.104 has an ASCII apostrophe.
var typographic = strings.NewReplacer("\u2019", "'")

func readCodexLog(stdout, stderr string) *codexLog {
	stderr = typographic.Replace(execprobe.Escapes.ReplaceAllString(stderr, ""))
	l := &codexLog{stderr: strings.Replace(stderr, "Reading additional input from stdin...", "", 1)} // said in every run
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
	l.spoke = true
	switch event.Type {
	case "turn.completed":
		l.completed = true
		l.tokens = &probe.TokensSpent{Input: event.Usage.Input, CachedInput: event.Usage.CachedInput, Output: event.Usage.Output}
	case "turn.failed":
		l.failed, l.failure = true, event.Error.Message
	case "error":
		l.trouble(event.Message, "")
	case "item.completed":
		switch event.Item.Type {
		case "agent_message":
			l.answer = event.Item.Text
		case "error":
			l.trouble(event.Item.Message, "codex_other")
		}
	}
}

func (l *codexLog) trouble(message, otherwise string) {
	l.troubles = append(l.troubles, message)
	l.warn(message, otherwise)
}

// codexWarnings are the oddities that do not block a run, each with the words that betray it.
var codexWarnings = []struct{ name, words string }{
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

// Warnings that are seen by other means than words.
const (
	otherCodexWarning = "codex_other"            // an item of type "error" nobody has named yet
	builtinProvider   = "codex_builtin_provider" // our own provider entry was refused and the agent's own worked or failed instead
)

// CodexWarnings is the closed list of the warnings a run of codex can carry.
func codexWarningNames() []string {
	names := []string{probe.WarnLeftProcesses, otherCodexWarning, builtinProvider}
	for _, w := range codexWarnings {
		names = append(names, w.name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// warn notes the warning that text betrays, once per run: six retries of one fault are one oddity.
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

// fill adds what the log says to the facts of its run.
func (l *codexLog) fill(facts *probe.Facts) {
	facts.Output = execprobe.Quote(l.answer)
	facts.Tokens = l.tokens
	facts.Warnings = append(facts.Warnings, l.warnings...)
	facts.Signals = l.signals()
}

// causes are the words of the operating system and of the TLS library that slip through codex's own, which are the same
// for a missing name, a refused port, a bad certificate and the sandbox. They are let slip by WebSocket attempts only.
var causes = regexp.MustCompile(`[A-Z][a-z]+(?: [a-z]+)* \(os error \d+\)|failed to lookup address information: [A-Z][a-z ]+|` +
	`invalid peer certificate: \w+(?: \w+)*|request timed out`)

// signalOf shortens a cause to one of few words, so that signals can be told apart by programs.
var signalOf = regexp.MustCompile(`os error \d+|failed to lookup address|invalid peer certificate|request timed out`)

// cause is the first cause that slipped through, or empty.
func (l *codexLog) cause() string {
	for _, text := range append(slices.Clone(l.troubles), l.failure) {
		if isTransport.MatchString(text) {
			if cause := causes.FindString(text); cause != "" {
				return cause
			}
		}
	}
	return ""
}

// signals are what the judge may hold against other attempts' results: "os error 1" is the sandbox's or a local
// firewall's no, however codex words it.
func (l *codexLog) signals() []string {
	var signals []string
	if s := signalOf.FindString(l.cause()); s != "" {
		signals = append(signals, s)
	}
	if strings.Contains(l.failure, refreshURL) {
		signals = append(signals, refreshURL)
	}
	return signals
}

// verdict says how the run ended; nil is a run that completed its turn with the wanted words in the agent's answer.
// Exit code 0 alone proves nothing: 0.104 exits 0 after SIGINT, and after an empty answer.
func (l *codexLog) verdict(ctx context.Context, e execprobe.ExitState, want string) error {
	switch {
	case e.Stopped && errors.Is(ctx.Err(), context.DeadlineExceeded):
		return l.timedOut()
	case e.Stopped || e.Signal != 0:
		return e.Interrupted(ctx)
	case l.failed:
		return l.turnFailed(l.failure)
	case l.completed && e.Code == 0 && l.answer == "":
		return probe.Failf(probe.ExecUnexpectedOutput, "the turn was completed without an answer")
	case l.completed && e.Code == 0 && strings.Contains(l.answer, want):
		return nil
	case l.completed && e.Code == 0:
		return probe.Failf(probe.ExecUnexpectedOutput, "%q is not in the answer: %s", want, execprobe.Quote(l.answer))
	case !l.spoke:
		return l.neverSpoke(e.Code)
	case len(l.troubles) > 0 && !l.completed:
		return l.turnFailed(unwrapRetry(l.troubles[len(l.troubles)-1]))
	}
	return probe.Failf(probe.ExecUnexpectedExit, "exit code %d before the end of the turn: %s", e.Code, l.lastWords())
}

// timedOut looks behind the deadline: since 0.155 codex retries some failures for ever, and a timeout hides the reason
// it was reached.
func (l *codexLog) timedOut() error {
	if len(l.troubles) > 0 {
		last := l.troubles[len(l.troubles)-1]
		if reason := unwrapRetry(last); reason != last {
			if class, ok := classOfFailure(reason); ok {
				return probe.Failf(class, "still trying when its time was over: %w", l.words(last))
			}
		}
	}
	return probe.Failf(probe.ExecTimedOut, "no answer when its time was over, and codex was ended: %s", l.lastWords())
}

func (l *codexLog) lastWords() string {
	if len(l.troubles) > 0 {
		return execprobe.Quote(l.troubles[len(l.troubles)-1])
	}
	return execprobe.FirstNonBlank(execprobe.LastLine(l.stderr), "it said nothing about why")
}

var retry = regexp.MustCompile(`(?s)^Reconnecting\.\.\. (?:\d+/\d+|waiting for network) \((.*)\)$`)

// unwrapRetry is the reason inside the announcement of a retry, or the message itself.
func unwrapRetry(message string) string {
	if m := retry.FindStringSubmatch(message); m != nil {
		return m[1]
	}
	return message
}

func (l *codexLog) turnFailed(message string) error {
	class, _ := classOfFailure(message)
	if strings.TrimSpace(message) == "" {
		message = "the turn failed without a word of why"
	}
	return probe.Fail(class, l.words(message))
}

// words are a message with the cause that slipped through earlier.
func (l *codexLog) words(message string) error {
	cause := l.cause()
	if cause == "" || strings.Contains(message, cause) {
		return errors.New(execprobe.Quote(message))
	}
	// The cause first: a message may be long enough to push it out of sight.
	return fmt.Errorf("%s: %s", execprobe.Quote(cause), execprobe.Quote(message))
}
