package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"netwatchd/internal/causes"
	"netwatchd/internal/watch"
)

// What the vendor's status page says stands beside the verdict of check and does not change it.
func TestCheckAsksTheStatusPage(t *testing.T) {
	serve := func(status int, body string) *httptest.Server {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body))
		}))
		t.Cleanup(server.Close)
		return server
	}
	service, control := serve(503, ""), serve(204, "")
	page := serve(200, `{"page":{},"status":{"indicator":"none","description":"All Systems Operational"}}`)
	for _, ask := range []bool{true, false} {
		config := filepath.Join(t.TempDir(), "config.yaml")
		text := fmt.Sprintf(`
resolvers: {direct: []}
controls: [{name: one, url: "%[2]s/", expect: {status: [204]}}, {name: two, url: "%[2]s/two", expect: {status: [204]}}]
services:
  - name: codex
    status_page: %[3]s
    ask_status_page: %[4]v
    probes: [{name: head, kind: http, target: "%[1]s/", proxy: none}]
`, service.URL, control.URL, page.URL, ask)
		if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		var out, errs bytes.Buffer
		code := execute(t.Context(), []string{"check", "--config.file=" + config, "--json"}, strings.NewReader(""), &out, &errs)
		var status watch.Status
		if err := json.Unmarshal(out.Bytes(), &status); err != nil || len(status.Services) != 1 {
			t.Fatalf("%v: %s%s", err, out.String(), errs.String())
		}
		s := status.Services[0]
		if code != exitFault || s.Cause != causes.Upstream {
			t.Errorf("exit code %d, %s: %s", code, s.Cause, s.Title)
		}
		if got := s.StatusPageReport; ask != (got != nil) || ask && got.Description != "All Systems Operational" {
			t.Errorf("ask_status_page: %v: got %+v", ask, got)
		}
	}
}
