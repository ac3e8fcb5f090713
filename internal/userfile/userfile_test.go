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
