package history

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"netwatchd/internal/causes"
	"netwatchd/internal/incident"
	"netwatchd/internal/reports"
	"netwatchd/internal/sessions"
)

// plantedCodex is a session of Codex in which every text is planted.
func plantedCodex() string {
	line := func(kind, payload string) string {
		return fmt.Sprintf(`{"timestamp":%q,"type":%q,"payload":%s}`+"\n", time.Now().UTC().Format(time.RFC3339Nano), kind, payload)
	}
	return line("session_meta", `{"id":"pl4nted-id","cwd":"/pl4nted/cwd","originator":"pl4nted","cli_version":"0.171.0","model_provider":"pl4nted"}`) +
		line("turn_context", `{"turn_id":"pl4nted","cwd":"/pl4nted","model":"pl4nted","sandbox_policy":{"type":"read-only"}}`) +
		line("response_item", `{"type":"message","role":"user","content":"pl4nted prompt"}`) +
		line("response_item", `{"type":"function_call","name":"pl4nted","arguments":"{\"cmd\":\"pl4nted --command\"}","call_id":"pl4nted"}`) +
		line("response_item", `{"type":"function_call_output","output":"Process exited with code 6\nCould not resolve host: pl4nted.example"}`) +
		line("event_msg", `{"type":"pl4nted_event","message":"pl4nted"}`) +
		line("event_msg", `{"type":"task_complete","turn_id":"pl4nted","error":{"message":"pl4nted message","codex_error_info":"pl4nted_reason"}}`) +
		line("event_msg", `{"type":"token_count","rate_limits":{"limit_name":"pl4nted","plan_type":"pl4nted","primary":{"used_percent":5,"window_minutes":300}}}`)
}

// plantedOpencode are lines of opencode's log in which every text is planted: what a service wrote may repeat the prompt
// and the key. The last two end a turn.
func plantedOpencode() string {
	line := func(level, rest string) string {
		return fmt.Sprintf("timestamp=%s level=%s run=pl4nted %s\n", time.Now().UTC().Format("2006-01-02T15:04:05.000Z"), level, rest)
	}
	const stream = `message="stream error" providerID=pl4nted modelID=pl4nted session.id=ses_pl4nted small=false agent=pl4nted ` +
		`mode=primary `
	return line("INFO", `message=stream providerID=pl4nted modelID=pl4nted session.id=ses_pl4nted prompt="pl4nted prompt"`) +
		line("ERROR", `message="pl4nted failed" path=/pl4nted/cwd error.error="Error: pl4nted key sk-ant-pl4nted"`) +
		line("ERROR", stream+`error.error="AI_APICallError: Cannot connect to API: pl4nted.example (cause: pl4nted \"prompt\")"`) +
		line("ERROR", stream+`error.error="AI_APICallError: pl4nted answer"`) +
		line("ERROR", stream+`error.error="AI_APICallError: invalid x-api-key sk-ant-pl4nted for pl4nted prompt"`) +
		line("ERROR", stream+`error.error="AI_APICallError: model: pl4nted"`)
}

// TestNothingOfASessionIsKept plants texts wherever a session file has some, beside events that are recorded. None of
// them is in the store, in a report, or in a metric.
func TestNothingOfASessionIsKept(t *testing.T) {
	t.Run("codex", func(t *testing.T) {
		nothingIsKept(t, "codex", func(home string) string {
			return filepath.Join(home, fmt.Sprintf("sessions/2026/11/27/rollout-pl4nted-%d.jsonl", time.Now().UnixNano()))
		}, plantedCodex, 3, "local.denied")
	})
	t.Run("opencode", func(t *testing.T) {
		nothingIsKept(t, "opencode", func(home string) string { return filepath.Join(home, "log/opencode.log") },
			plantedOpencode, 4, "exec.unauthorized")
	})
}

// nothingIsKept has the lines of planted appended to a file of the agent until at least that many metrics count them.
// The store must have the class recorded.
func nothingIsKept(t *testing.T, agent string, file func(home string) string, planted func() string, metrics int,
	recorded string,
) {
	t.Helper()
	storeDir, home := t.TempDir(), filepath.Join(t.TempDir(), "pl4nted-home")
	l := live(t, storeDir)
	judged(l, agent, causes.Upstream, causes.Healthy) // an incident, whose report has what the agent reports
	if err := os.MkdirAll(filepath.Dir(file(home)), 0o700); err != nil {
		t.Fatal(err)
	}
	r := reports.New(reports.Options{
		Sources: func() []reports.Source {
			return []reports.Source{{Home: sessions.Home{Agent: agent, Dir: home}, Service: agent}}
		},
		Suspect: func(context.Context, string) error { return nil },
		Record:  l.AgentReported,
	})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { r.Run(ctx); close(ended) }()
	write := func() {
		f, err := os.OpenFile(file(home), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := f.WriteString(planted()); err != nil {
			t.Fatal(err)
		}
	}
	for deadline := time.Now().Add(time.Minute); len(exported(t, r)) < metrics; time.Sleep(20 * time.Millisecond) {
		write() // before the Follower has started, it is history
		if time.Now().After(deadline) {
			t.Fatalf("after a minute only %v is counted", exported(t, r))
		}
	}
	cancel()
	<-ended
	l.stop()
	l = live(t, storeDir)
	var all strings.Builder
	found, _, err := l.Incidents(t.Context(), incident.Filter{})
	if err != nil || len(found) == 0 {
		t.Fatalf("%v, %v; want an observation", found, err)
	}
	for _, i := range found {
		report, err := l.Record(t.Context(), i.ID)
		if err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(report)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&all, "%s\n%s\n", text, report.Markdown())
	}
	fmt.Fprintln(&all, exported(t, r))
	l.stop()
	files, err := filepath.Glob(storeDir + "/*")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		if text, err := os.ReadFile(file); err == nil {
			all.Write(text)
		}
	}
	if !strings.Contains(all.String(), recorded) {
		t.Error("what is recorded is not in what was looked at")
	}
	if at := strings.Index(all.String(), "pl4nted"); at >= 0 {
		t.Errorf("kept: %q", all.String()[max(0, at-200):min(all.Len(), at+100)])
	}
}

// exported are the metrics of a Reporter.
func exported(t *testing.T, r *reports.Reporter) (all []string) {
	t.Helper()
	out := make(chan prometheus.Metric, 100)
	r.Collect(out)
	for range len(out) {
		var m dto.Metric
		if err := (<-out).Write(&m); err != nil {
			t.Fatal(err)
		}
		all = append(all, m.String())
	}
	return slices.Sorted(slices.Values(all))
}
