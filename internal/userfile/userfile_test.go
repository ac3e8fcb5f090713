package userfile

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestFileOfAnotherUser(t *testing.T) {
	if os.Geteuid() == 0 {
		// root may read every file, so only the message is tested
		path := filepath.Join(t.TempDir(), "auth.json")
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(path, 65534, 65534); err != nil {
			t.Fatal(err)
		}
		if got := describe(path, os.ErrPermission).Error(); got != "belongs to uid 65534, and uid 0 may not read it" {
			t.Errorf("got %q", got)
		}
		return
	}
	path := filepath.Join(t.TempDir(), "auth.json")
	if err := os.WriteFile(path, nil, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(path); err == nil || !strings.Contains(err.Error(), "is not readable for uid") {
		t.Errorf("got %v", err)
	}
}

func TestReplace(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	path := filepath.Join(dir, "file")
	for _, text := range []string{"one", "two"} {
		if err := Replace(path, []byte(text)); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != text {
			t.Errorf("got %q, %v; want %q", got, err, text)
		}
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("%v is left, %v; want the file alone", left, err)
	}
}
