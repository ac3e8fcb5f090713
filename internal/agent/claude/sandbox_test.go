package claude

import (
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"netwatchd/internal/claudeconf"
)

// programs makes dir the whole PATH, and leaves no home where a package manager could have a program.
func programs(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	t.Setenv("PATH", dir)
	t.Setenv("HOME", t.TempDir())
	return dir
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
}

func TestPolicy(t *testing.T) {
	write(t, filepath.Join(programs(t), "srt"), "#!/bin/sh\n# sandbox-runtime\n")
	one := []*url.URL{{Scheme: "https", Host: "a.example"}}
	two := append(one, &url.URL{Scheme: "http", Host: "b.example"})
	network := func(text string) string { return `{"sandbox": {"enabled": true, "network": {` + text + `}}}` }
	for name, tt := range map[string]struct {
		settings                         string
		service                          []*url.URL
		asked, proxied, unprobed         bool
		words, grant, advice, startsWith string
	}{
		"off":        {"{}", one, false, false, true, "without a sandbox, because of the default", "", "", ""},
		"no rule":    {network(""), one, false, false, false, "blocks a.example, because no rule", `add "a.example" to`, "Stop untrusted", "srt"},
		"allowed":    {network(`"allowedDomains": ["*.example"]`), one, true, false, false, `allows a.example, because of "*.example"`, "", "allows a.example, but", "srt"},
		"port":       {network(`"allowedDomains": ["b.example:80"]`), two[1:], true, false, false, "allows b.example", "", "", "srt"},
		"one of two": {network(`"allowedDomains": ["a.example"]`), two, true, true, false, "blocks b.example", `add "b.example"`, "", "srt"},
		"denied": {network(`"allowedDomains": ["*"], "deniedDomains": ["a.example"]`), one, false, false, false, "deniedDomains in",
			`remove "a.example" from sandbox.network.deniedDomains`, "Stop untrusted", "srt"},
		"a proxy of the user": {network(`"httpProxyPort": 3128`), one, false, true, false, "whose rules are not known", "", "", "srt"},
	} {
		dir := t.TempDir()
		write(t, filepath.Join(dir, "settings.json"), tt.settings)
		p := policyOf(claudeconf.Setup{Dir: dir, System: t.TempDir()}, tt.service)
		if p.Asked != tt.asked || p.Proxied != tt.proxied || p.Unprobed != tt.unprobed || len(p.Notes) > 0 {
			t.Errorf("%s: got %+v", name, p)
		}
		for _, pair := range [][2]string{{p.Words, tt.words}, {p.Grant, tt.grant}, {p.Advice, tt.advice}, {strings.Join(p.Command, " "), tt.startsWith}} {
			if !strings.Contains(pair[0], pair[1]) {
				t.Errorf("%s: %q is not in %q", name, pair[1], pair[0])
			}
		}
	}
}

// TestRuntimeIsMissing: a sandbox that cannot be started by hand is not probed, and a note says what to install.
func TestRuntimeIsMissing(t *testing.T) {
	dir, home := programs(t), t.TempDir()
	write(t, filepath.Join(home, "settings.json"), `{"sandbox": {"enabled": true}}`)
	for program, want := range map[string]string{"": "srt is missing: npm install -g @anthropic-ai/sandbox-runtime", "#!/bin/sh\n": "srt is another program"} {
		if program != "" {
			write(t, filepath.Join(dir, "srt"), program)
		}
		p := policyOf(claudeconf.Setup{Dir: home, System: dir}, nil)
		if !p.Unprobed || len(p.Command) > 0 || len(p.Notes) != 1 || !strings.Contains(p.Notes[0], want) {
			t.Errorf("%q: got %+v", program, p)
		}
		os.Remove(filepath.Join(dir, "srt"))
	}
}

// TestRuntimeOfNPM: the node beside srt runs it, because a daemon's PATH may lack both.
func TestRuntimeOfNPM(t *testing.T) {
	dir := programs(t)
	write(t, filepath.Join(dir, "node"), "#!/bin/sh\n")
	write(t, filepath.Join(dir, "lib/sandbox-runtime/dist/cli.js"), "#!/usr/bin/env node\n")
	if err := os.Symlink(filepath.Join(dir, "lib/sandbox-runtime/dist/cli.js"), filepath.Join(dir, "srt")); err != nil {
		t.Fatal(err)
	}
	got, err := startRuntime()
	if err != nil || len(got) != 2 || got[0] != filepath.Join(dir, "node") || got[1] != filepath.Join(dir, "srt") {
		t.Errorf("got %q, %v", got, err)
	}
}
