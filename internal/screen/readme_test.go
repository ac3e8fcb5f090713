package screen

import (
	"bytes"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"netwatchd/internal/diagnose"
	"netwatchd/internal/probe"
	"netwatchd/internal/watch"
)

// What README shows is what the commands print, numbers and addresses aside.
func TestReadmeSamples(t *testing.T) {
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	readme := words(string(text))
	wide := Options{Width: 100}
	samples := map[string]func(*bytes.Buffer) error{
		"check": func(b *bytes.Buffer) error { return Check(b, status(healthyClosed()), wide) },
		"check in the sandbox": func(b *bytes.Buffer) error {
			here := &watch.Status{At: noon, Sandboxed: watch.Sandboxed{Denied: true,
				Signals: []string{"socket_inet_eperm", "env_network_disabled"}}}
			return Inside(b, here, status(healthyClosed()), time.Second, nil, wide)
		},
		"backtest": func(b *bytes.Buffer) error {
			run := probe.Result{Spec: probe.Spec{Name: "exec", Kind: probe.KindExec}, Class: probe.OK, Elapsed: .3,
				Facts: probe.Facts{Tokens: &probe.TokensSpent{Input: 1000, Output: 239}}}
			denied := run
			denied.Vantage, denied.Class, denied.Tokens = probe.FromSandbox, probe.ExecNetwork, nil
			denied.Why = "stream disconnected before completion: error sending request for url " +
				"(http://127.0.0.1:40411/backend-api/codex/responses)"
			if err := BacktestHeading(b, wide); err != nil {
				return err
			}
			for i, r := range []probe.Result{run, denied} {
				if err := BacktestRun(b, i+1, r, diagnose.WantClosed, wide); err != nil {
					return err
				}
			}
			return BacktestEnd(b, Backtest{HostOK: 1, Host: 1, Sandbox: 1, Want: diagnose.WantClosed,
				Verdict: healthyClosed().Verdict}, wide)
		},
	}
	for name, print := range samples {
		var b bytes.Buffer
		if err := print(&b); err != nil {
			t.Fatal(err)
		}
		if want := words(b.String()); !strings.Contains(readme, want) {
			t.Errorf("README does not show what %s prints:\n%s", name, b.String())
		}
	}
}

// words are the words of a text without its numbers, whatever its line breaks.
func words(text string) string {
	text = regexp.MustCompile(`\d+(\.\d+)*`).ReplaceAllString(text, "N")
	return strings.Join(strings.Fields(text), " ")
}
