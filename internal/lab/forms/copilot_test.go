package forms

import (
	"flag"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"netwatchd/internal/lab/parts"
)

const (
	gitHubAPI         = "api.github.com"
	copilotAPI        = "api.githubcopilot.com"
	copilotIndividual = "api.individual.githubcopilot.com"

	copilotKey     = "github_pat_lab"
	copilotRouting = "https://" + gitHubAPI + "/rate_limit"
	copilotUser    = `{"login":"lab","copilot_plan":"individual","chat_enabled":true,"endpoints":{"api":"https://` + copilotIndividual + `"}}`
	copilotCache   = "// Disposable cache for Copilot user responses, safe to delete. Managed automatically.\n" +
		`{"copilotUserCache":{"v1:9d":{"schemaVersion":1,"retrievedAt":"2026-11-28T15:20:39.980Z","response":` + copilotUser + `}}}`
	copilotLogin = "// This file is managed automatically.\n" +
		`{"loggedInUsers":[{"host":"https://github.com","login":"lab"}],"copilotTokens":{"https://github.com:lab":"` + copilotKey + `"}}`
)

var (
	copilotFiles = map[string]string{".copilot/config.json": copilotLogin,
		".cache/copilot/copilot-user-cache.json": copilotCache}
	copilotForms = []agentForm{
		{name: "sign-in, plan known", files: copilotFiles, key: copilotKey, probed: "https://" + copilotIndividual + "/_ping"},
		{name: "token, plan not known", env: []string{"GH_TOKEN=" + copilotKey}, key: copilotKey,
			probed: "https://" + copilotAPI + "/_ping"},
		{name: "a model of the user's own", env: []string{"COPILOT_PROVIDER_BASE_URL=https://" + gateway + "/v1",
			"COPILOT_PROVIDER_API_KEY=" + copilotKey}, key: copilotKey, probed: "https://" + gateway + "/v1"},
	}
)

// realCopilot is not in CI: the program is 190 MB, and unpacks 235 MB before its first run.
var realCopilot = flag.String("copilot", "", "a `program` of GitHub Copilot CLI, to compare its requests with netwatchd's")

// answerCopilot answers as GitHub and its service for copilot do, as far as that is known: netwatchd's own requests by
// public reports and the documentation, copilot's as copilot 1.0.102 takes them.
func answerCopilot(rw http.ResponseWriter, r *http.Request) bool {
	isCopilot := strings.HasSuffix(r.Host, ".githubcopilot.com")
	if r.Host != gitHubAPI && !isCopilot {
		return false
	}
	status, text := http.StatusUnauthorized, `{"message":"Requires authentication"}`
	switch signedIn := r.Header.Get("Authorization") != ""; {
	case r.URL.Path == "/rate_limit" && !isCopilot:
		status, text = http.StatusOK, `{"resources":{"core":{"limit":60,"remaining":60}}}`
	case r.URL.Path == "/_ping" && isCopilot:
		status, text = http.StatusOK, "OK"
	case r.URL.Path == "/copilot_internal/user" && signedIn:
		status, text = http.StatusOK, copilotUser
	case signedIn:
		status, text = http.StatusNotFound, `{"message":"Not Found"}`
	}
	rw.Header().Set("Content-Type", "application/json")
	rw.WriteHeader(status)
	io.WriteString(rw, text)
	return true
}

// copilotUserOf is a user with copilot alone: files as npm installs them, because netwatchd starts nothing of it.
func (n *internet) copilotUserOf(f agentForm) *user {
	n.t.Helper()
	path := *realCopilot
	if path == "" {
		dir := filepath.Join(n.dir, "npm")
		n.must(os.MkdirAll(filepath.Join(dir, "@github/copilot"), 0o755))
		n.must(os.WriteFile(filepath.Join(dir, "@github/copilot/package.json"),
			[]byte(`{"name":"@github/copilot","version":"1.0.102"}`), 0o600))
		n.must(os.WriteFile(filepath.Join(dir, "@github/copilot/npm-loader.js"),
			[]byte("#!/bin/sh\necho started >>"+filepath.Join(n.dir, "started")+"\n"), 0o700)) //nolint:gosec // a program
		n.must(os.MkdirAll(filepath.Join(dir, "bin"), 0o755))
		path = filepath.Join(dir, "bin/copilot")
		n.must(os.Symlink("../@github/copilot/npm-loader.js", path))
	}
	usual := answerCopilot
	n.answer.Store(new(usual))
	return n.agentUser(path, f)
}

// TestCopilotHealthy: without a configuration netwatchd watches where copilot sends its requests. It sends no key and
// starts nothing, and says that there is no run.
func TestCopilotHealthy(t *testing.T) {
	t.Parallel()
	for _, f := range copilotForms {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			n := newInternet(t)
			u := n.copilotUserOf(f)
			v, e := u.verdict("check")
			if v.Service != "copilot" || v.Cause != "healthy" || e.code != 0 {
				t.Errorf("%s is %s (%s), exit code %d: %+v", v.Service, v.Cause, v.Title, e.code, v.Evidence)
			}
			if !strings.Contains(e.stdout, "netwatchd does not run copilot") {
				t.Errorf("no note that there is no run:\n%s", e.stdout)
			}
			want := []string{f.probed}
			if !strings.Contains(f.probed, gateway) { // nothing is requested of GitHub then
				want = append(want, copilotRouting)
			}
			made := u.requests()
			if got := slices.Sorted(slices.Values(urls(made))); !slices.Equal(slices.Compact(got), slices.Sorted(slices.Values(want))) {
				t.Errorf("requests to %v, want %v", got, want)
			}
			b := u.netwatchd("backtest")
			if b.code == 0 || !strings.Contains(b.stderr, "netwatchd does not run copilot") {
				t.Errorf("backtest: exit code %d\n%s%s", b.code, b.stdout, b.stderr)
			}
			d := u.netwatchd("doctor")
			var shown strings.Builder
			shown.WriteString(e.stdout + e.stderr + b.stdout + b.stderr + d.stdout + d.stderr)
			if !strings.Contains(strings.Join(strings.Fields(d.stdout), " "), "netwatchd does not run copilot") {
				t.Errorf("doctor: no note that there is no run:\n%s", d.stdout)
			}
			for _, r := range append(made, u.requests()...) {
				shown.WriteString(r.text)
			}
			if strings.Contains(shown.String(), f.key) {
				t.Errorf("the key is shown or sent:\n%s", shown.String())
			}
			if text, err := os.ReadFile(filepath.Join(n.dir, "started")); err == nil {
				t.Errorf("copilot was started: %s", text)
			}
			if *realCopilot != "" {
				u.copilotsOwn(f)
			}
		})
	}
}

// copilotsOwn runs the real copilot. Its turn fails, because the mock knows no models; the hosts that it asks with its
// token are those that netwatchd watches.
func (u *user) copilotsOwn(f agentForm) {
	u.t.Helper()
	plain := u.env
	u.env = append(slices.Clone(u.env), "COPILOT_AUTO_UPDATE=false", "COPILOT_MODEL=gpt-5-mini",
		"SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt")
	e := u.run("copilot", "-p", "Say OK", "--allow-all-tools")
	u.env = plain
	var hosts []string
	for _, r := range u.requests() {
		if strings.Contains(r.text, f.key) {
			host := strings.Split(r.URL, "/")[2]
			hosts = append(hosts, host)
		}
	}
	watched := strings.Split(f.probed, "/")[2]
	if !slices.Contains(hosts, watched) && watched != copilotAPI || slices.ContainsFunc(hosts, func(host string) bool {
		return host != watched && host != gitHubAPI && watched != copilotAPI
	}) {
		u.t.Errorf("copilot sends its token to %v, netwatchd watches %s\n%s%s", hosts, watched, e.stdout, e.stderr)
	}
}

// copilotFaults are those that requests alone show.
var copilotFaults = []agentFault{
	{name: "the resolver answers NXDOMAIN", inject: func(n *internet) { n.missing.Store(copilotIndividual, true) },
		cause: "resolver", class: "dns.name_not_resolved"},
	{name: "GitHub's name is missing", inject: func(n *internet) { n.missing.Store(gitHubAPI, true) },
		cause: "resolver", class: "dns.name_not_resolved"},
	{name: "the service refuses connections", inject: func(n *internet) { n.filterHost(copilotIndividual, reset) },
		cause: "upstream", class: "tcp.refused"},
	{name: "the service answers 503", inject: func(n *internet) {
		n.copilotAnswers(copilotIndividual, http.StatusServiceUnavailable, "text/plain", "Service Unavailable")
	}, cause: "upstream", class: "http.server_error"},
	{name: "GitHub's API answers 503", inject: func(n *internet) {
		n.copilotAnswers(gitHubAPI, http.StatusServiceUnavailable, "text/html", "<h1>Unicorn!</h1>")
	}, cause: "upstream", class: "http.server_error"},
	{name: "the service's TLS is inspected", inject: func(n *internet) { n.signedBy.Store(copilotIndividual, n.stranger) },
		cause: "interception", class: "tls.cert.authority_invalid"},
	{name: "the CDN answers with a challenge", inject: func(n *internet) {
		n.copilotAnswers(copilotIndividual, http.StatusForbidden, "text/html",
			"<!DOCTYPE html><html><head><title>Just a moment...</title></head></html>", "Cf-Mitigated", "challenge", "Server", "cloudflare")
	}, cause: "edge_blocked", class: "http.edge_blocked"},
	{name: "the service limits this address", inject: func(n *internet) {
		n.copilotAnswers(copilotIndividual, http.StatusTooManyRequests, "text/plain", "slow down", "Retry-After", "60")
	}, cause: "edge_blocked", class: "http.rate_limited"},
	{name: "the service no longer knows _ping", inject: func(n *internet) {
		n.copilotAnswers(copilotIndividual, http.StatusNotFound, "text/plain", "404 page not found")
	}, cause: "unexpected_answer", class: "http.unexpected_status"},
	{name: "a dead proxy in the settings", inject: func(*internet) {},
		files: map[string]string{".copilot/settings.json": `{"proxyUrl":"http://user:` + copilotKey + `@127.0.0.1:4000"}`},
		cause: "proxy", class: "proxy.refused"},
	{name: "a model of the user's own where nothing listens", inject: func(*internet) {},
		env: []string{"COPILOT_PROVIDER_BASE_URL=http://127.0.0.1:4000/v1"}, cause: "proxy", class: "proxy.refused"},
}

func (n *internet) copilotAnswers(host string, status int, contentType, text string, headers ...string) {
	n.answerFor(func(r *http.Request) bool { return r.Host == host }, status, contentType, text, headers...)
	faulty := *n.answer.Load()
	both := func(rw http.ResponseWriter, r *http.Request) bool { return faulty(rw, r) || answerCopilot(rw, r) }
	n.answer.Store(&both)
}

func TestCopilotFaults(t *testing.T) {
	t.Parallel()
	parts.Need(t)
	for _, fault := range copilotFaults {
		t.Run(fault.name, func(t *testing.T) {
			t.Parallel()
			fault.play(newInternet(t).copilotUserOf(copilotForms[0]), copilotKey)
		})
	}
}
