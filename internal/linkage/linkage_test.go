package linkage

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"netwatchd/internal/clientrules"
)

func TestResolverOf(t *testing.T) {
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
		why      string // part of the error
	}{
		{self, clientrules.Go, ""},
		{script("by-go", "#!"+self+"\n"), clientrules.Go, ""},
		{script("by-script", "#! "+script("inner", "#!"+self+"\n")+" -x\n"), clientrules.Go, ""},
		{script("shell", "#!/bin/sh\nexec /opt/codex \"$@\"\n"), 0, "a shell script that starts another program"},
		{script("env-shell", "#!/usr/bin/env bash\n"), 0, "a shell script that starts another program"},
		{link, 0, "only starts the native program"},
		{script("lost", "#!/nowhere/python\n"), 0, "its interpreter is not on the PATH"},
		{circle, 0, "its interpreters start each other"},
		{script("text", "hello"), 0, "not an ELF program"},
		{script("short", "\x7fELF\x02"), 0, "truncated"},
		{script("empty", ""), 0, "not an ELF program"},
		{script("long", "#!"+strings.Repeat("x", 5000)), 0, "not on the PATH"},
		{fifo, 0, "it is a named pipe"},
		{dir, 0, "it is a directory"},
		{filepath.Join(dir, "nothing"), 0, "cannot be opened"},
	} {
		r, err := ResolverOf(test.path, "codex.js")
		if r != test.resolver || (err == nil) != (test.why == "") || err != nil && !strings.Contains(err.Error(), test.why) {
			t.Errorf("%s: got %v, %v, want %v, %q", test.path, r, err, test.resolver, test.why)
		}
	}
	if node, err := exec.LookPath("node"); err == nil {
		r, err := ResolverOf(script("agent", "#!/usr/bin/env node\n"), "")
		if byNode, nodeErr := ResolverOf(node, ""); r != byNode || err != nil || nodeErr != nil {
			t.Errorf("a script of node: %v, %v, node itself: %v, %v", r, err, byNode, nodeErr)
		}
	}
}
