package sandbox

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"netwatchd/internal/lab/parts"
	"netwatchd/internal/lab/stack"
)

// playClaude prepares a scene with Claude Code's settings and the real sandbox-runtime, in which claude runs commands.
func playClaude(t *testing.T) *scene {
	t.Helper()
	srt := parts.Runtime(t)
	dir, err := os.MkdirTemp("/var/tmp", "netwatchd-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	s := &scene{Stack: stack.Start(t), t: t, dir: dir, codex: filepath.Join(dir, "bin"),
		program: filepath.Join(os.Getenv("NETWATCHD_STACK"), "netwatchd")}
	for _, made := range []string{s.codex, filepath.Dir(s.settings())} {
		if err := os.MkdirAll(made, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	s.install(srt)
	return s
}

// install makes srt the program at path.
func (s *scene) install(path string) {
	s.t.Helper()
	link := filepath.Join(s.codex, "srt")
	os.Remove(link)
	if path == "" {
		return
	}
	if err := os.Symlink(path, link); err != nil {
		s.t.Fatal(err)
	}
}

// script makes srt a shell script.
func (s *scene) script(text string) {
	s.t.Helper()
	s.install("")
	if err := os.WriteFile(filepath.Join(s.codex, "srt"), []byte("#!/bin/sh\n"+text), 0o755); err != nil {
		s.t.Fatal(err)
	}
}

// settings is the user's settings file of claude.
func (s *scene) settings() string { return filepath.Join(s.dir, "home", ".claude", "settings.json") }

func (s *scene) set(text string) {
	s.t.Helper()
	os.Remove(s.settings())
	if text == "" {
		return
	}
	if err := os.WriteFile(s.settings(), []byte(text), 0o644); err != nil {
		s.t.Fatal(err)
	}
}

// claude is the --config.file of a service that claude uses.
func (s *scene) claude() string {
	return "--config.file=" + s.Config("      - {name: exec, kind: exec, preset: claude, status: {enabled: false}}", "    sandbox: {}")
}

const (
	on      = `{"sandbox": {"enabled": true}}`
	allowed = `{"sandbox": {"enabled": true, "network": {"allowedDomains": ["chatgpt.com"]}}}`
	noRule  = `{"network":{"allowedDomains":[],"deniedDomains":[]},"filesystem":{"denyRead":[],"allowWrite":["."],"denyWrite":[]}}`
)

// TestClaudeTwin: what the settings allow, and what the real sandbox does with them.
func TestClaudeTwin(t *testing.T) {
	s := playClaude(t)
	real := parts.Runtime(t)
	other := filepath.Join(s.dir, "other.json") // of a sandbox that does not follow claude's settings
	other1 := fmt.Sprintf("# of sandbox-runtime, with other rules\nshift 2; exec %s --settings %s \"$@\"\n", real, other)
	for _, tt := range []struct {
		name, settings string
		rules          string // of the sandbox; empty: those of the settings
		cause, class   string // the verdict, and how a request in the sandbox ends; empty: there is no sandbox probe
		derived        string // what config show says
	}{
		{"no settings", "", "", "healthy", "", "the agent's commands run without a sandbox, because of the default"},
		{"off", `{"sandbox": {"enabled": false}}`, "", "healthy", "", "without a sandbox, because of ~/.claude/settings.json"},
		{"on", on, "", "healthy", denied, "blocks chatgpt.com, because no rule allows it"},
		{"allowed", allowed, "", "healthy", "ok",
			`allows chatgpt.com, because of "chatgpt.com" in sandbox.network.allowedDomains in ~/.claude/settings.json`},
		{"allowed, another port", strings.Replace(allowed, "chatgpt.com", "chatgpt.com:8443", 1), "", "healthy", denied,
			"because no rule allows it"},
		{"everything", strings.Replace(allowed, "chatgpt.com", "*", 1), "", "healthy", "ok", `because of "*"`},
		{"allowed to fetch", `{"sandbox": {"enabled": true}, "permissions": {"allow": ["WebFetch(domain:chatgpt.com)"]}}`, "",
			"healthy", "ok", "in permissions.allow in"},
		{"denied", strings.Replace(allowed, `"network": {`, `"network": {"deniedDomains": ["chatgpt.com"], `, 1), "", "healthy",
			denied, "in sandbox.network.deniedDomains in"},
		{"a hole", on, strings.Replace(noRule, `"allowedDomains":[`, `"allowedDomains":["chatgpt.com"`, 1), "sandbox_open", "ok", ""},
		{"denied although allowed", allowed, noRule, "sandbox", denied, ""},
	} {
		s.set(tt.settings)
		s.install(real)
		if tt.rules != "" {
			if err := os.WriteFile(other, []byte(tt.rules), 0o644); err != nil {
				t.Fatal(err)
			}
			s.script(other1)
		}
		e := s.netwatchd("check", s.claude(), "--json")
		got := e.status(t).Services[0]
		head, found := got.inside("head")
		if got.Cause != tt.cause || found != (tt.class != "") || head.Class != tt.class {
			t.Errorf("%s: %s (%s), head inside %q %s\n%s", tt.name, got.Cause, got.Title, head.Class, head.Why, e.Stderr)
		}
		if tt.class == denied && !strings.Contains(head.Why, "blocked-by-allowlist") {
			t.Errorf("%s: head inside: %s", tt.name, head.Why)
		}
		if tt.cause != "healthy" && !strings.Contains(got.Advice, "chatgpt.com") {
			t.Errorf("%s: advice %q", tt.name, got.Advice)
		}
		if shown := s.netwatchd("config", "show", s.claude()); !strings.Contains(shown.Stdout, tt.derived) {
			t.Errorf("%s: %q is not shown:\n%s", tt.name, tt.derived, shown.Stdout)
		}
	}
}

// TestClaudeBadInput: files and programs that are not as they should be lead to a clear note, or to the agent's
// installation, and to nothing else.
func TestClaudeBadInput(t *testing.T) {
	s := playClaude(t)
	for _, tt := range []struct {
		name   string
		inject func()
		cause  string
		says   string // a note or the reason
	}{
		{"no JSON", func() { s.set("{\n\"sandbox\": {enabled") }, "healthy", "~/.claude/settings.json is not valid JSON at line 2"},
		{"another type", func() { s.set(`{"sandbox": {"enabled": "yes"}}`) }, "healthy", "sandbox.enabled is a string where it must be a bool"},
		{"a named pipe", func() {
			s.set("")
			if err := unix.Mkfifo(s.settings(), 0o644); err != nil {
				t.Fatal(err)
			}
		}, "healthy", "~/.claude/settings.json is a named pipe"},
		{"huge", func() { s.set(on + strings.Repeat(" ", 2<<20)) }, "healthy", "~/.claude/settings.json"},
		{"no srt", func() { s.install("") }, "healthy", "srt is missing: npm install -g @anthropic-ai/sandbox-runtime"},
		{"another srt", func() { s.script("echo subtitles") }, "healthy", "srt is another program"},
		{"garbage", func() { s.script("# of sandbox-runtime\nhead -c 3000000 /dev/urandom") }, "agent", "its output is not netwatchd's"},
		{"hangs and forks", func() { s.script("# of sandbox-runtime\nsleep 1000 & sleep 1000") }, "agent", ""},
		{"refuses", func() { s.script("# of sandbox-runtime\necho Error: no bwrap >&2; exit 1") }, "agent", "Error: no bwrap"},
	} {
		s.set(on)
		s.install(parts.Runtime(t))
		tt.inject()
		config := "--config.file=" + s.Config("      - {name: exec, kind: exec, preset: claude, status: {enabled: false}}",
			"    sandbox: {timeout: 8s}")
		e := s.netwatchd("check", config, "--json")
		got := e.status(t)
		head, _ := got.Services[0].inside("head")
		if got.Services[0].Cause != tt.cause || !strings.Contains(strings.Join(got.Notes, "\n")+head.Why, tt.says) {
			t.Errorf("%s: %s (%s)\nnotes: %q\nhead inside: %s", tt.name, got.Services[0].Cause, got.Services[0].Title, got.Notes, head.Why)
		}
	}
	if out, _ := exec.Command("pgrep", "-f", "^sleep 1000$").Output(); len(out) > 0 {
		t.Errorf("left: %s", out)
	}
}

// TestCheckInsideClaude: netwatchd run by a command of claude in its sandbox.
func TestCheckInsideClaude(t *testing.T) {
	s := playClaude(t)
	inside := func(rules string, command ...string) ending {
		file := filepath.Join(s.dir, "srt.json")
		if err := os.WriteFile(file, []byte(rules), 0o644); err != nil {
			t.Fatal(err)
		}
		return s.run(slices.Concat([]string{filepath.Join(s.codex, "srt"), "--settings", file, "--", s.program}, command)...)
	}
	s.set(on)
	d := s.Daemon("--config.file="+s.Config("    sandbox: {want: any, command: [env]}"), "--storage.path="+filepath.Join(s.dir, "storage"))
	d.AwaitReady()
	d.Await(patience, func() error { return standsAt(s, "healthy") })
	config := s.claude() // in the same file, which the daemon has read
	for _, command := range []string{"check", "status"} {
		e := inside(noRule, s.stored([]string{command, config, "--json"})...)
		got := e.status(t)
		if e.Code != 1 || got.Services[0].Cause != "self_sandboxed" || !got.Sandboxed.Denied ||
			!slices.Contains(got.Sandboxed.Signals, "env_sandbox_runtime") {
			t.Errorf("%s: exit code %d\n%s\n%s", command, e.Code, e.Stdout, e.Stderr)
		}
		says(t, inside(noRule, s.stored([]string{command, config})...), "It is the sandbox: network access is denied here and works on the host.",
			"SANDBOX_RUNTIME=1", "blocks codex", `add "chatgpt.com" to sandbox.network.allowedDomains in ~/.claude/settings.json`)
	}
	s.set(allowed)
	says(t, inside(strings.Replace(noRule, `"allowedDomains":[`, `"allowedDomains":["chatgpt.com"`, 1), s.stored([]string{"check", config})...),
		"the proxy allows codex", "SANDBOX_RUNTIME=1")
}

// TestClaudeDoctor: the sandbox is reported with what the settings want.
func TestClaudeDoctor(t *testing.T) {
	s := playClaude(t)
	for settings, says := range map[string]string{on: "its network is closed, as configured", allowed: "its network is open, as configured"} {
		s.set(settings)
		e := s.netwatchd("doctor", s.claude(), "--json")
		var report struct {
			Findings []struct{ Check, Says string }
		}
		if err := json.Unmarshal([]byte(e.Stdout), &report); err != nil {
			t.Fatalf("%v\n%s%s", err, e.Stdout, e.Stderr)
		}
		i := slices.IndexFunc(report.Findings, func(f struct{ Check, Says string }) bool { return f.Check == "sandbox" })
		if i < 0 || !strings.Contains(report.Findings[i].Says, says) {
			t.Errorf("%s: want %q\n%s", settings, says, e.Stdout)
		}
	}
}
