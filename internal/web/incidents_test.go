package web

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"netwatchd/internal/causes"
	"netwatchd/internal/diagnose"
	"netwatchd/internal/incident"
	"netwatchd/internal/ledger"
	"netwatchd/internal/record"
	"netwatchd/internal/rollup"
)

type memory struct {
	begin time.Time
	asked incident.Filter
	err   error

	keys     []ledger.Key
	minutes  []minute // of each of them
	absences []incident.Gap
	fault    string
	said     string // in the title of its incident, and in a note
	observed *incident.Incident
}

type minute struct {
	at     time.Time
	rollup rollup.Rollup
}

func (p *memory) incident() *incident.Incident {
	i, _ := incident.NewBook().Enter(diagnose.Verdict{Service: "codex", Cause: causes.Upstream, Severity: causes.Page,
		Title: "codex: down" + p.said}, time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC))
	if p.said != "" {
		i.Notes = []incident.Note{{Text: p.said}}
	}
	return i
}

func (p *memory) Incidents(_ context.Context, f incident.Filter) ([]*incident.Incident, int, error) {
	p.asked = f
	if f.Offset > 0 || p.err != nil {
		return nil, 1, p.err
	}
	if f.Kind == incident.Observations {
		if p.observed == nil {
			return nil, 0, nil
		}
		return []*incident.Incident{p.observed}, 1, nil
	}
	return []*incident.Incident{p.incident()}, 1, nil
}

func (p *memory) Record(_ context.Context, id string) (*record.Record, error) {
	if p.observed != nil && id == p.observed.ID {
		return record.Of(&incident.Detail{Incident: p.observed}), nil
	}
	if i := p.incident(); id == i.ID {
		return record.Of(&incident.Detail{Incident: i}), p.err
	}
	return nil, incident.ErrNotFound
}

func (p *memory) Keys(_ context.Context, services ...string) ([]ledger.Key, error) {
	return slices.DeleteFunc(slices.Clone(p.keys), func(k ledger.Key) bool { return !among(services, k.Service) }), p.err
}

func (p *memory) Series(_ context.Context, c *rollup.Curves) error {
	for k := range c.Keys() {
		for _, m := range p.minutes {
			c.Add(k, m.at, &m.rollup)
		}
	}
	return p.err
}

func (p *memory) Gaps(context.Context, time.Time, time.Time) ([]incident.Gap, error) {
	return p.absences, p.err
}

func (p *memory) Begin(context.Context) (time.Time, error) { return p.begin, p.err }

func (p *memory) Fault() string { return p.fault }

func TestIncidents(t *testing.T) {
	for path, want := range map[string]struct {
		status int
		has    string
	}{
		"/api/v1/incidents": {200, `{"incidents":[{"id":"20261123-codex-1","service":"codex","causes":[{"cause":"upstream",` +
			`"from":"2026-11-23T12:00:00Z","to":null}],"opened":"2026-11-23T12:00:00Z","closed":null,"notes":[]`},
		"/api/v1/incidents?service=codex&open=true&limit=5": {200, `"total":1`},
		"/api/v1/incidents?offset=1":                        {200, `{"incidents":[],"total":1}`},
		"/api/v1/incidents?opened=true":                     {400, `"code":"bad_parameter"`},
		"/api/v1/incidents?open=yes":                        {400, `"code":"bad_parameter"`},
		"/api/v1/incidents?limit=0":                         {400, `"code":"bad_parameter"`},
		"/api/v1/incidents/20261123-codex-1":                {200, `"host_beside_sandbox"`},
		"/api/v1/incidents/20261123-codex-1?format=pdf":     {400, `"code":"bad_parameter"`},
		"/api/v1/incidents/20261123-codex-2":                {404, `"code":"not_found"`},
		"/api/v1/incidents/%00..%2f<script>":                {404, `"code":"not_found"`},
	} {
		s := newTestServer(t)
		s.History = new(memory)
		status, body := fetch(t, at(t, s)+path)
		if status != want.status || !strings.Contains(body, want.has) || !json.Valid([]byte(body)) {
			t.Errorf("%s: %d %s; want %d with %s", path, status, body, want.status, want.has)
		}
	}
}

func TestRecordForPeople(t *testing.T) {
	s := newTestServer(t)
	s.History = new(memory)
	got := get(t, http.DefaultClient, at(t, s)+"/api/v1/incidents/20261123-codex-1?format=markdown")
	if got.status != 200 || got.header.Get("Content-Type") != "text/markdown; charset=utf-8" || !strings.HasPrefix(got.body, "# Incident `20261123-codex-1`") {
		t.Errorf("got %d %s\n%s", got.status, got.header.Get("Content-Type"), got.body)
	}
}

func TestNoHistory(t *testing.T) {
	s := newTestServer(t)
	broken := newTestServer(t)
	broken.History = &memory{err: errors.New("disk I/O error")}
	for _, base := range []string{at(t, s), at(t, broken)} {
		for _, path := range []string{"/api/v1/incidents", "/api/v1/incidents/20261123-codex-1"} {
			if status, body := fetch(t, base+path); status != 503 || !strings.Contains(body, `"code":"unavailable"`) {
				t.Errorf("%s: %d %s; want 503", path, status, body)
			}
		}
	}
}

func fetch(t *testing.T, url string) (int, string) {
	t.Helper()
	response, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}
