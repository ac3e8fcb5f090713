package doctor

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"netwatchd/internal/config"
)

// TestAnotherAgent: with Claude Code alone, nobody is told to install codex.
func TestAnotherAgent(t *testing.T) {
	home, bin := t.TempDir(), t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("PATH", bin)
	t.Setenv("CLAUDE_CONFIG_DIR", "")
	t.Setenv("ANTHROPIC_API_KEY", "sk-ant-key")
	t.Setenv("ANTHROPIC_BASE_URL", "http://127.0.0.1:1")
	if err := os.WriteFile(filepath.Join(bin, "claude"), []byte("#!/bin/sh\necho '2.1.332 (Claude Code)'\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	c := config.Builtin()
	c.Storage.Path = t.TempDir()
	e := &examination{Installation: Installation{Config: c}}
	var got []string
	for _, f := range e.agents(t.Context()) {
		got = append(got, f.Check+": "+f.Message)
	}
	text := strings.Join(got, "\n")
	for _, want := range []string{"claude: 2.1.332", "where nothing listens", "sign-in: this user is signed in"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in:\n%s", want, text)
		}
	}
	if strings.Contains(text, "codex") {
		t.Errorf("codex is missed:\n%s", text)
	}
}
