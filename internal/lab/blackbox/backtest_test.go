package blackbox

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"netwatchd/internal/lab/schema"
	"netwatchd/internal/lab/stack"
)

// While someone else answers in place of the service, backtest does not run the agent, and says what would be sent to
// whom. With --allow-interception it does.
func TestBacktestUnderInterception(t *testing.T) {
	s := stack.Start(t)
	s.ServiceCertificate(stack.ByAnotherAuthority)
	ran := filepath.Join(s.Dir, "ran")
	claude := filepath.Join(s.Dir, "claude")
	home := filepath.Join(s.Dir, "claude-home")
	for path, text := range map[string]string{
		claude:                               "#!/bin/sh\ncase $1 in -p) echo ran >> " + ran + ";; esac\nexit 3\n",
		filepath.Join(home, "settings.json"): `{"env":{"ANTHROPIC_API_KEY":"sk-ant-hunter2"}}`,
	} {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	config := "--config.file=" + s.Config(fmt.Sprintf(
		"      - {name: agent, kind: exec, preset: claude, interval: 1h, claude: {path: %q, home: %q}}", claude, home))

	e := s.Run("backtest", config, "-n", "1")
	if _, err := os.Stat(ran); e.Code != 1 || err == nil || e.Stdout != "" {
		t.Errorf("exit code %d, the agent was run: %v\n%s%s", e.Code, err == nil, e.Stdout, e.Stderr)
	}
	for _, want := range []string{"the agent was not run", "Another Authority", "your API key", "]:443, which has a certificate",
		"--allow-interception"} {
		if !strings.Contains(e.Stderr, want) {
			t.Errorf("%q is not in: %s", want, e.Stderr)
		}
	}

	e = s.Run("backtest", config, "-n", "1", "--json")
	schema.Check(t, "backtest", e.Stdout)
	var report struct {
		Runs    []any
		NotRun  string `json:"not_run"`
		Verdict struct{ Cause string }
	}
	if err := json.Unmarshal([]byte(e.Stdout), &report); err != nil || e.Code != 1 || len(report.Runs) != 0 ||
		report.Verdict.Cause != "interception" || !strings.Contains(report.NotRun, "your API key") {
		t.Errorf("%v, exit code %d\n%s", err, e.Code, e.Stdout)
	}

	e = s.Run("backtest", config, "-n", "1", "--allow-interception")
	if _, err := os.Stat(ran); err != nil || e.Code != 1 || !strings.Contains(e.Stderr, "your API key would go to") {
		t.Errorf("with --allow-interception: exit code %d, %v\n%s%s", e.Code, err, e.Stdout, e.Stderr)
	}
	if all := e.Stdout + e.Stderr; strings.Contains(all, "hunter2") {
		t.Errorf("the key is shown:\n%s", all)
	}
}
