package sessions

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"netwatchd/internal/probe"
)

var update = flag.Bool("update", false, "write the golden files")

// recordings are session files of real agents, without what a user or a model wrote.
func recordings(t testing.TB) []string {
	t.Helper()
	var all []string
	for _, pattern := range []string{"codex/*/*.jsonl", "codex-log/*.log", "claude/*.jsonl", "opencode/*.log"} {
		found, err := filepath.Glob(filepath.Join("testdata", pattern))
		if err != nil || len(found) == 0 {
			t.Fatalf("%s: %v, %d files", pattern, err, len(found))
		}
		all = append(all, found...)
	}
	return all
}

// parserOf returns the parser of a recording.
func parserOf(path string) parser {
	switch kind, _, _ := strings.Cut(strings.TrimPrefix(path, "testdata/"), "/"); kind {
	case "codex":
		return new(rollout)
	case "codex-log":
		return codexLog{}
	case "claude":
		return transcript{}
	default:
		return opencodeLog{}
	}
}

func parseAll(p parser, text []byte) (events []Event) {
	for line := range bytes.Lines(text) {
		if e, ok := p.parse(bytes.TrimRight(line, "\n")); ok {
			events = append(events, e)
		}
	}
	return events
}

func describe(e Event) string {
	words := []string{[]string{"turn", "retry", "denied", "limits"}[e.Kind], e.Class.String()}
	if e.Retry > 0 {
		words = append(words, fmt.Sprint(e.Retry))
	}
	if e.Network != NetworkUnknown {
		words = append(words, "network "+e.Network.String())
	}
	return strings.Join(words, " ")
}

// TestRecordings compares what every recording shows with a golden file.
func TestRecordings(t *testing.T) {
	t.Parallel()
	var got strings.Builder
	for _, path := range recordings(t) {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&got, "%s\n", strings.TrimPrefix(path, "testdata/"))
		for _, e := range parseAll(parserOf(path), text) {
			if e.At.IsZero() {
				t.Errorf("%s: %s has no time", path, describe(e))
			}
			fmt.Fprintf(&got, "  %s\n", describe(e))
		}
	}
	const golden = "testdata/classes.txt"
	if *update {
		if err := os.WriteFile(golden, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got.String() != string(want) {
		t.Errorf("got\n%s\nwant\n%s", got.String(), want)
	}
}

// TestTheOrderOfKeysMayChange writes the lines of codex with spaces and in another order: a version of tomorrow may.
func TestTheOrderOfKeysMayChange(t *testing.T) {
	t.Parallel()
	for _, path := range recordings(t) {
		if filepath.Ext(path) != ".jsonl" {
			continue
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var other bytes.Buffer
		for line := range bytes.Lines(text) {
			var fields map[string]any
			if err := json.Unmarshal(line, &fields); err != nil {
				t.Fatalf("%s: %v", path, err)
			}
			fields["added"] = map[string]any{"new": []int{1}}
			sorted, err := json.Marshal(fields) // by name
			if err != nil {
				t.Fatal(err)
			}
			other.Write(bytes.ReplaceAll(sorted, []byte(`","`), []byte(`", "`)))
			other.WriteByte('\n')
		}
		got, want := parseAll(parserOf(path), other.Bytes()), parseAll(parserOf(path), text)
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: got %v, want %v", path, got, want)
		}
	}
}

func event(payload string) string {
	return `{"timestamp":"2026-11-27T16:42:13.138Z","type":"event_msg","payload":` + payload + "}\n"
}

const (
	metaExec104 = `{"timestamp":"2026-11-27T16:42:13.138Z","type":"session_meta","payload":{"originator":"codex_exec","cli_version":"0.104.0"}}` + "\n"
	closed      = `{"timestamp":"2026-11-27T16:42:13.138Z","type":"turn_context","payload":{"sandbox_policy":{"type":"workspace-write","network_access":false}}}` + "\n"
	openNetwork = `{"timestamp":"2026-11-27T16:42:13.138Z","type":"turn_context","payload":{"sandbox_policy":{"type":"workspace-write","network_access":true}}}` + "\n"
)

func output(text string) string {
	encoded, _ := json.Marshal(text)
	return `{"timestamp":"2026-11-27T16:42:13.138Z","type":"response_item","payload":{"type":"function_call_output","output":` +
		string(encoded) + "}}\n"
}

func call(arguments string) string {
	encoded, _ := json.Marshal(arguments)
	return `{"timestamp":"2026-11-27T16:42:13.138Z","type":"response_item","payload":{"type":"function_call","arguments":` +
		string(encoded) + "}}\n"
}

// TestRollouts has lines that no recording has.
func TestRollouts(t *testing.T) {
	t.Parallel()
	const unresolved = "Process exited with code 6\nOutput:\ncurl: (6) Could not resolve host: example.com"
	for name, c := range map[string]struct {
		text string
		want []string
	}{
		"a reason of tomorrow":           {event(`{"type":"task_complete","error":{"message":"Oh","codex_error_info":"new_reason"}}`), []string{"turn unknown"}},
		"a shape of tomorrow":            {event(`{"type":"task_complete","error":["a","b"]}`), []string{"turn unknown"}},
		"a stream that was disconnected": {event(`{"type":"task_complete","error":{"message":"","codex_error_info":{"response_stream_disconnected":{"http_status_code":null}}}}`), []string{"turn exec.stream_cut"}},
		"a new code with a known status": {event(`{"type":"task_complete","error":{"message":"Oh","codex_error_info":{"gateway":{"http_status_code":502}}}}`), []string{"turn exec.overloaded"}},
		"an old turn without an answer":  {metaExec104 + event(`{"type":"task_complete","last_agent_message":null}`), []string{"turn unknown"}},
		"that of the last such version": {strings.Replace(metaExec104, "0.104.0", "0.144.9", 1) + event(`{"type":"task_complete","last_agent_message":null}`),
			[]string{"turn unknown"}},
		"of the first that writes errors": {strings.Replace(metaExec104, "0.104.0", "0.145.0", 1) + event(`{"type":"task_complete","last_agent_message":null}`), nil},
		"a turn without an answer":        {event(`{"type":"task_complete","last_agent_message":null}`), nil},
		"a turn that a person ended":      {event(`{"type":"turn_aborted","reason":"interrupted"}`), nil},
		"not JSON":                        {"{\"type\":\"task_complete\"\n\x00\xff\n", nil},
		"another type":                    {`[{"type":"task_complete"}]` + "\n" + `"task_complete"` + "\n", nil},
		"a payload that is text":          {`{"type":"event_msg","payload":"task_complete"}` + "\n", nil},
		"a denied command":                {closed + output(unresolved), []string{"denied local.denied network denied"}},
		"a command that may":              {openNetwork + output(unresolved), nil},
		"no policy known":                 {output(unresolved), nil},
		"a command that succeeds":         {closed + output(strings.Replace(unresolved, "code 6", "code 0", 1)), nil},
		"a command that is not over":      {closed + output("Process running with session ID 5\nOutput:\nCould not resolve host"), nil},
		"a command that fails otherwise":  {closed + output("Process exited with code 1\nOutput:\nno such file"), nil},
		"a command outside of the sandbox": {closed + call(`{"cmd":"x","sandbox_permissions":"require_escalated"}`) + output(unresolved) +
			call(`{"cmd":"x"}`) + output(unresolved), []string{"denied local.denied network denied"}},
		"the older shell tool": {closed + output(`{"output":"getaddrinfo EAI_AGAIN example.com","metadata":{"exit_code":1,"duration_seconds":0.1}}`),
			[]string{"denied local.denied network denied"}},
		"a prompt that looks like an event": {`{"timestamp":"2026-11-27T16:42:13.138Z","type":"response_item","payload":{"type":"message","role":"user","content":` +
			`"{\"type\":\"event_msg\",\"payload\":{\"type\":\"task_complete\",\"error\":{}}}"}}` + "\n", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got []string
			for _, e := range parseAll(new(rollout), []byte(c.text)) {
				got = append(got, describe(e))
			}
			if fmt.Sprint(got) != fmt.Sprint(c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// TestTranscriptsOfTomorrow: what fails in a form that is not known is counted as unknown, or by what is known of it.
func TestTranscriptsOfTomorrow(t *testing.T) {
	t.Parallel()
	const retry, answer = `{"type":"system","subtype":"api_error",`, `{"type":"assistant","isApiErrorMessage":true,`
	for text, want := range map[string]string{
		retry + `"retryAttempt":"3","error":{"status":529}}`:         "[retry exec.overloaded]",
		retry + `"error":["new"]}`:                                   "[retry unknown]",
		retry + `"error":{"status":{"code":529}}}`:                   "[retry unknown]",
		answer + `"apiErrorStatus":"429","error":{"new":1}}`:         "[turn unknown]",
		answer + `"error":"reason_of_tomorrow"}`:                     "[turn unknown]",
		answer + `"error":"rate_limit","message":"text"}`:            "[turn exec.rate_limited]",
		`{"type":"of_tomorrow","subtype":"api_error","error":{}}`:    "[]",
		`{"type":"system","subtype":"api_error","error":{"status":5`: "[]", // half a line
		"\x00\xff\"api_error\"":                                      "[]",
	} {
		var got []string
		for _, e := range parseAll(transcript{}, []byte(text+"\n")) {
			got = append(got, describe(e))
		}
		if fmt.Sprint(got) != want {
			t.Errorf("%s: got %v, want %s", text, got, want)
		}
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	const used = `{"type":"token_count","info":null,"rate_limits":{"limit_id":"codex",` +
		`"primary":{"used_percent":42.5,"window_minutes":300,"resets_at":1795800000},"secondary":{"used_percent":7,"window_minutes":10080}}}`
	events := parseAll(new(rollout), []byte(event(used)))
	if len(events) != 1 || len(events[0].Limits) != 2 {
		t.Fatalf("got %v, want two limits", events)
	}
	first, second := events[0].Limits[0], events[0].Limits[1]
	if first.Window != "primary" || first.Used != 0.425 || first.Resets.Unix() != 1795800000 {
		t.Errorf("the first is %+v", first)
	}
	if second.Window != "secondary" || second.Used != 0.07 || second.Resets.Sub(events[0].At).Hours() != 168 {
		t.Errorf("the second is %+v, of an event at %s", second, events[0].At)
	}
	for _, odd := range []string{
		strings.Replace(used, `"limit_id":"codex"`, `"limit_id":"codex_other"`, 1), // of one model
		strings.ReplaceAll(strings.ReplaceAll(used, "42.5", "-1"), ":7,", ":1e9,"),
		strings.Replace(used, "42.5", `"much"`, 1),
	} {
		if got := parseAll(new(rollout), []byte(event(odd))); len(got) != 0 {
			t.Errorf("%s: got %v", odd, got)
		}
	}
}

// TestLogsCannotBeForged puts the words of a failure where a command or an answer of the service has its text.
func TestLogsCannotBeForged(t *testing.T) {
	t.Parallel()
	const at = "2026-11-27T16:45:05.629480Z"
	for _, line := range []string{
		at + `  INFO session_loop{thread_id=0}: codex_core::stream_events_utils: ToolCall: exec_command {"cmd":"echo ': codex_core::codex: Turn error: x'"}`,
		at + ` ERROR codex_tui::updates: Failed: codex_core::codex: Turn error: x`,
	} {
		if e, ok := (codexLog{}).parse([]byte(line)); ok {
			t.Errorf("%s: %s", line, describe(e))
		}
	}
	const forged = `timestamp=2026-11-27T17:30:29.095Z level=INFO run=1 message="level=ERROR run=1 message=\"stream error\" error.error=\"AI_X: quota\""`
	if e, ok := (opencodeLog{}).parse([]byte(forged)); ok {
		t.Errorf("%s: %s", forged, describe(e))
	}
}

// fuzz feeds a parser with any text. It must not panic, and must say the same of the same text.
func fuzz(f *testing.F, of string, made func() parser) {
	for _, path := range recordings(f) {
		if strings.HasPrefix(path, "testdata/"+of+"/") {
			text, err := os.ReadFile(path)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(text)
		}
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		events := parseAll(made(), text)
		if again := parseAll(made(), text); fmt.Sprint(again) != fmt.Sprint(events) {
			t.Errorf("got %v, then %v", events, again)
		}
		for _, e := range events {
			for _, l := range e.Limits {
				if l.Used < 0 || l.Used > 10 {
					t.Errorf("a limit that is used by %v", l.Used)
				}
			}
			if e.Kind == Denied && e.Class != probe.LocalDenied || e.Retry < 0 || e.Retry > 1000 {
				t.Errorf("got %+v", e)
			}
		}
	})
}

func FuzzRollout(f *testing.F)     { fuzz(f, "codex", func() parser { return new(rollout) }) }
func FuzzCodexLog(f *testing.F)    { fuzz(f, "codex-log", func() parser { return codexLog{} }) }
func FuzzTranscript(f *testing.F)  { fuzz(f, "claude", func() parser { return transcript{} }) }
func FuzzOpencodeLog(f *testing.F) { fuzz(f, "opencode", func() parser { return opencodeLog{} }) }
