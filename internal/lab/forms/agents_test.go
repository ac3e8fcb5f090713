package forms

import (
	"net/http"
	"path/filepath"
	"slices"
	"strings"

	"netwatchd/internal/lab/responses"
)

// An agentForm is one way in which an agent is signed in and told where its service is.
type agentForm struct {
	name  string
	files map[string]string // below the home directory
	env   []string
	key   string // that only the service may see

	turns, probed string // the URLs of the agent's requests, and of our probe
}

// agentUser is a user with one agent alone: the program at path.
func (n *internet) agentUser(path string, f agentForm) *user {
	n.t.Helper()
	n.writeHome(f.files)
	return &user{n, filepath.Dir(path), f.env}
}

func (n *internet) writeHome(files map[string]string) {
	n.t.Helper()
	for path, text := range files {
		n.write(filepath.Join(userHome, path), text)
	}
}

// An agentFault is a fault, and what netwatchd must report of it.
type agentFault struct {
	name         string
	inject       func(n *internet)
	files        map[string]string // below the home directory, in place of the form's
	env          []string          // added to the form's
	runs         bool              // only a run of the agent shows it
	cause, class string
}

// anthropicFaults are those of Anthropic's service, for agents that use it with a key in the environment.
var anthropicFaults = []agentFault{
	{name: "the resolver answers NXDOMAIN", inject: func(n *internet) { n.missing.Store(anthropic, true) },
		cause: "resolver", class: "dns.name_not_resolved"},
	{name: "the service refuses connections", inject: func(n *internet) { n.filterHost(anthropic, reset) },
		cause: "upstream", class: "tcp.refused"},
	{name: "the service answers 503", inject: func(n *internet) {
		n.answerFor(func(*http.Request) bool { return true }, http.StatusServiceUnavailable, "text/plain", "Service Unavailable")
	}, cause: "upstream", class: "http.server_error"},
	{name: "the service's TLS is inspected", inject: func(n *internet) { n.signedBy.Store(anthropic, n.stranger) },
		cause: "interception", class: "tls.cert.authority_invalid"},
	{name: "the CDN answers with a challenge", inject: func(n *internet) {
		n.answerFor(func(*http.Request) bool { return true }, http.StatusForbidden, "text/html",
			"<!DOCTYPE html><html><head><title>Just a moment...</title></head></html>", "Cf-Mitigated", "challenge", "Server", "cloudflare")
	}, cause: "edge_blocked", class: "http.edge_blocked"},
	{name: "the service rejects the key", runs: true, inject: func(n *internet) { n.mock.Behave(responses.Unauthorized) },
		cause: "account", class: "exec.unauthorized"},
	{name: "the credit is used up", runs: true, inject: func(n *internet) { n.mock.Behave(responses.UsageLimit) },
		cause: "account", class: "exec.usage_limit"},
	{name: "turns are overloaded", runs: true, inject: func(n *internet) { n.mock.Behave(responses.Unavailable) },
		cause: "upstream", class: "exec.overloaded"},
	{name: "turns are cut", runs: true, inject: func(n *internet) { n.mock.Behave(responses.Cut) },
		cause: "stream", class: "exec.stream_cut"},
	{name: "no such model", runs: true, inject: func(n *internet) { n.mock.Behave(responses.ModelRefused) },
		cause: "agent", class: "exec.model_rejected"},
}

// play injects the fault and checks what netwatchd reports, without the key.
func (f agentFault) play(u *user, key string) {
	u.t.Helper()
	u.writeHome(f.files)
	u.env = append(slices.Clone(u.env), f.env...)
	f.inject(u.internet)
	command := []string{"check"}
	if f.runs {
		command = runOnce
	}
	v, e := u.verdict(command...)
	u.t.Logf("%s by %s, %s, in %v: %s", v.Cause, v.decisive(), v.Severity, e.took, v.Title)
	if v.Cause != f.cause || v.decisive() != f.class {
		u.t.Errorf("%s by %s (%s), want %s by %s: %+v", v.Cause, v.decisive(), v.Title, f.cause, f.class, v.Evidence)
	}
	if strings.Contains(e.stdout+e.stderr, key) {
		u.t.Errorf("the key is shown:\n%s%s", e.stdout, e.stderr)
	}
}
