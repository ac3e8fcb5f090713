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

	"netwatchd/internal/incident"
	"netwatchd/internal/reports"
	"netwatchd/internal/sessions"
)

// TestNothingOfASessionIsKept plants texts wherever a session file has some, beside events that are recorded. None of
// them is in the store, in a report, or in a metric.
func TestNothingOfASessionIsKept(t *testing.T) {
	storeDir, home := t.TempDir(), filepath.Join(t.TempDir(), "pl4nted-home")
	l := live(t, storeDir)
	day := filepath.Join(home, "sessions/2026/11/27")
	if err := os.MkdirAll(day, 0o700); err != nil {
		t.Fatal(err)
	}
	r := reports.New(reports.Options{
		Sources: func() []reports.Source {
			return []reports.Source{{Home: sessions.Home{Agent: "codex", Dir: home}, Service: "codex"}}
		},
		Suspect: func(context.Context, string) error { return nil },
		Record:  l.AgentReported,
	})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { r.Run(ctx); close(ended) }()
	write := func() {
		line := func(kind, payload string) string {
			return fmt.Sprintf(`{"timestamp":%q,"type":%q,"payload":%s}`+"\n", time.Now().UTC().Format(time.RFC3339Nano), kind, payload)
		}
		text := line("session_meta", `{"id":"pl4nted-id","cwd":"/pl4nted/cwd","originator":"pl4nted","cli_version":"0.171.0","model_provider":"pl4nted"}`) +
			line("turn_context", `{"turn_id":"pl4nted","cwd":"/pl4nted","model":"pl4nted","sandbox_policy":{"type":"read-only"}}`) +
			line("response_item", `{"type":"message","role":"user","content":"pl4nted prompt"}`) +
			line("response_item", `{"type":"function_call","name":"pl4nted","arguments":"{\"cmd\":\"pl4nted --command\"}","call_id":"pl4nted"}`) +
			line("response_item", `{"type":"function_call_output","output":"Process exited with code 6\nCould not resolve host: pl4nted.example"}`) +
			line("event_msg", `{"type":"pl4nted_event","message":"pl4nted"}`) +
			line("event_msg", `{"type":"task_complete","turn_id":"pl4nted","error":{"message":"pl4nted message","codex_error_info":"pl4nted_reason"}}`) +
			line("event_msg", `{"type":"token_count","rate_limits":{"limit_name":"pl4nted","plan_type":"pl4nted","primary":{"used_percent":5,"window_minutes":300}}}`)
		if err := os.WriteFile(filepath.Join(day, fmt.Sprintf("rollout-pl4nted-%d.jsonl", time.Now().UnixNano())), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for deadline := time.Now().Add(time.Minute); len(exported(t, r)) < 3; time.Sleep(20 * time.Millisecond) {
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
	if !strings.Contains(all.String(), "local.denied") {
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
