package blackbox

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/pb33f/libopenapi"
	validator "github.com/pb33f/libopenapi-validator"
	"github.com/pb33f/libopenapi-validator/config"

	"netwatchd/internal/lab/schema"
	"netwatchd/internal/lab/stack"
)

// A real daemon's answers match its OpenAPI document exactly.
func TestAPI(t *testing.T) {
	s := stack.Start(t)
	d := s.Daemon("--config.file=" + s.Config())
	d.AwaitReady()
	awaitCause(t, d, "healthy")
	s.ServiceAnswers(503)
	awaitCause(t, d, "upstream")
	var id string
	d.Await(patience, func() error {
		var listed struct{ Incidents []episode }
		if err := json.Unmarshal(get(t, "/api/v1/incidents"), &listed); err != nil || len(listed.Incidents) != 1 {
			return fmt.Errorf("incidents %+v, %v; want one", listed, err)
		}
		id = listed.Incidents[0].ID
		return nil
	})
	if exit := s.Run("incidents", "note", id, "deployment at noon", "--config.file="+s.Config()); exit.Code != 0 {
		t.Errorf("note: exit code %d: %s", exit.Code, exit.Stderr)
	}
	d.Await(patience, func() error { // looked at a second after it began
		if !strings.Contains(string(get(t, "/api/v1/incidents/"+id)), `"kernel"`) {
			return fmt.Errorf("the record has no snapshot")
		}
		return nil
	})

	printsBySchema(t, s, id)
	document := documented(t)
	for _, test := range []struct {
		method, path string
		status       int
	}{
		{"GET", "/api/v1/status", 200},
		{"GET", "/api/v1/status?service=codex", 400},
		{"GET", "/api/v1/results", 200},
		{"GET", "/api/v1/results?limit=1&vantage=host&class=ok&class=http.server_error", 200},
		{"GET", "/api/v1/results?limit=0", 400},
		{"GET", "/api/v1/history", 200},
		{"GET", "/api/v1/history?range=7d&limit=1&service=codex&vantage=host", 200},
		{"GET", "/api/v1/history?range=2d", 400},
		{"GET", "/api/v1/events?since=1", 400},
		{"GET", "/badge/codex.svg", 200},
		{"GET", "/badge/absent.svg", 404},
		{"GET", "/api/v1/incidents?open=true&service=codex", 200},
		{"GET", "/api/v1/incidents?service=absent", 200},
		{"GET", "/api/v1/incidents?opened=true", 400},
		{"GET", "/api/v1/incidents/" + id, 200},
		{"GET", "/api/v1/incidents/" + id + "?format=markdown", 200},
		{"GET", "/api/v1/incidents/20260101-codex-1", 404},
		{"GET", "/api/v1/openapi.yaml", 200},
		{"GET", "/metrics", 200},
		{"GET", "/-/healthy", 200},
		{"GET", "/-/ready", 200},
		{"POST", "/-/reload", 200},
	} {
		t.Run(test.method+" "+test.path, func(t *testing.T) {
			request, err := http.NewRequest(test.method, stack.URL+test.path, nil)
			if err != nil {
				t.Fatal(err)
			}
			response, err := http.DefaultClient.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			if response.StatusCode != test.status {
				t.Errorf("status %d, want %d", response.StatusCode, test.status)
			}
			if ok, faults := document.ValidateHttpResponse(request, response); !ok {
				for _, f := range faults {
					t.Error(f)
				}
			}
		})
	}
}

// What commands print for programs is valid by its schema, and has no field that the schema does not describe.
func printsBySchema(t *testing.T, s *stack.Stack, id string) {
	t.Helper()
	config := "--config.file=" + s.Config()
	for name, commands := range map[string][][]string{
		"status":      {{"check", "--json", config}, {"status", "--json", config}},
		"result":      {{"probe", "dns", "chatgpt.com", "--json"}, {"probe", "http", "https://chatgpt.com/", "--json"}},
		"incidents":   {{"incidents", "--json", config}},
		"record":      {{"explain", id, "--json", config}},
		"doctor":      {{"doctor", "--json", config}},
		"store-check": {{"store", "check", "--json", config}},
	} {
		for _, command := range commands {
			exit := s.Run(command...)
			if exit.Stdout == "" {
				t.Errorf("%v printed nothing: exit code %d, %s", command, exit.Code, exit.Stderr)
				continue
			}
			schema.Check(t, name, exit.Stdout)
		}
	}
}

// documented is the daemon's own document, which must be sound.
func documented(t *testing.T) validator.Validator {
	t.Helper()
	document, err := libopenapi.NewDocument(get(t, "/api/v1/openapi.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	v, faults := validator.NewValidator(document, config.WithStrictMode(), config.WithFormatAssertions(),
		config.WithStrictIgnorePaths("$.body.series[*].points[*].failed**")) // by class, and so by no fixed name
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	t.Cleanup(v.Release)
	if ok, faults := v.ValidateDocument(); !ok {
		for _, f := range faults {
			t.Error(f)
		}
	}
	return v
}
