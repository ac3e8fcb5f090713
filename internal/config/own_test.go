package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func loadText(t *testing.T, text string) (*Config, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Load(path, nil)
	if err != nil {
		return c, errorWithout(err, path)
	}
	return c, nil
}

type text string

func (s text) Error() string { return string(s) }

func errorWithout(err error, path string) error {
	return text(strings.ReplaceAll(err.Error(), path, "config.yaml"))
}

const ownService = `resolvers: {direct: []}
controls:
  - {name: gateway, url: "http://192.0.2.1/"}
  - {name: intranet, url: "http://intranet.example/"}
services:
  - name: billing
    owner: us
    advice: "Restart it: systemctl restart billing."
    runbook: https://wiki.example/billing
    status_page: http://status.example
    controls: [intranet, {name: mail, url: "https://mail.example/"}]
    resolvers: {system: false, files: [/etc/resolv.corp.conf]}
    ask_status_page: false
    probes: [{name: health, kind: http, target: "http://127.0.0.1:8080/healthz"}]
`

// What a service has of its own is read, and config show prints what loads to the same.
func TestOwnOfAService(t *testing.T) {
	c, err := loadText(t, ownService)
	if err != nil {
		t.Fatal(err)
	}
	s := c.Services[0]
	if s.Advice != "Restart it: systemctl restart billing." || s.Runbook != "https://wiki.example/billing" || s.StatusPage != "http://status.example" || !s.StatusPageUnasked {
		t.Errorf("got %+v", s)
	}
	if len(s.Controls) != 2 || s.Controls[0].URL != c.Controls[1].URL || s.Controls[1].URL.Host != "mail.example" {
		t.Errorf("controls: %+v", s.Controls)
	}
	if r := s.Resolvers; r == nil || r.System || r.Files[0] != "/etc/resolv.corp.conf" || len(r.Direct) != 0 {
		t.Errorf("resolvers: %+v, want those of the file without direct ones, as the configuration has none", r)
	}
	var shown strings.Builder
	if err := c.Show(&shown); err != nil {
		t.Fatal(err)
	}
	again, err := loadText(t, shown.String())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(s.Resolvers, again.Services[0].Resolvers, cmp.AllowUnexported(), cmp.Comparer(func(a, b Resolvers) bool {
		return a.System == b.System && cmp.Equal(a.Files, b.Files) && len(a.Direct) == len(b.Direct)
	})); diff != "" || len(again.Services[0].Controls) != 2 || again.Services[0].Advice != s.Advice || !again.Services[0].StatusPageUnasked {
		t.Errorf("shown and loaded: %s\n%s", diff, shown.String())
	}
}

func TestBadOwnOfAService(t *testing.T) {
	for _, tt := range []struct{ from, to, want string }{
		{"https://wiki.example/billing", "http://wiki.example/billing", `config.yaml:9: services[0] "billing": runbook: has the scheme "http": use https, like https://example.com/`},
		{"https://wiki.example/billing", "wiki/billing", `config.yaml:9: services[0] "billing": runbook: has no scheme: write a full URL, like https://example.com/`},
		{"http://status.example", "ftp://status.example", `config.yaml:10: services[0] "billing": status_page: has the scheme "ftp": use https or http, like https://example.com/`},
		{"http://status.example", "https://me:pw@status.example", `status_page: contains credentials`},
		{"controls: [intranet,", "controls: [intrant,", `config.yaml:11: services[0] "billing": controls[0]: unknown value "intrant": did you mean "intranet"? (a control of this service alone is written with name and url)`},
		{"controls: [intranet,", "controls: [intranet, intranet,", `controls[1]: is the second control "intranet" of this service: remove it`},
		{"{name: mail, ", "{name: gateway, ", `is a second control "gateway": write the name alone to use the one of controls, or choose another name`},
		{`[intranet, {name: mail, url: "https://mail.example/"}]`, "[]", `controls: is empty: name at least one control, or remove the key to use all`},
		{`[intranet, {name: mail, url: "https://mail.example/"}]`, "gateway", `controls`},
		{`"Restart it: systemctl restart billing."`, `"a\nb"`, `advice: contains a line break or a control character: write one line`},
		{`"Restart it: systemctl restart billing."`, strings.Repeat("x", adviceLimit+1), `advice: has 501 characters, at most 500 are shown`},
		{"{system: false, files", "{system: false, file", `key "file"`},
	} {
		_, err := loadText(t, strings.Replace(ownService, tt.from, tt.to, 1))
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s instead of %s:\ngot  %v\nwant %s", tt.to, tt.from, err, tt.want)
		}
	}
}

// A control of one service is one series: two services cannot give the name different meanings.
func TestOwnControlsOfTwoServices(t *testing.T) {
	other := `  - name: shop
    controls: [{name: mail, url: "https://other.example/"}]
    probes: [{name: health, kind: http, target: "http://127.0.0.1:8081/"}]
`
	if _, err := loadText(t, ownService+other); err == nil || !strings.Contains(err.Error(), "another URL than that of an earlier service") {
		t.Errorf("got %v", err)
	}
	if _, err := loadText(t, ownService+strings.Replace(other, "other.example", "mail.example", 1)); err != nil {
		t.Error(err)
	}
}

// TestAgentService: an agent that is watched without a configuration has the defaults of a configured service.
func TestAgentService(t *testing.T) {
	for _, preset := range OtherPresets() {
		c, err := loadText(t, "services: [{name: "+preset+", probes: [{name: exec, kind: exec, preset: "+preset+"}]}]")
		if err != nil {
			t.Fatal(err)
		}
		want, got := c.Services[0], AgentService(preset)
		want.Probes, want.Sandbox, got.Probes, got.Sandbox = nil, nil, nil, nil
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", preset, diff)
		}
	}
}
