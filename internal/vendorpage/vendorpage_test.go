package vendorpage_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"netwatchd/internal/probe/connect"
	"netwatchd/internal/vendorpage"
)

// real is what status.openai.com answers, shortened by nothing but the ID.
const real = `{"page":{"id":"01JMDK9XYR","name":"OpenAI","url":"https://status.openai.com","time_zone":"Etc/UTC",` +
	`"updated_at":"2026-11-28T10:24:00.000Z"},"status":{"indicator":"minor","description":"Partially Degraded Service"}}`

func page(t *testing.T, address string, o connect.Options) *vendorpage.Page {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return &vendorpage.Page{URL: u, Options: o}
}

func TestAsk(t *testing.T) {
	for _, test := range []struct {
		name, body string
		status     int
		want       string // Report.String
		indicator  string
	}{
		{"problem", real, 200, `the vendor's status page says: "Partially Degraded Service"`, "minor"},
		{"none", `{"status":{"indicator":"none","description":"All Systems Operational"}}`, 200,
			`the vendor's status page says: "All Systems Operational"`, "none"},
		{"not found", real, 404, "the vendor's status page cannot be read: it answers with status 404", ""},
		{"moved", real, 302, "the vendor's status page cannot be read: it answers with status 302", ""},
		{"a page", "<!doctype html><title>Status</title>", 200,
			"the vendor's status page cannot be read: it does not answer in the format of Atlassian's Statuspage", ""},
		{"another format", `{"status":"ok"}`, 200,
			"the vendor's status page cannot be read: it does not answer in the format of Atlassian's Statuspage", ""},
		{"unknown indicator", `{"status":{"indicator":"purple","description":"x"}}`, 200,
			"the vendor's status page cannot be read: it does not answer in the format of Atlassian's Statuspage", ""},
		{"endless", `{"status":{"indicator":"none","description":"` + strings.Repeat("a", 1<<20) + `"}}`, 200,
			"the vendor's status page cannot be read: it does not answer in the format of Atlassian's Statuspage", ""},
		{"hostile", `{"status":{"indicator":"none","description":"\u001b]0;owned\u0007 line\nbreak"}}`, 200, "", "none"},
	} {
		t.Run(test.name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Method != http.MethodGet || r.URL.Path != "/api/v2/status.json" {
					t.Errorf("got %s %s", r.Method, r.URL)
				}
				w.WriteHeader(test.status)
				_, _ = w.Write([]byte(test.body))
			}))
			defer server.Close()
			got, made := page(t, server.URL+"/", connect.Options{}).Ask(t.Context())
			if !made || got.Indicator != test.indicator || test.want != "" && got.String() != test.want {
				t.Errorf("got %+v, %v: %s", got, made, got)
			}
			if got.At.IsZero() || !strings.HasSuffix(got.URL, "/api/v2/status.json") || len(got.Description) > 300 ||
				strings.ContainsAny(got.String(), "\x1b\x07\n") {
				t.Errorf("got %+v", got)
			}
		})
	}
}

func TestUnreachable(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	got, made := page(t, server.URL, connect.Options{}).Ask(t.Context())
	if !made || !strings.Contains(got.Error, "connection refused") {
		t.Errorf("got %+v", got)
	}
}

// The request takes the proxy of the agent.
func TestProxy(t *testing.T) {
	var asked string
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = r.URL.String()
		_, _ = w.Write([]byte(real))
	}))
	defer proxy.Close()
	got, _ := page(t, "http://status.example", connect.Options{Proxy: proxy.URL}).Ask(t.Context())
	if asked != "http://status.example/api/v2/status.json" || got.Indicator != "minor" {
		t.Errorf("the proxy was asked for %q, got %+v", asked, got)
	}
}
