package exposure

import (
	"testing"

	"netwatchd/internal/agent"
	"netwatchd/internal/diagnose"
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
