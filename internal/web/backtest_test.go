package web

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"netwatchd/internal/causes"
	"netwatchd/internal/incident"
	"netwatchd/internal/probe"
)

func backtest() *incident.Backtest {
	run := probe.Result{Spec: probe.Spec{Service: "codex", Name: "exec", Kind: probe.KindExec, Vantage: probe.FromSandbox},
		Start: time.Now(), Elapsed: 1, Class: probe.ExecNetwork}
	b := &incident.Backtest{Service: "codex", Want: "closed", Runs: []probe.Result{run}, Snapshot: json.RawMessage(`{"kernel":"6.6"}`)}
	b.Status.Cause = causes.Sandbox
	return b
}

func post(t *testing.T, url, kind, body string, headers ...string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", kind)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

func TestBacktest(t *testing.T) {
	s := newTestServer(t)
	var recorded *incident.Backtest
	answer := s.RecordBacktest
	s.RecordBacktest = func(ctx context.Context, b *incident.Backtest) *incident.Incident {
		recorded = b
		return answer(ctx, b)
	}
	url := at(t, s) + "/api/v1/backtests"
	body := func(change func(*incident.Backtest)) string {
		b := backtest()
		if change != nil {
			change(b)
		}
		text, err := json.Marshal(b)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	for name, test := range map[string]struct {
		kind, body string
		headers    []string
		status     int
		has        string
	}{
		"a backtest":      {"application/json", body(nil), nil, 200, `"observation":true`},
		"a form":          {"text/plain", body(nil), nil, 415, "unsupported_media_type"},
		"another site":    {"application/json", body(nil), []string{"Origin", "https://evil.example"}, 403, "cross_origin"},
		"not JSON":        {"application/json", "{", nil, 400, "bad_backtest"},
		"no run":          {"application/json", body(func(b *incident.Backtest) { b.Runs = nil }), nil, 400, "0 runs"},
		"too many":        {"application/json", body(func(b *incident.Backtest) { b.Runs = make([]probe.Result, 41) }), nil, 400, "41 runs"},
		"not a run":       {"application/json", body(func(b *incident.Backtest) { b.Runs[0].Kind = probe.KindHTTP }), nil, 400, "not an exec probe"},
		"of another":      {"application/json", body(func(b *incident.Backtest) { b.Runs[0].Service = "shop" }), nil, 400, "not an exec probe"},
		"too old":         {"application/json", body(func(b *incident.Backtest) { b.Runs[0].Start = time.Now().Add(-25 * time.Hour) }), nil, 400, "too old"},
		"in the future":   {"application/json", body(func(b *incident.Backtest) { b.Runs[0].Start = time.Now().Add(time.Hour) }), nil, 400, "future"},
		"an old result":   {"application/json", body(func(b *incident.Backtest) { b.Status.Results = []probe.Result{{}} }), nil, 400, "too old"},
		"no such service": {"application/json", strings.ReplaceAll(body(nil), `"codex"`, `"other"`), nil, 404, "no such service"},
		"too large":       {"application/json", `{"service":"` + strings.Repeat("x", 3<<20) + `"}`, nil, 413, "too_large"},
	} {
		recorded = nil
		status, text := post(t, url, test.kind, test.body, test.headers...)
		if status != test.status || !strings.Contains(text, test.has) || !json.Valid([]byte(text)) {
			t.Errorf("%s: %d %.300s; want %d with %s", name, status, text, test.status, test.has)
		}
		if (recorded != nil) != (status == 200) {
			t.Errorf("%s: recorded %+v", name, recorded)
		}
	}
	if status, text := fetch(t, url); status != 405 || !strings.Contains(text, "use POST") {
		t.Errorf("GET: %d %s", status, text)
	}
}

// Faults and observations are apart on the pages, and selected in the API.
func TestObservations(t *testing.T) {
	s, history := newTestServer(t), new(memory)
	s.History = history
	for query, want := range map[string]incident.Kind{
		"": incident.AnyKind, "?observation=true": incident.Observations, "?observation=false": incident.Faults,
	} {
		if status, _ := fetch(t, at(t, s)+"/api/v1/incidents"+query); status != 200 || history.asked.Kind != want {
			t.Errorf("%q: %d, kind %v, want %v", query, status, history.asked.Kind, want)
		}
	}
	b := backtest()
	from, to := b.Span()
	history.observed = incident.NewBook().Observe(b.Verdict(), from, to)
	for _, path := range []string{"/incidents", "/services/codex"} {
		_, page := fetch(t, at(t, s)+path)
		_, observations, found := strings.Cut(page, "<h2>Observations</h2>")
		if !found || strings.Count(page, "he agent&#39;s run failed in its sandbox") != 1 || !strings.Contains(observations, history.observed.ID) {
			t.Errorf("%s: the observation is not listed apart:\n%.3000s", path, observations)
		}
	}
	_, page := fetch(t, at(t, s)+"/incidents/"+history.observed.ID)
	if !strings.Contains(page, "An observation, not a fault") || strings.Contains(page, "Resolved") {
		t.Errorf("its page:\n%s", page)
	}
}
