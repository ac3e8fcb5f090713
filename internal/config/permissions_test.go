package config

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestPermissionWarnings(t *testing.T) {
	for _, test := range []struct {
		name               string
		config, token, dir os.FileMode
		target             string
		writable, readable []string // the files that are named
	}{
		{name: "as installed", config: 0o644, token: 0o600, dir: 0o755, target: "https://example.com/"},
		{name: "a secret in the file", config: 0o644, token: 0o600, dir: 0o755, target: "https://example.com/?token=Pl4nt3dPl4nt3d",
			readable: []string{"config.yaml"}},
		{name: "a secret in a file of mode 0640", config: 0o640, token: 0o640, dir: 0o755, target: "https://example.com/?token=Pl4nt3dPl4nt3d"},
		{name: "a token that all can read", config: 0o644, token: 0o644, dir: 0o755, target: "https://example.com/",
			readable: []string{"token"}},
		{name: "writable", config: 0o666, token: 0o602, dir: 0o755, target: "https://example.com/",
			writable: []string{"config.yaml", "token"}},
		{name: "sticky, as /tmp", config: 0o644, token: 0o600, dir: 0o777 | os.ModeSticky, target: "https://example.com/"},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			place := func(name, text string, mode os.FileMode) string {
				path := filepath.Join(dir, name)
				if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
				if err := os.Chmod(path, mode); err != nil {
					t.Fatal(err)
				}
				return path
			}
			token := place("token", "Pl4nt3d", test.token)
			path := place("config.yaml", fmt.Sprintf(`
services: [{name: shop, probes: [{name: head, kind: http, target: %q}]}]
push: {remote_write: [{name: mimir, url: "https://mimir.example/", bearer_token_file: %q}]}
`, test.target, token), test.config)
			if err := os.Chmod(dir, test.dir); err != nil {
				t.Fatal(err)
			}
			c, err := Load(path, nil)
			if err != nil {
				t.Fatal(err)
			}
			var want []PermissionWarning
			for _, name := range []string{"config.yaml", "token"} {
				file := filepath.Join(dir, name)
				for _, writable := range test.writable {
					if writable == name {
						want = append(want, PermissionWarning{"every user of this host can change " + file, "chmod o-w " + file})
					}
				}
				for _, readable := range test.readable {
					if readable == name {
						want = append(want, PermissionWarning{
							"every user of this host can read " + file + ", which holds a secret", "chmod o-r " + file})
					}
				}
			}
			if diff := cmp.Diff(want, c.PermissionWarnings()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// In a directory that everyone can write to, the file can be replaced.
func TestReplaceable(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "config.yaml")
	if err := os.WriteFile(path, []byte("{}"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	want := []PermissionWarning{{"every user of this host can replace " + path, "chmod o-w " + dir}}
	if diff := cmp.Diff(want, permissionWarning(path, false)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
