package agent

import (
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"netwatchd/internal/clientrules"
)

func TestClientAt(t *testing.T) {
	dir := t.TempDir()
	script := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
		return path
	}
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o755); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	circle := filepath.Join(dir, "circle")
	script("circle", "#!"+circle+"\n")
	launcher := script("pkg/bin/codex.js", "#!/usr/bin/env node\n")
	link := filepath.Join(dir, "linked")
	if err := os.Symlink(launcher, link); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		path     string
		resolver clientrules.Resolver
		why      string // part of it
	}{
		{self, clientrules.Go, "looked up with go, because of how"},
		{script("by-go", "#!"+self+"\n"), clientrules.Go, "because of how"},
		{script("by-script", "#! "+script("inner", "#!"+self+"\n")+" -x\n"), clientrules.Go, "because of how"},
		{script("shell", "#!/bin/sh\nexec /opt/codex \"$@\"\n"), clientrules.Musl, "as the released codex does"},
		{script("env-shell", "#!/usr/bin/env bash\n"), clientrules.Musl, "a shell script that starts another program"},
		{link, clientrules.Musl, "only starts the native program"},
		{script("lost", "#!/nowhere/python\n"), clientrules.Musl, "its interpreter is not on the PATH"},
		{circle, clientrules.Musl, "its interpreters start each other"},
		{script("text", "hello"), clientrules.Musl, "not an ELF program"},
		{script("short", "\x7fELF\x02"), clientrules.Musl, "truncated"},
		{script("empty", ""), clientrules.Musl, "not an ELF program"},
		{script("long", "#!"+strings.Repeat("x", 5000)), clientrules.Musl, "not on the PATH"},
		{fifo, clientrules.Musl, "it is a named pipe"},
		{dir, clientrules.Musl, "it is a directory"},
		{filepath.Join(dir, "nothing"), clientrules.Musl, "cannot be opened"},
	} {
		client, why := Named("codex").ClientAt(test.path, Version{})
		if client.Name != "codex" || client.Resolver != test.resolver || !strings.Contains(why, test.why) {
			t.Errorf("%s: got %v, %q, want %v, %q", test.path, client.Resolver, why, test.resolver, test.why)
		}
	}
	if node, err := exec.LookPath("node"); err == nil {
		client, why := Named("codex").ClientAt(script("agent", "#!/usr/bin/env node\n"), Version{})
		if byNode, _ := Named("codex").ClientAt(node, Version{}); client.Resolver != byNode.Resolver {
			t.Errorf("a script of node: %v (%s), node itself: %v", client.Resolver, why, byNode.Resolver)
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
