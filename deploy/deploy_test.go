// Package deploy holds what installs netwatchd; its tests hold these files to what the tools that read them demand.
package deploy

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// exposureLimit is ten times what systemd-analyze security may say: 1.6 is what a daemon with network sockets gets.
const exposureLimit = "20"

func TestUnits(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("needs systemd-analyze: apt-get install systemd")
	}
	units, err := filepath.Glob("systemd/*.service")
	if err != nil || len(units) == 0 {
		t.Fatal("no units", err)
	}
	for _, unit := range units {
		root := rootWith(t, unit)
		// Without --recursive-errors an unknown key is told and forgiven; without --man=no a missing page is not.
		verify := exec.Command(analyze, "--root="+root, "--man=no", "--recursive-errors=no", "verify", filepath.Base(unit))
		if out, err := verify.CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("%s: %v\n%s", unit, err, out)
		}
		security := exec.Command(analyze, "security", "--offline=yes", "--no-pager", "--threshold="+exposureLimit, "./"+unit)
		if out, err := security.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", unit, err, out)
		}
	}
}

// rootWith is a file system with just the unit and the programs that it names.
func rootWith(t *testing.T, unit string) string {
	root := t.TempDir()
	text, err := os.ReadFile(unit)
	if err != nil {
		t.Fatal(err)
	}
	for path, mode := range map[string]os.FileMode{
		"usr/bin/netwatchd": 0o755, "bin/kill": 0o755, "etc/systemd/system/" + filepath.Base(unit): 0o644,
	} {
		path = filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, text, mode); err != nil {
			t.Fatal(err)
		}
	}
	return root
}
