// Package deploy holds the files that install netwatchd. Its tests check them with the tools that read them.
package deploy

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// exposureLimits are ten times the highest allowed exposure of systemd-analyze security; docs/service.md has the
// actual one. The unit that runs an agent must allow what the agent's sandbox needs.
var exposureLimits = map[string]string{"netwatchd.service": "11", "netwatchd@.service": "20"}

// The units are valid, and their exposure is within the limits.
func TestUnits(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("needs systemd-analyze: apt-get install systemd")
	}
	units, err := filepath.Glob("systemd/*")
	if err != nil || len(units) == 0 {
		t.Fatal("no units", err)
	}
	root := rootWithUnits(t)
	for _, unit := range units {
		name := filepath.Base(unit)
		// Without --recursive-errors an unknown key is only a warning; without --man=no a missing manual page is an
		// error.
		verify := exec.Command(analyze, "--root="+root, "--man=no", "--recursive-errors=no", "verify", strings.Replace(name, "@.", "@alice.", 1))
		if out, err := verify.CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("%s: %v\n%s", unit, err, out)
		}
		limit, limited := exposureLimits[name]
		if !limited {
			if filepath.Ext(name) == ".service" {
				t.Errorf("%s has no exposure limit", unit)
			}
			continue
		}
		security := exec.Command(analyze, "security", "--offline=yes", "--no-pager", "--threshold="+limit, "./"+unit)
		if out, err := security.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", unit, err, out)
		}
	}
}

// Each service has limits, so that neither it nor what it runs can take the host's memory, tasks or descriptors.
func TestUnitLimits(t *testing.T) {
	for unit := range exposureLimits {
		text, err := os.ReadFile(filepath.Join("systemd", unit))
		if err != nil {
			t.Fatal(err)
		}
		for _, directive := range []string{"MemoryHigh=", "MemoryMax=", "TasksMax=", "LimitNOFILE="} {
			if !strings.Contains(string(text), "\n"+directive) {
				t.Errorf("%s has no %s", unit, directive)
			}
		}
	}
}

// rootWithUnits is a directory tree with only the units and the programs they name.
func rootWithUnits(t *testing.T) string {
	root := t.TempDir()
	if err := os.CopyFS(filepath.Join(root, "etc/systemd/system"), os.DirFS("systemd")); err != nil {
		t.Fatal(err)
	}
	for _, program := range []string{"usr/bin/netwatchd", "bin/kill"} {
		path := filepath.Join(root, program)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return root
}
