package exposure

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"netwatchd/internal/agent"
	"netwatchd/internal/causes"
	"netwatchd/internal/config"
	"netwatchd/internal/diagnose"
	"netwatchd/internal/plan"
	"netwatchd/internal/probe"
)

func TestString(t *testing.T) {
	t.Parallel()
	untrusted := &probe.Result{Class: probe.TLSAuthorityInvalid,
		Facts: probe.Facts{Peer: "203.0.113.9:443", TLS: &probe.TLS{Issuer: "CN=Inspector"}}}
	portal := &probe.Result{Class: probe.HTTPUnexpectedStatus, Facts: probe.Facts{Peer: "203.0.113.9:80"}}
	proxied := &probe.Result{Class: probe.HTTPUnexpectedStatus, Facts: probe.Facts{Peer: "10.0.0.1:3128", Proxy: "http://proxy.test:3128"}}
	for _, test := range []struct {
		sends agent.Mode
		to    *probe.Result
		want  string
	}{
		{agent.APIKey, untrusted, "The run's prompt and your API key would go to 203.0.113.9:443, which has a certificate " +
			`issued by "CN=Inspector", if the agent accepts that certificate.`},
		{agent.ChatGPT, portal, "The run's prompt and the token of your ChatGPT sign-in would go to 203.0.113.9:80."},
		{agent.ProviderCredentials, proxied, "The run's prompt and the credentials of its provider would go through the proxy " +
			"http://proxy.test:3128."},
		{agent.SignedOut, portal, "The run's prompt would go to 203.0.113.9:80."},
		{"", nil, "Whatever the run sends, credentials included, would go to whoever answers there."},
	} {
		e := Exposure{Verdict: diagnose.Verdict{Title: "codex: a portal answers."}, sends: test.sends, to: test.to}
		if got, want := e.String(), "someone else answers in place of the service (codex: a portal answers). "+test.want; got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

// TestOf: a portal that answers for the controls alone is an exposure too, although the verdict has another cause. The
// servers are real.
func TestOf(t *testing.T) {
	t.Parallel()
	serve := func(answer http.HandlerFunc) string {
		server := httptest.NewServer(answer)
		t.Cleanup(server.Close)
		return server.URL
	}
	service := serve(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusMethodNotAllowed) })
	site := serve(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	portal := serve(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://portal.test/", http.StatusFound)
	})
	for control, want := range map[string]string{
		site: "",
		portal: "someone else answers in place of other sites (exposed: a captive portal or a proxy answers instead of the " +
			"real sites), perhaps also in place of the service. Whatever the run sends, credentials included, would go to " +
			"whoever answers there.",
	} {
		file := filepath.Join(t.TempDir(), "config.yaml")
		if err := os.WriteFile(file, fmt.Appendf(nil, `
resolvers: {direct: []}
controls: [{name: one, url: "%[1]s/one", expect: {status: [204]}}, {name: two, url: "%[1]s/two", expect: {status: [204]}}]
services:
  - name: exposed
    probes:
      - {name: head, kind: http, target: "%[2]s/responses", method: HEAD, proxy: none, timeout: 20s, expect: {status: [405]}}
      - {name: exec, kind: exec, command: [echo]}
`, control, service), 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := config.Load(file, nil)
		if err != nil {
			t.Fatal(err)
		}
		p := plan.Of(c)
		got, cause := "", causes.Healthy
		if e := Of(t.Context(), p.Plan, p.Agents()[0], "test"); e != nil {
			got, cause = e.String(), e.Verdict.Cause
		}
		if got != want || cause == causes.Interception {
			t.Errorf("verdict %v: got %q, want %q", cause, got, want)
		}
	}
}
