package statusline_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"netwatchd/internal/causes"
	"netwatchd/internal/diagnose"
	"netwatchd/internal/overview"
	"netwatchd/internal/statusfile"
	"netwatchd/internal/statusline"
	"netwatchd/internal/watch"
)

var noon = time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)

func of(name string, c causes.Cause) watch.ServiceStatus {
	return watch.ServiceStatus{Verdict: diagnose.Verdict{Service: name, Cause: c}, Since: noon.Add(-3*time.Minute - 12*time.Second)}
}

// The line is that of the file that the daemon writes.
func TestLine(t *testing.T) {
	host := []overview.HostFault{{Cause: causes.HostOffline, Services: []string{"codex", "claude"}}}
	for _, test := range []struct {
		want   string
		code   int
		faults []overview.HostFault
		all    []watch.ServiceStatus
	}{
		{"✓ codex", 0, nil, []watch.ServiceStatus{of("codex", causes.Healthy)}},
		{"✓ codex,claude", 0, nil, []watch.ServiceStatus{of("codex", causes.Healthy), of("claude", causes.Healthy)}},
		{"✓ 4 services", 0, nil, []watch.ServiceStatus{of("a", causes.Healthy), of("b", causes.Healthy), of("c", causes.Healthy),
			of("d", causes.Healthy)}},
		{"✗ codex upstream 3 min  ! gemini degraded 3 min  ✓ claude", 1, nil,
			[]watch.ServiceStatus{of("gemini", causes.Degraded), of("claude", causes.Healthy), of("codex", causes.Upstream)}},
		{"✗ codex,claude host_offline 3 min  ✓ wiki", 1, host,
			[]watch.ServiceStatus{of("codex", causes.HostOffline), of("wiki", causes.Healthy), of("claude", causes.HostOffline)}},
		{"✗ a upstream 3 min  ✗ b account 3 min  ✗ c agent 3 min  +2", 1, nil, []watch.ServiceStatus{of("a", causes.Upstream),
			of("b", causes.Account), of("c", causes.Agent), of("d", causes.Stream), of("e", causes.Stream)}},
		{"… codex starting 3 min", 2, nil, []watch.ServiceStatus{of("codex", causes.Starting)}},
		{"! codex inconclusive 3 min", 2, nil, []watch.ServiceStatus{of("codex", causes.Inconclusive)}},
		{"! codex self_sandboxed 3 min", 1, nil, []watch.ServiceStatus{of("codex", causes.SelfSandboxed)}},
		{"? netwatchd: no service", 0, nil, nil},
		{"✓ ?]0;owned?", 0, nil, []watch.ServiceStatus{of("\x1b]0;owned\x07", causes.Healthy)}},
	} {
		path := filepath.Join(t.TempDir(), "status.json")
		if err := statusfile.Write(path, &watch.Status{At: noon, Services: test.all, HostFaults: test.faults}); err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		code := statusline.Print(&b, []string{path}, statusline.Options{Now: noon.Add(time.Second)})
		if b.String() != test.want+"\n" || code != test.code {
			t.Errorf("got  %q, %d\nwant %q, %d", b.String(), code, test.want, test.code)
		}
	}
}

// Whatever the file is, there is one line and a code, and nothing blocks.
func TestWithoutAStatus(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	old, err := json.Marshal(watch.Status{At: noon.Add(-5 * time.Minute), Services: []watch.ServiceStatus{of("codex", causes.Upstream)}})
	if err != nil {
		t.Fatal(err)
	}
	future, err := json.Marshal(watch.Status{At: noon.Add(time.Hour), Services: []watch.ServiceStatus{of("codex", causes.Healthy)}})
	if err != nil {
		t.Fatal(err)
	}
	fresh, err := json.Marshal(watch.Status{At: noon, Services: []watch.ServiceStatus{of("codex", causes.Healthy)}})
	if err != nil {
		t.Fatal(err)
	}
	none := filepath.Join(dir, "none")
	for _, test := range []struct {
		paths []string
		want  string
		code  int
	}{
		{nil, "? netwatchd is not running", 2},
		{[]string{none}, "? netwatchd is not running", 2},
		{[]string{filepath.Join(file("file", ""), "below")}, "? netwatchd: its status cannot be read", 2},
		{[]string{dir}, "? netwatchd: its status cannot be read", 2},
		{[]string{file("text", "not JSON")}, "? netwatchd: its status cannot be read", 2},
		{[]string{file("empty", "{}")}, "? netwatchd: its status cannot be read", 2},
		{[]string{file("newer", `{"at":"2026-11-28T12:00:00Z","services":[{"cause":"moon_phase"}]}`)}, "? netwatchd: its status cannot be read", 2},
		{[]string{file("old", string(old))}, "? netwatchd stopped 5 min ago", 1},
		{[]string{file("future", string(future))}, "? netwatchd: its status cannot be read", 2},
		{[]string{file("future", string(future)), file("fresh", string(fresh))}, "✓ codex", 0},
		{[]string{none, file("old", string(old)), file("fresh", string(fresh))}, "✓ codex", 0},
	} {
		var b strings.Builder
		code := statusline.Print(&b, test.paths, statusline.Options{Now: noon})
		if b.String() != test.want+"\n" || code != test.code {
			t.Errorf("%v: got %q, %d; want %q, %d", test.paths, b.String(), code, test.want, test.code)
		}
	}
}

func TestColorAndASCII(t *testing.T) {
	path := filepath.Join(t.TempDir(), "status.json")
	all := []watch.ServiceStatus{of("codex", causes.Upstream), of("claude", causes.Healthy)}
	if err := statusfile.Write(path, &watch.Status{At: noon, Services: all}); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	statusline.Print(&b, []string{path}, statusline.Options{Now: noon, Color: true, ASCII: true})
	if want := "\x1b[91mx codex upstream 3 min\x1b[0m  \x1b[92m+ claude\x1b[0m\n"; b.String() != want {
		t.Errorf("got %q, want %q", b.String(), want)
	}
}

// Only a command line whose file is known without the configuration is answered early.
func TestFiles(t *testing.T) {
	nothing := func(string) string { return "" }
	for _, test := range []struct {
		args []string
		env  map[string]string
		want string
	}{
		{[]string{"netwatchd", "status", "--line", "--status.file=/x"}, nil, "/x"},
		{[]string{"netwatchd", "status", "--line"}, map[string]string{"NETWATCHD_STATUS_FILE": "/y"}, "/y"},
		{[]string{"netwatchd", "status", "--line", "--status.file="}, nil, ""},
		{[]string{"netwatchd", "status", "--line", "--config.file=/x"}, nil, ""},
		{[]string{"netwatchd", "status", "--line"}, map[string]string{"NETWATCHD_CONFIG_FILE": "/x"}, ""},
		{[]string{"netwatchd", "status", "--line", "--json"}, nil, ""},
		{[]string{"netwatchd", "status", "--status.file=/x"}, nil, ""},
		{[]string{"netwatchd", "check", "--line"}, nil, ""},
		{[]string{"netwatchd"}, nil, ""},
		{nil, nil, ""},
	} {
		getenv := nothing
		if test.env != nil {
			getenv = func(name string) string { return test.env[name] }
		}
		files, ok := statusline.Files(test.args, getenv)
		if ok != (test.want != "") || ok && (len(files) != 1 || files[0] != test.want) {
			t.Errorf("%q: got %q, %v; want %q", test.args, files, ok, test.want)
		}
	}
}
