// Package deploy holds what installs netwatchd; its tests hold these files to what the tools that read them demand.
package deploy

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
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

type dashboard struct {
	UID, Title string
	Editable   bool
	Panels     []struct {
		ID                       int
		Title, Description, Type string
		Datasource               struct{ UID string }
		Targets                  []struct{ Expr, LegendFormat string }
		FieldConfig              struct {
			Defaults struct{ Unit string }
		}
	}
}

var metricName = regexp.MustCompile(`netwatchd_\w+`)

func TestDashboards(t *testing.T) {
	documented, err := os.ReadFile("../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("grafana/*.json")
	if err != nil || len(files) == 0 {
		t.Fatal("no dashboards", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var d dashboard
		if err := json.Unmarshal(text, &d); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if d.UID == "" || d.Title == "" || d.Editable {
			t.Errorf("%s: uid %q, title %q, editable %v; want both, and not editable", file, d.UID, d.Title, d.Editable)
		}
		ids := make(map[int]bool)
		for _, p := range d.Panels {
			if ids[p.ID] || p.Title == "" || p.Description == "" || p.FieldConfig.Defaults.Unit == "" || p.Datasource.UID != "${datasource}" {
				t.Errorf("%s: panel %d %q: want its own id, title, description, unit, and the data source chosen above", file, p.ID, p.Title)
			}
			ids[p.ID] = true
			for _, target := range p.Targets {
				if strings.Contains(target.Expr, "rate(") && !strings.Contains(target.Expr, "[$__rate_interval]") {
					t.Errorf("%s: panel %q: a rate over a fixed range: %s", file, p.Title, target.Expr)
				}
			}
		}
		for _, name := range metricName.FindAllString(string(text), -1) {
			if !strings.Contains(string(documented), "`"+name+"`") {
				t.Errorf("%s: %s is not in docs/metrics.md", file, name)
			}
		}
	}
}
