package codexconf

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// write writes files below dir, with DIR replaced by it.
func write(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(strings.ReplaceAll(text, "DIR", dir)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// A project is the repository, from its root to the directory.
func TestProjectFiles(t *testing.T) {
	const open, readOnly = "sandbox_mode = 'workspace-write'\n[sandbox_workspace_write]\nnetwork_access = true\n", "sandbox_mode = 'read-only'\n"
	const trusted = "[projects.'DIR/work']\ntrust_level = 'trusted'\n"
	for name, test := range map[string]struct {
		repository bool
		config     string
		project    map[string]string // the file of codex in a directory
		network    bool
		file       string
	}{
		"the repository's":         {true, trusted, map[string]string{"work": open}, true, "work/.codex/config.toml"},
		"the directory's":          {true, trusted, map[string]string{"work/sub": open}, true, "work/sub/.codex/config.toml"},
		"the innermost wins":       {true, trusted, map[string]string{"work": open, "work/sub": readOnly}, false, "work/sub/.codex/config.toml"},
		"above, and no repository": {false, trusted, map[string]string{"work": open}, false, ""},
		"a trusted repository, an untrusted directory": {true, trusted + "[projects.'DIR/work/sub']\ntrust_level = 'untrusted'\n",
			map[string]string{"work": open}, true, "work/.codex/config.toml"},
		"nothing is trusted": {true, "", map[string]string{"work": open, "work/sub": open}, false, ""},
	} {
		dir := t.TempDir()
		write(t, dir, map[string]string{"home/config.toml": test.config, "work/sub/file": ""})
		if test.repository {
			write(t, dir, map[string]string{"work/.git/HEAD": ""})
		}
		for at, text := range test.project {
			write(t, dir, map[string]string{at + "/.codex/config.toml": text})
		}
		s := Setup{Home: filepath.Join(dir, "home"), System: filepath.Join(dir, "etc")}
		p := s.policyOf(s.Files().In(filepath.Join(dir, "work", "sub"), s), limits{})
		if file := strings.TrimPrefix(strings.TrimPrefix(p.File, dir), "/"); p.Network != test.network || file != test.file {
			t.Errorf("%s: got %v by %q, want %v by %q", name, p.Network, file, test.network, test.file)
		}
	}
}

// Tables of several files are merged, and the strongest file that has a value sets it.
func TestGet(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{
		"etc/managed_config.toml": "a = 'managed'\n",
		"home/config.toml":        "a = 'user'\nb = 'user'\n[t]\nx = 1\n",
		"etc/config.toml":         "a = 'system'\nc = 3\n[t]\nx = 2\ny = 'system'\n",
	})
	c := Setup{Home: filepath.Join(dir, "home"), System: filepath.Join(dir, "etc")}.Configuration()
	for keys, want := range map[string]string{
		"a": "managed, etc/managed_config.toml", "b": "user, home/config.toml", "t.y": "system, etc/config.toml",
		"c": ", etc/config.toml", "t.x": ", home/config.toml", "t.x.z": ", ", "none": ", ",
	} {
		text, source := c.Text(strings.Split(keys, ".")...)
		if got := text + ", " + strings.TrimPrefix(strings.TrimPrefix(source, dir), "/"); got != want {
			t.Errorf("%s: got %s, want %s", keys, got, want)
		}
	}
}
