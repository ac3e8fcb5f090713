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

	"netwatchd/internal/agent/codex"
	"netwatchd/internal/causes"
	"netwatchd/internal/lab/responses"
	"netwatchd/internal/lab/schema"
	"netwatchd/internal/probe"
)

// A fault of the service that only the agent's POST meets is never one of the installation. Each is met by the real codex,
// beside a HEAD that is answered as expected.
func TestBacktestOfServiceThatFailsTheAgentOnly(t *testing.T) {
	t.Parallel()
	tests := map[responses.Behaviour]struct {
		cause causes.Cause
		class probe.Class
		stub  bool // a run against a stub follows
	}{
		responses.StallHeaders:    {causes.Upstream, probe.ExecTimedOut, true},
		responses.Challenge:       {causes.EdgeBlocked, probe.HTTPEdgeBlocked, true},
		responses.Geo:             {causes.EdgeBlocked, probe.HTTPEdgeBlocked, true},
		responses.Legal:           {causes.EdgeBlocked, probe.HTTPEdgeBlocked, true},
		responses.NotFound:        {causes.UnexpectedAnswer, probe.HTTPUnexpectedStatus, true},
		responses.TooLarge:        {causes.UnexpectedAnswer, probe.HTTPUnexpectedStatus, true},
		responses.UpgradeRequired: {causes.UnexpectedAnswer, probe.HTTPUnexpectedStatus, true},
		responses.BadRequest:      {causes.UnexpectedAnswer, probe.HTTPUnexpectedStatus, true},
		responses.ModelRefused:    {causes.Agent, probe.ExecModelRejected, false}, // the answer names the model
		responses.Unavailable:     {causes.Upstream, probe.ExecOverloaded, false},
	}
	atOnce := make(chan struct{}, 4) // each starts up to three codexes
	for _, version := range []string{"0.104.0", "0.169.0"} {
		codex := installedCodex(t, version)
		for behaviour, test := range tests {
			t.Run(version+" "+behaviour.String(), func(t *testing.T) {
				t.Parallel()
				atOnce <- struct{}{}
				defer func() { <-atOnce }()
				got := backtested(t, "codex", codex, behaviour)
				if got.Verdict.Cause != test.cause || got.Runs[0].Class != test.class {
					t.Errorf("got %v after %v %q, want %v after %v", got.Verdict.Cause, got.Runs[0].Class, got.Runs[0].Why, test.cause, test.class)
				}
				if strings.Contains(got.Verdict.Advice, "codex doctor") {
					t.Errorf("advice: %s", got.Verdict.Advice)
				}
				if (got.Stub != nil) != test.stub || test.stub && (!got.Stub.OK() || got.Stub.Role != probe.AgentStub) {
					t.Errorf("the run against a stub: %+v", got.Stub)
				}
				if len(got.Runs) != 1 || got.Host.Of != 1 {
					t.Errorf("%d runs are listed and %d counted, want one", len(got.Runs), got.Host.Of)
				}
			})
		}
	}
}

// An installation that is broken fails against a stub, too.
func TestBacktestOfBrokenInstallation(t *testing.T) {
	t.Parallel()
	codex := filepath.Join(t.TempDir(), "codex")
	script := "#!/bin/sh\ncase $* in --version) echo codex-cli 0.169.0;; 'login status') ;; *) exit 3;; esac\n"
	if err := os.WriteFile(codex, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	got := backtested(t, "codex", codex, responses.OK)
	if got.Verdict.Cause != causes.Agent || !strings.Contains(got.Verdict.Advice, "codex doctor") {
		t.Errorf("got %v, advice %q", got.Verdict.Cause, got.Verdict.Advice)
	}
	if got.Stub == nil || got.Stub.Class != probe.ExecUnexpectedExit || len(got.Verdict.Evidence) < 2 || got.Verdict.Evidence[1].Role != probe.AgentStub {
		t.Errorf("the run against a stub: %+v, evidence %+v", got.Stub, got.Verdict.Evidence)
	}
}

// The run against a stub tells the service from the installation for the other agents, too.
func TestBacktestOfOtherAgents(t *testing.T) {
	t.Parallel()
	for preset, version := range map[string]string{"claude": "2.1.332", "gemini": "0.61.0"} {
		t.Run(preset+", the service answers a page", func(t *testing.T) {
			t.Parallel()
			path, err := filepath.Abs(filepath.Join("..", "..", ".cache", preset, version, "node_modules", ".bin", preset))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := os.Stat(path); err != nil {
				t.Skipf("needs %s %s: make %s", preset, version, preset)
			}
			got := backtested(t, preset, path, responses.Challenge)
			if got.Verdict.Cause != causes.EdgeBlocked || got.Stub == nil || !got.Stub.OK() {
				t.Errorf("got %v, the run against a stub: %+v", got.Verdict.Cause, got.Stub)
			}
		})
	}
	for preset, doctor := range map[string]string{"claude": "claude doctor", "gemini": "gemini -p hello",
		"opencode": "opencode run hello"} {
		t.Run(preset+", the installation is broken", func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), preset)
			if err := os.WriteFile(path, []byte("#!/bin/sh\necho lost a library >&2\nexit 3\n"), 0o755); err != nil {
				t.Fatal(err)
			}
			got := backtested(t, preset, path, responses.OK)
			if got.Verdict.Cause != causes.Agent || !strings.Contains(got.Verdict.Advice, doctor) {
				t.Errorf("got %v, advice %q", got.Verdict.Cause, got.Verdict.Advice)
			}
			if got.Stub == nil || got.Stub.OK() || !strings.Contains(got.Stub.Why, "lost a library") ||
				len(got.Verdict.Evidence) < 2 || got.Verdict.Evidence[1].Role != probe.AgentStub {
				t.Errorf("the run against a stub: %+v, evidence %+v", got.Stub, got.Verdict.Evidence)
			}
		})
	}
}

// signIns are files with a key, below the home of each agent.
var signIns = map[string][2]string{
	"codex":  {"auth.json", `{"OPENAI_API_KEY":"sk-test"}`},
	"claude": {"settings.json", `{"env":{"ANTHROPIC_API_KEY":"sk-test"}}`},
	"gemini": {".gemini/.env", "GEMINI_API_KEY=sk-test\n"},
	"opencode": {".config/opencode/opencode.json", `{"model":"anthropic/claude-haiku-4-5",` +
		`"provider":{"anthropic":{"options":{"apiKey":"sk-test"}}}}`},
}

// backtested runs `netwatchd backtest` with the agent at path, on a service that treats its turns in that way.
func backtested(t *testing.T, preset, path string, behaviour responses.Behaviour) backtestReport {
	t.Helper()
	service := responses.Start()
	t.Cleanup(service.Close)
	service.Behave(behaviour)
	control := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	t.Cleanup(control.Close)
	dir, err := os.MkdirTemp("/var/tmp", "netwatchd-test-") // codex's sandbox refuses a CODEX_HOME under $TMPDIR
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	timeout := "60s" // of every probe: a busy machine must not look like a fault of the network
	if behaviour == responses.StallHeaders {
		timeout = "5s"
	}
	base := service.URL()
	if preset == "codex" {
		base = service.BaseURL()
	}
	config := filepath.Join(dir, "config.yaml")
	for file, text := range map[string]string{
		filepath.Join(dir, "home", signIns[preset][0]): signIns[preset][1],
		config: fmt.Sprintf(`
web: {listen: ["127.0.0.1:1"]}
storage: {path: %q}
defaults: {interval: 2m, timeout: 60s}
resolvers: {direct: []}
controls: [{name: one, url: %q, expect: {status: [204]}}]
services:
  - name: codex
    probes:
      - {name: head, kind: http, target: "%s/responses", method: HEAD, proxy: none,
         expect: {status: [405], headers: {Allow: POST}}}
      - {name: exec, kind: exec, preset: %[5]s, timeout: %[6]s,
         %[5]s: {path: %[7]q, home: %[8]q, base_url: %[4]q}}
`, filepath.Join(dir, "state"), control.URL, service.BaseURL(), base, preset, timeout, path, filepath.Join(dir, "home")),
	} {
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var out, errs bytes.Buffer
	code := execute(t.Context(), []string{"backtest", "-n", "1", "--json", "--config.file=" + config}, nil, &out, &errs)
	var report backtestReport
	schema.Check(t, "backtest", out.String())
	if err := json.Unmarshal(out.Bytes(), &report); err != nil || code != exitFault || len(report.Runs) == 0 {
		t.Fatalf("exit code %d, %v\n%s%s", code, err, &out, &errs)
	}
	return report
}

func installedCodex(t *testing.T, version string) string {
	t.Helper()
	path, err := codex.Find(filepath.Join("..", "..", ".cache", "codex", version, "node_modules", ".bin", "codex"))
	if err != nil {
		t.Skipf("needs codex %s: make codex", version)
	}
	return path
}
