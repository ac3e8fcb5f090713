package claudeconf

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"netwatchd/internal/probe/probetest"
)

// settled writes the files, and returns their policy.
func settled(t *testing.T, files map[string]string) Policy { return setup(t, files).Policy() }

func setup(t *testing.T, files map[string]string) Setup {
	t.Helper()
	root := t.TempDir()
	probetest.WriteFiles(t, root, files)
	return Setup{Dir: filepath.Join(root, "user"), System: filepath.Join(root, "system")}
}

const (
	user    = "user/settings.json"
	managed = "system/managed-settings.json"
	dropIn  = "system/managed-settings.d/10.json"
)

func TestPolicy(t *testing.T) {
	on := `{"sandbox": {"enabled": true, "network": {"allowedDomains": ["a.example"]}}}`
	for name, tt := range map[string]struct {
		files   map[string]string
		enabled bool
		by      string
		allowed []string
	}{
		"nothing":                  {nil, false, "", nil},
		"user":                     {map[string]string{user: on}, true, user, []string{"a.example"}},
		"administrator wins":       {map[string]string{user: on, managed: `{"sandbox": {"enabled": false}}`}, false, managed, []string{"a.example"}},
		"drop-in wins":             {map[string]string{managed: `{"sandbox": {"enabled": false}}`, dropIn: on}, true, dropIn, []string{"a.example"}},
		"lists are merged":         {map[string]string{user: on, managed: strings.Replace(on, "a.", "b.", 1)}, true, managed, []string{"a.example", "b.example"}},
		"only the administrator's": {map[string]string{user: on, managed: `{"sandbox": {"network": {"allowManagedDomainsOnly": true, "allowedDomains": ["b.example"]}}}`}, true, user, []string{"b.example"}},
		"of a user only":           {map[string]string{user: strings.Replace(on, `"allowedDomains"`, `"allowManagedDomainsOnly": true, "allowedDomains"`, 1)}, true, user, []string{"a.example"}},
		"WebFetch":                 {map[string]string{user: `{"permissions": {"allow": ["WebFetch(domain:c.example)", "WebFetch", "Bash(ls)"]}}`}, false, "", []string{"c.example"}},
	} {
		p := settled(t, tt.files)
		var allowed []string
		for _, r := range p.Allowed {
			allowed = append(allowed, r.Pattern)
		}
		if p.Enabled != tt.enabled || !strings.HasSuffix(p.File, tt.by) || !slices.Equal(allowed, tt.allowed) || len(p.Notes) > 0 {
			t.Errorf("%s: got %+v", name, p)
		}
	}
}

// TestFiles: which files count, and which of them wins, was tried with the real claude.
func TestFiles(t *testing.T) {
	const later = "system/managed-settings.d/B.json"
	for name, tt := range map[string]struct {
		files map[string]string
		env   []string
		note  string
	}{
		"in the order of bytes": {files: map[string]string{user: `{"env": {"A": "1"}}`, "system/managed-settings.d/a.json": `{"env": {"A": 4}}`,
			later: `{"env": {"A": true}}`, dropIn: `{"env": {"A": null}}`, managed: `{"env": {"A": 1234567}}`},
			env: []string{"A=1", "A=1234567", "A=null", "A=true", "A=4"}},
		"hidden":           {files: map[string]string{"system/managed-settings.d/.10.json": `{"env": {"A": "1"}}`}},
		"an empty drop-in": {files: map[string]string{dropIn: "\n", later: `{"env": {"A": "1"}}`}, env: []string{"A=1"}},
		"not JSON":         {files: map[string]string{dropIn: "{", later: `{"env": {"A": "1"}}`}, env: []string{"A=1"}, note: "claude does not start"},
		"a drop-in that is a directory": {files: map[string]string{dropIn + "/x": "", later: `{"env": {"A": "1"}}`},
			env: []string{"A=1"}, note: "is a directory"},
	} {
		var env []string
		files, notes := setup(t, tt.files).Files()
		for _, f := range files {
			env = append(env, f.Env...)
		}
		if !slices.Equal(env, tt.env) || (len(notes) > 0) != (tt.note != "") || !strings.Contains(strings.Join(notes, ""), tt.note) {
			t.Errorf("%s: got %q, %q", name, env, notes)
		}
	}
}

// TestValueOfTheAdministrator: claude ignores one value of another type, and takes sandbox.enabled for true then.
func TestValueOfTheAdministrator(t *testing.T) {
	p := settled(t, map[string]string{dropIn: `{"sandbox": {"network": {"allowedDomains": 7, "deniedDomains": ["b.example"]}, "enabled": "no"}}`})
	if !p.Enabled || len(p.Denied) != 1 || len(p.Notes) != 1 || !strings.Contains(p.Notes[0], "a value that is ignored") {
		t.Errorf("got %+v", p)
	}
}

// Each was tried with the real claude or, for ports and addresses, is a case of sandbox-runtime's own matcher.
func TestDecides(t *testing.T) {
	for _, tt := range []struct {
		pattern, host string
		port          int
		want          bool
	}{
		{"a.example", "a.example", 443, true},
		{"A.example", "a.EXAMPLE", 443, true},
		{"a.example", "b.a.example", 443, false},
		{"*.a.example", "b.a.example", 443, true},
		{"*.a.example", "a.example", 443, false},
		{"*.a.example", "xa.example", 443, false},
		{"*", "a.example", 443, true},
		{"*:22", "a.example", 443, false},
		{"a.example:443", "a.example", 443, true},
		{"a.example:8443", "a.example", 443, false},
		{"a.example:0443", "a.example", 443, false},
		{"[2001:db8::1]:443", "2001:db8:0::1", 443, true},
		{"[2001:db8::1]", "[2001:db8::1]", 80, true},
		{"192.0.2.1", "192.0.2.1", 80, true},
		{"*.0.2.1", "192.0.2.1", 80, false},
		{"", "a.example", 443, false},
	} {
		p := Policy{Allowed: []Rule{{Pattern: tt.pattern}}}
		if _, got := p.Decides(tt.host, tt.port); got != tt.want {
			t.Errorf("%s, %s:%d: got %v", tt.pattern, tt.host, tt.port, got)
		}
		p.Denied = p.Allowed
		if by, got := p.Decides(tt.host, tt.port); got || (by != nil) != tt.want {
			t.Errorf("%s, denied, %s:%d: got %v", tt.pattern, tt.host, tt.port, got)
		}
	}
}

func TestNotes(t *testing.T) {
	for text, want := range map[string]string{
		"{\n\"sandbox\": {enabled":                        "is not valid JSON at line 2",
		`{"sandbox": {"enabled": "key-secret"}}`:          "sandbox.enabled is a string where it must be a bool",
		`{"sandbox": {"network": {"allowedDomains": 7}}}`: "sandbox.network.allowedDomains is a number where it must be a []string",
		"": "is not valid JSON at line 1",
	} {
		p := settled(t, map[string]string{user: text})
		if len(p.Notes) != 1 || !strings.Contains(p.Notes[0], want) || strings.Contains(p.Notes[0], "secret") || p.Enabled {
			t.Errorf("%q: got %+v", text, p)
		}
	}
}

// TestRuntime: one pattern that is not valid must not keep srt from starting.
func TestRuntime(t *testing.T) {
	p := settled(t, map[string]string{user: `{"sandbox": {"enabled": true, "network": {
		"allowedDomains": ["a.example", "https://b.example/", "*.com", "*", "*.c.example:443", "[::1]:80"],
		"deniedDomains": ["*:22", "http://x"]}}}`})
	var got struct {
		Network struct{ AllowedDomains, DeniedDomains []string }
	}
	if err := json.Unmarshal(p.Runtime([]string{"service.example"}), &got); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got.Network.AllowedDomains, []string{"a.example", "service.example", "*.c.example:443", "[::1]:80"}) ||
		!slices.Equal(got.Network.DeniedDomains, []string{"*:22"}) {
		t.Errorf("got %+v", got)
	}
}

func FuzzPolicy(f *testing.F) {
	f.Add([]byte(`{"sandbox": {"enabled": true, "network": {"allowedDomains": ["*.a.example:443", "[::1]"]}}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "settings.json"), text, 0o644); err != nil {
			t.Fatal(err)
		}
		p := Setup{Dir: dir, System: dir}.Policy()
		p.Decides("a.example", 443)
		if !json.Valid(p.Runtime([]string{"a.example"})) {
			t.Error("not JSON")
		}
	})
}
