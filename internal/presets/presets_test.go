package presets

import (
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"netwatchd/internal/agent"
	"netwatchd/internal/config"
	"netwatchd/internal/probe"
)

// TestRuns: the configuration knows the same agents, and which of them are run.
func TestRuns(t *testing.T) {
	if len(agents) != len(config.Presets) {
		t.Errorf("%d agents, %d presets", len(agents), len(config.Presets))
	}
	for _, preset := range config.Presets {
		switch a := Named(preset); {
		case a == nil:
			t.Errorf("no agent for %s", preset)
		case config.IsRun(preset) != (a.Run != nil) || (a.NoRun == "") != (a.Run != nil):
			t.Errorf("%s is run: %t, its reason %q", preset, a.Run != nil, a.NoRun)
		}
	}
}

func TestAtEndpoint(t *testing.T) {
	for text, want := range map[string]bool{
		"https://chatgpt.com/backend-api/codex/responses": true, "https://CHATGPT.com/backend-api/codex": true,
		"https://chatgpt.com/backend-api/codexes": false, "https://chatgpt.com/": false, "https://example.com/backend-api/codex": false,
	} {
		u, err := url.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := AtEndpoint(u) != nil; got != want {
			t.Errorf("%s: %v, want %v", text, got, want)
		}
	}
}

// TestRunsOfOddPrograms: in the place of each agent, a program that prints garbage, prints without an end, leaves a child
// or hangs. No run of it succeeds, none lasts longer than its timeout, and none is a fault of the network.
func TestRunsOfOddPrograms(t *testing.T) {
	home := t.TempDir()
	for name, value := range map[string]string{"HOME": home, "CODEX_HOME": home + "/.codex", "CLAUDE_CONFIG_DIR": "", "CODEX_API_KEY": "sk-x",
		"ANTHROPIC_API_KEY": "sk-ant-x", "GEMINI_API_KEY": "x", "GEMINI_CLI_HOME": "", "XDG_CONFIG_HOME": "", "XDG_DATA_HOME": ""} {
		t.Setenv(name, value)
	}
	for _, a := range agents {
		if a.Run == nil {
			continue
		}
		for name, script := range map[string]string{
			"garbage":         "head -c 200000 /dev/urandom",
			"half of JSON":    `printf '{"type":"result","is_error":false,"result":"OK'`,
			"JSON of another": `printf '{"ok":true,"result":"OK"}\n{"type":["result"],"is_error":"no"}\n[1,{"response":"OK"}]\n'`,
			"a lone OK":       "echo OK",
			"endless lines":   "exec yes '{\"type\":\"result\"}'",
			"a child":         "sleep 600 & echo '{'",
			"hangs":           "trap '' TERM; while :; do sleep 1; done",
		} {
			t.Run(a.Name+" "+name, func(t *testing.T) {
				t.Parallel()
				path := filepath.Join(t.TempDir(), a.Name)
				if err := os.WriteFile(path, []byte("#!/bin/sh\ncase $* in --version) echo 99.0.0; exit;; esac\n"+script+"\n"), 0o755); err != nil {
					t.Fatal(err)
				}
				settings := agent.Settings{Path: path, StateDir: t.TempDir()}
				r, ended := probe.Do(t.Context(), &probe.Probe{Spec: probe.Spec{Name: "exec", Kind: probe.KindExec, Timeout: 2 * time.Second},
					Prober: a.Run(settings, nil)})
				t.Logf("%v %.80q", r.Class, r.Why)
				if layer := r.Class.Layer(); !ended || r.OK() || layer != "exec" || r.Class == probe.ExecNetwork ||
					r.Class == probe.ExecNotFound || r.Class == probe.ExecNotLoggedIn {
					t.Errorf("got %v %q", r.Class, r.Why)
				}
				if len(r.Why)+len(r.Output) > 4000 || r.Tokens != nil && r.Tokens.Input+r.Tokens.Output > 0 || r.CostUSD != nil {
					t.Errorf("got %d bytes of words, tokens %v, cost %v", len(r.Why)+len(r.Output), r.Tokens, r.CostUSD)
				}
			})
		}
	}
}
