package sessions

import (
	"bytes"
	"encoding/json"
	"math"
	"regexp"
	"time"

	"netwatchd/internal/agent"
	"netwatchd/internal/agent/codex"
	"netwatchd/internal/probe"
)

// rollout parses the files that codex keeps of its sessions, sessions/YYYY/MM/DD/rollout-*.jsonl (0.104 to 0.171).
type rollout struct {
	version   agent.Version // that writes the file; zero: not known
	ofTUI     bool          // the terminal interface writes it; not known: false
	network   Network       // of the current turn
	escalated bool          // the latest command was to run outside the sandbox, after an approval
}

// A rolloutLine is one line. Payload has another shape in each type.
type rolloutLine struct {
	Timestamp string
	Type      string
	Payload   json.RawMessage
}

// prefixLength is how much of a line is searched for its type: codex writes the time, a number and the types first, in
// less than 110 bytes (measured).
const prefixLength = 160

// oddLineLimit is how long a line may be to be decoded whole although its type is not where codex writes it.
const oddLineLimit = 16 << 10

var (
	typeKey    = []byte(`"type":"`)
	tokenCount = []byte(`"type":"token_count"`)
	decisive   = [][]byte{
		[]byte(`"type":"task_complete"`), []byte(`"type":"turn_context"`), []byte(`"type":"session_meta"`),
		tokenCount, []byte(`"type":"function_call"`), []byte(`_call_output"`),
	}
)

func (r *rollout) parse(line []byte) (Event, bool) {
	prefix := line[:min(len(line), prefixLength)]
	switch found := containsAny(prefix, decisive); {
	case !found && (bytes.Contains(prefix, typeKey) || len(line) > oddLineLimit):
		return Event{}, false
	case bytes.Contains(prefix, tokenCount) && !bytes.Contains(line, usedPercent):
		return Event{}, false // most have no limits
	}
	var l rolloutLine
	if json.Unmarshal(line, &l) != nil {
		return Event{}, false
	}
	at := parseTime(l.Timestamp)
	switch l.Type {
	case "session_meta":
		r.meta(l.Payload)
	case "turn_context":
		r.context(l.Payload)
	case "event_msg":
		return r.event(at, l.Payload)
	case "response_item":
		return r.item(at, l.Payload, line)
	}
	return Event{}, false
}

func containsAny(text []byte, words [][]byte) bool {
	for _, w := range words {
		if bytes.Contains(text, w) {
			return true
		}
	}
	return false
}

func (r *rollout) meta(payload json.RawMessage) {
	var meta struct {
		Version    string `json:"cli_version"`
		Originator string
	}
	if json.Unmarshal(payload, &meta) == nil {
		r.version, _ = agent.FindVersion(meta.Version)
		r.ofTUI = meta.Originator != "" && meta.Originator != "codex_exec"
	}
}

// context reads the policy of a turn. Since 0.142 the profile has it, before and beside it the sandbox's policy.
func (r *rollout) context(payload json.RawMessage) {
	var context struct {
		Policy struct {
			Type    string
			Network *bool `json:"network_access"`
		} `json:"sandbox_policy"`
		Profile struct{ Network json.RawMessage } `json:"permission_profile"`
	}
	r.network = NetworkUnknown
	if json.Unmarshal(payload, &context) != nil {
		return
	}
	var profile string
	_ = json.Unmarshal(context.Profile.Network, &profile) // another shape says nothing
	switch p := context.Policy; {
	case profile == "restricted":
		r.network = NetworkDenied
	case profile == "enabled", p.Type == "danger-full-access", p.Network != nil && *p.Network:
		r.network = NetworkAllowed
	case p.Type == "read-only", p.Type == "workspace-write":
		r.network = NetworkDenied
	}
}

// A rolloutEvent is the payload of an event_msg.
type rolloutEvent struct {
	Type   string
	Answer json.RawMessage `json:"last_agent_message"`
	Error  json.RawMessage
	Limits struct {
		ID                 string `json:"limit_id"`
		Primary, Secondary *struct {
			Used    float64 `json:"used_percent"`
			Minutes float64 `json:"window_minutes"`
			Resets  int64   `json:"resets_at"`
		}
	} `json:"rate_limits"`
}

var usedPercent = []byte(`"used_percent"`)

func (r *rollout) event(at time.Time, payload json.RawMessage) (Event, bool) {
	var e rolloutEvent
	if json.Unmarshal(payload, &e) != nil {
		return Event{}, false
	}
	switch e.Type {
	case "task_complete":
		class, known := r.ended(e)
		return Event{At: at, Kind: Turn, Class: class, Network: r.network}, known
	case "token_count":
		limits := e.limits(at)
		return Event{At: at, Kind: Limits, Class: probe.OK, Limits: limits}, len(limits) > 0
	}
	return Event{}, false
}

var (
	// Since 0.145.0 a failed turn has its error; 0.144.0 has none.
	withErrors = agent.Version{Major: 0, Minor: 145}
	// Before 0.142 the terminal interface writes why a turn failed into log/codex-tui.log, which is read too.
	withoutLog = agent.Version{Major: 0, Minor: 142}
)

// ended returns how a turn ended. It reports false if the line does not show that.
func (r *rollout) ended(e rolloutEvent) (class probe.Class, known bool) {
	var failure struct {
		Message string
		Info    json.RawMessage `json:"codex_error_info"`
	}
	switch {
	case isSet(e.Error):
		if json.Unmarshal(e.Error, &failure) != nil {
			return probe.Unknown, true
		}
		return codex.Failure(failure.Message, failure.Info), true
	case isSet(e.Answer):
		return probe.OK, true
	case r.version == agent.Version{}, r.version.Compare(withErrors) >= 0:
		return probe.Unknown, false // a turn may end without an answer
	case r.ofTUI && r.version.Compare(withoutLog) < 0:
		return probe.Unknown, false
	}
	return probe.Unknown, true // these versions do not write why
}

// isSet reports whether a JSON value is there and not null.
func isSet(value json.RawMessage) bool { return len(value) > 0 && !bytes.Equal(value, []byte("null")) }

// limits returns the limits of the account's plan. Limits with another id are those of single models.
func (e rolloutEvent) limits(at time.Time) (all []Limit) {
	if e.Limits.ID != "" && e.Limits.ID != "codex" {
		return nil
	}
	for _, window := range []string{"primary", "secondary"} {
		limit := e.Limits.Primary
		if window == "secondary" {
			limit = e.Limits.Secondary
		}
		if limit == nil || math.IsNaN(limit.Used) || limit.Used < 0 || limit.Used > 1000 {
			continue
		}
		resets := time.Unix(limit.Resets, 0)
		if limit.Resets <= 0 || resets.Sub(at) > monthLong {
			resets = at.Add(time.Duration(min(max(limit.Minutes, 1), monthLong.Minutes()) * float64(time.Minute)))
		}
		all = append(all, Limit{Window: window, Used: limit.Used / 100, Resets: resets})
	}
	return all
}

// monthLong is longer than any window of a plan: 5 hours and 7 days are known.
const monthLong = 31 * 24 * time.Hour

var (
	// What programs print that could not reach the network: curl, git, ssh, pip, wget; Python, Node, Rust and Go; codex
	// itself; and the refusals of the proxies of codex's and Claude Code's sandboxes. None has a character that JSON
	// escapes.
	noNetwork = [][]byte{
		[]byte("Could not resolve host"), []byte("Temporary failure in name resolution"), []byte("Name or service not known"),
		[]byte("unable to resolve host"), []byte("Network is unreachable"), []byte("ENETUNREACH"),
		[]byte("getaddrinfo E"), []byte("failed to lookup address"), []byte("socket: operation not permitted"),
		[]byte("error sending request"), []byte("routing discovery failed"),
		[]byte("blocked-by-allowlist"), []byte("blocked-by-sandbox-runtime"), []byte("Sandbox policy blocks"),
	}
	// exitCode matches how codex reports the exit code of a command: 0.104 in its own notation, later versions in words
	// or as JSON.
	exitCode = regexp.MustCompile(`exited with code (-?\d+)|exit_code(?:\\*")?: ?(-?\d+)`)
	escalate = []byte("escalated") // with_escalated_permissions, sandbox_permissions: require_escalated
)

// item reads a call of a tool, or the output of one. Neither is kept.
func (r *rollout) item(at time.Time, payload json.RawMessage, line []byte) (Event, bool) {
	var item struct {
		Type   string
		Output json.RawMessage
	}
	if json.Unmarshal(payload, &item) != nil {
		return Event{}, false
	}
	if item.Type == "function_call" {
		r.escalated = bytes.Contains(line, escalate)
		return Event{}, false
	}
	if r.network != NetworkDenied || r.escalated || !bytes.HasSuffix([]byte(item.Type), []byte("_call_output")) ||
		!containsAny(item.Output, noNetwork) {
		return Event{}, false
	}
	// A command that succeeds has done what it was run for, or only prints an old log.
	code := exitCode.FindSubmatch(item.Output)
	if code == nil || bytes.Equal(code[1], []byte("0")) || bytes.Equal(code[2], []byte("0")) {
		return Event{}, false
	}
	return Event{At: at, Kind: Denied, Class: probe.LocalDenied, Network: r.network}, true
}

// codexLog parses log/codex-tui.log, in which the terminal interface of old versions (0.104) says why a turn failed.
type codexLog struct{}

// codexLogLine matches the lines of the module that makes the turns. Its spans come first, and hold nothing that a user
// or the service wrote. The text of other modules may hold a command.
var codexLogLine = regexp.MustCompile(`^(\S{20,40}) +[A-Z]+ (?:[a-z_]+(?:\{[a-z_.]+=[0-9a-f<>uid-]+\})?:)* ?` +
	`codex_core::codex: (?:Turn error: (.*)|stream disconnected - retrying sampling request \((\d+)/)`)

func (codexLog) parse(line []byte) (Event, bool) {
	m := codexLogLine.FindSubmatch(line)
	if m == nil {
		return Event{}, false
	}
	e := Event{At: parseTime(string(m[1]))}
	if m[3] != nil {
		e.Kind, e.Class, e.Retry = Retry, probe.ExecStreamCut, number(m[3])
		return e, true
	}
	e.Class = codex.Failure(string(m[2]), nil)
	return e, true
}

// number returns a small positive number, or zero.
func number(digits []byte) (n int) {
	for _, d := range digits {
		if n = 10*n + int(d-'0'); n > 1000 {
			return 1000
		}
	}
	return n
}
