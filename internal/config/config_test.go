package config

import (
	"bytes"
	"encoding/pem"
	"flag"
	"fmt"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/spf13/pflag"

	"netwatchd/internal/hostpaths"
	"netwatchd/internal/strictyaml"
)

var update = flag.Bool("update", false, "rewrite the .err files and the copy of the example")

const example = "../../config.example.yaml"

var system = hostpaths.Paths{State: "/var/lib/netwatchd", Run: "/run/netwatchd"}

var same = cmp.Options{
	cmp.Comparer(func(a, b *regexp.Regexp) bool { return a == b || a != nil && b != nil && a.String() == b.String() }),
	cmp.Comparer(func(a, b *url.URL) bool { return a == b || a != nil && b != nil && a.String() == b.String() }),
	cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
	cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b }),
	cmpopts.IgnoreFields(Config{}, "Path", "Assumed"),
}

func mustLoad(t *testing.T, path string) *Config {
	t.Helper()
	c, err := load(path, nil, system)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestTheExampleIsTheBuiltIn(t *testing.T) {
	if diff := cmp.Diff(builtin(system), mustLoad(t, example), same); diff != "" {
		t.Errorf("config.example.yaml differs from the built-in configuration (-built-in +example):\n%s", diff)
	}
}

// Removing any line of the example must leave the same configuration.
func TestEveryKeyOfTheExampleHasItsDefault(t *testing.T) {
	full, err := os.ReadFile(example)
	if err != nil {
		t.Fatal(err)
	}
	needed := regexp.MustCompile(`^\s+- name:|^\s+(kind|target|url|preset|method|expect|addresses|probes|sandbox):|^(controls|services):`)
	for i, line := range strings.Split(string(full), "\n") {
		key, _, _ := strings.Cut(line, "#")
		if _, value, ok := strings.Cut(key, ": "); !ok || strings.TrimSpace(value) == "" || needed.MatchString(key) {
			continue
		}
		text := strings.Replace(string(full), line+"\n", "", 1)
		c, err := load(write(t, text), nil, system)
		if err != nil {
			t.Errorf("without line %d, %q: %v", i+1, strings.TrimSpace(line), err)
			continue
		}
		if diff := cmp.Diff(builtin(system), c, same); diff != "" {
			t.Errorf("without line %d, %q, another configuration (-built-in +loaded):\n%s", i+1, strings.TrimSpace(line), diff)
		}
	}
}

// The .err file beside each testdata/*.yaml lists all its faults.
func TestFaults(t *testing.T) {
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(files) < 5 {
		t.Fatalf("found %d files, error %v", len(files), err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			_, err := load(file, nil, system)
			if err == nil {
				t.Fatal("loaded without an error")
			}
			got := strings.ReplaceAll(err.Error(), "testdata/", "") + "\n"
			golden := strings.TrimSuffix(file, ".yaml") + ".err"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// Every message says what is wrong, then what to do.
func TestEveryFaultSaysWhatToDo(t *testing.T) {
	files, _ := filepath.Glob("testdata/*.yaml")
	for _, file := range files {
		_, err := load(file, nil, system)
		e, ok := err.(*strictyaml.Error)
		if !ok {
			t.Fatalf("%s: %v", file, err)
		}
		for _, f := range e.Faults {
			if !strings.Contains(f.Message, ": ") && !strings.Contains(f.Message, "did you mean") {
				t.Errorf("%v: does not say what to do", f)
			}
		}
	}
}

func TestWholeFiles(t *testing.T) {
	bomb := "a: &a [x,x,x,x,x,x,x,x,x,x]\n"
	var services strings.Builder
	services.WriteString("services:\n- name: s\n  probes:\n  - {name: p, kind: dns, target: a.example, types: &t [" + strings.Repeat("A,", 20000) + "]}\n")
	for i := range 60 {
		services.WriteString(fmt.Sprintf("  - {name: p%d, kind: dns, target: a.example, types: *t}\n", i))
	}
	hugeLine := strings.Repeat("#", sizeLimit+1)
	for _, tt := range []struct{ name, text, want string }{
		{"empty", "", "is empty: remove it to use the defaults, or start from config.example.yaml"},
		{"comments", "# nothing\n\n", "is empty: remove it"},
		{"null", "---\n~\n", "is empty: remove it"},
		{"scalar", "hello\n", `:1: is the text "hello": write a mapping of web, storage`},
		{"list", "- a\n", ":1: is a list: write a mapping of web"},
		{"binary", "\x7fELF\x02\x01\x00\x00", ":1: is not text (it contains a zero byte): save it as UTF-8"},
		{"latin1", "log:\n  level: inf\xf6\n", ":2: is not valid UTF-8: save the file as UTF-8"},
		{"utf16", "\xff\xfel\x00o\x00", "is not text"},
		{"two documents", "log: {level: info}\n---\nlog: {level: warn}\n", ":2: a second YAML document starts here: keep one"},
		{"tab", "log:\n\tlevel: info\n", ":2: is indented with a tab: YAML requires spaces"},
		{"bracket", "log: {level: info\nweb: {}\n", "is not YAML ("},
		{"too large", hugeLine, "is larger than 8192 KiB: check that it is the right file"},
		{"unknown anchor", "log: *nowhere\n", "is not YAML (unknown anchor 'nowhere' referenced)"},
		{"small bomb", bomb + "b: *a\n", `unknown key "a"`},
		{"bomb", services.String(), "anchors expand to more than 1000000 values: write the values out"},
		{"anchor in itself", "log: &l {<<: *l, level: info}\n", "nests more than 8 merge keys (<<)"},
		{"deep", strings.Repeat("[", 20000), "is not YAML (exceeded max depth of 10000)"},
		{"complex key", "? [a, b]\n: c\n", `unknown key "a list"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := write(t, tt.text)
			_, err := load(path, nil, system)
			if err == nil || !strings.HasPrefix(err.Error(), path) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %s…%s…", first(err), path, tt.want)
			}
		})
	}
}

func first(err error) string {
	line, _, _ := strings.Cut(fmt.Sprint(err), "\n")
	return line
}

func TestFilesThatCannotBeRead(t *testing.T) {
	dir := t.TempDir()
	for path, want := range map[string]string{
		dir:                         "is a directory: use a file",
		filepath.Join(dir, "none"):  "no such file: check the path",
		filepath.Join(example, "x"): "not a directory: check the path",
	} {
		if _, err := load(path, nil, system); err == nil || err.Error() != path+": "+want {
			t.Errorf("got %v, want %s: %s", err, path, want)
		}
	}
}

func TestWhereTheFileIsLookedFor(t *testing.T) {
	dir := t.TempDir()
	env := map[string]string{"XDG_CONFIG_HOME": dir, "XDG_RUNTIME_DIR": "/run/user/7", "XDG_STATE_HOME": "relative: to be ignored"}
	at := hostpaths.OfUser(func(name string) string { return env[name] }, "/home/u")
	if at.Files[0] != "/etc/netwatchd/config.yaml" || at.State != "/home/u/.local/state/netwatchd" || at.Run != "/run/user/7/netwatchd" {
		t.Errorf("got %+v", at)
	}
	at.Files = []string{filepath.Join(dir, "absent.yaml"), at.Files[1]}
	c, err := load("", nil, at)
	if err != nil || c.Path != "" || c.StatusFile != "/run/user/7/netwatchd/status.json" {
		t.Errorf("without a file: got %v, %v", c, err)
	}
	mine := filepath.Join(dir, "netwatchd", "config.yaml")
	if err := os.MkdirAll(filepath.Dir(mine), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(mine, []byte("log: {level: warn}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err = load("", nil, at)
	if err != nil || c.Path != mine || c.Log.Level != "warn" {
		t.Errorf("got %v, %v; want %s read", c, err, mine)
	}
}

// nothing is an empty environment.
func nothing(string) string { return "" }

func TestWithoutARuntimeDirectoryTheStatusIsBesideTheStore(t *testing.T) {
	at := hostpaths.OfUser(nothing, "/home/u")
	if want := "/home/u/.local/state/netwatchd"; at.Run != want || at.State != want {
		t.Errorf("got %+v, want both in %s", at, want)
	}
}

// Under systemd the directories are those of the unit, for any user: a dynamic user has no home.
func TestInAUnit(t *testing.T) {
	credentials := t.TempDir()
	env := map[string]string{
		"STATE_DIRECTORY": "/var/lib/netwatchd@u:/var/lib/more", "RUNTIME_DIRECTORY": "/run/netwatchd@u", "CREDENTIALS_DIRECTORY": credentials,
	}
	unit := func() hostpaths.Paths {
		return hostpaths.OfUser(nothing, "/").InUnit(func(name string) string { return env[name] })
	}
	if at := unit(); at.State != "/var/lib/netwatchd@u" || at.Run != "/run/netwatchd@u" || at.Web != "" {
		t.Errorf("got %+v", at)
	}
	web := filepath.Join(credentials, "netwatchd.web.yml")
	if err := os.WriteFile(web, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if c := builtin(unit()); c.Web.ConfigFile != web || c.Storage.Path != "/var/lib/netwatchd@u" || c.StatusFile != "/run/netwatchd@u/status.json" {
		t.Errorf("got %+v, %+v, %s", c.Web, c.Storage, c.StatusFile)
	}
}

func TestPrecedence(t *testing.T) {
	file := write(t, "web: {listen: [\"127.0.0.1:1\"]}\nlog: {level: warn}\nstorage: {path: /file}\n")
	for _, tt := range []struct {
		name string
		args []string
		env  map[string]string
		want Config
	}{
		{"file over default", nil, nil, Config{Web: Web{Listen: []string{"127.0.0.1:1"}}, Storage: Storage{Path: "/file"}, Log: Log{"warn", "auto"}}},
		{"variable over file", nil, map[string]string{"NETWATCHD_LOG_LEVEL": "debug", "NETWATCHD_LOG_FORMAT": "json",
			"NETWATCHD_WEB_LISTEN_ADDRESS": "127.0.0.1:2,[::1]:3", "NETWATCHD_STORAGE_PATH": "/variable"},
			Config{Web: Web{Listen: []string{"127.0.0.1:2", "[::1]:3"}}, Storage: Storage{Path: "/variable"}, Log: Log{"debug", "json"}}},
		{"flag over variable", []string{"--log.level=error", "--web.listen-address=[::1]:4", "--web.listen-address=:5", "--storage.path=/flag"},
			map[string]string{"NETWATCHD_LOG_LEVEL": "debug", "NETWATCHD_WEB_LISTEN_ADDRESS": "127.0.0.1:2", "NETWATCHD_STORAGE_PATH": "/variable"},
			Config{Web: Web{Listen: []string{"[::1]:4", ":5"}}, Storage: Storage{Path: "/flag"}, Log: Log{"error", "auto"}}},
		{"empty variable is none", nil, map[string]string{"NETWATCHD_LOG_LEVEL": ""},
			Config{Web: Web{Listen: []string{"127.0.0.1:1"}}, Storage: Storage{Path: "/file"}, Log: Log{"warn", "auto"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for name, value := range tt.env {
				t.Setenv(name, value)
			}
			t.Setenv("NETWATCHD_CONFIG_FILE", file)
			flags := pflag.NewFlagSet("netwatchd", pflag.ContinueOnError)
			overrides := BindFlags(flags)
			if err := flags.Parse(tt.args); err != nil {
				t.Fatal(err)
			}
			c, err := Load("", overrides)
			if err != nil {
				t.Fatal(err)
			}
			got := Config{Web: c.Web, Storage: Storage{Path: c.Storage.Path}, Log: c.Log}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if c.Path != file {
				t.Errorf("read %q, want %q", c.Path, file)
			}
		})
	}
}

func TestOverridesAreChecked(t *testing.T) {
	t.Setenv("NETWATCHD_LOG_FORMAT", "xml")
	flags := pflag.NewFlagSet("netwatchd", pflag.ContinueOnError)
	overrides := BindFlags(flags)
	err := flags.Parse([]string{"--log.level=loud", "--web.listen-address=here", "--web.config.file=/none", "--storage.path="})
	if err != nil {
		t.Fatal(err)
	}
	_, err = load(write(t, "log: {level: quiet}\n"), overrides, system)
	var got []string
	for _, f := range err.(*strictyaml.Error).Faults[1:] { // the first is the file's
		got = append(got, f.String())
	}
	want := []string{
		`--web.listen-address: "here" is not a listen address: write host:port, like 127.0.0.1:19405 or [::1]:19405`,
		`--web.config.file: invalid web configuration: open /none: no such file or directory: fix that file, or remove the key to serve plain HTTP`,
		`--storage.path: is empty: write a value, or remove the key`,
		`--log.level: unknown value "loud": use one of debug, info, warn, error`,
		`NETWATCHD_LOG_FORMAT: unknown value "xml": use one of auto, text, json`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

const everything = `
defaults: {interval: 1m, timeout: 3s}
resolvers: {system: false, files: [], direct: []}
controls: []
services:
- name: everything
  late: 1500ms
  severity: {upstream: ticket, ipv6: none}
  moves: {results: 3, of: 5}
  intermittent: {failures: 0, of: 15}
  sandbox: {command: [wrap, --], want: open, interval: 10m}
  probes:
  - &http {name: a, kind: http, target: "http://a.example/?q=1", proxy_file: proxy, nameservers: ["127.0.0.1:5300", 9.9.9.9, "::1"], family: ipv6}
  - {<<: *http, name: b, target: "https://b.example", tls: {issuer: "Let's Encrypt", name: c.example},
     expect: {body: "^x: \"[y]\\s", headers: {X-Z: "a: b", Allow: "on"}}}
  - {name: c, kind: dns, target: _dmarc.a.example., types: [TXT], expect: {answers: ["v=DMARC1; p=none", "yes"]}, interval: 1d12h}
  - {name: d, kind: stream, target: "ws://127.0.0.1:1/", hold: 2m, timeout: 3m, proxy: none}
  - {name: e, kind: exec, command: [/bin/true, "", "- #"], expect: {output: ""}}
  - {name: f, kind: exec, preset: codex, expect: {output: ""}, codex: {path: ./codex, home: ~/.codex, provider: builtin}, budget: {runs_per_day: 3}}
`

func everythingLoaded(t *testing.T) *Config {
	t.Helper()
	path := write(t, everything)
	if err := os.WriteFile(filepath.Join(filepath.Dir(path), "proxy"), []byte("http://user:hunter2@proxy.example:3128\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return mustLoad(t, path)
}

func TestWhatIsShownLoadsToTheSame(t *testing.T) {
	for name, c := range map[string]*Config{"built-in": builtin(system), "everything": everythingLoaded(t)} {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			if err := c.Show(&b); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c, mustLoad(t, write(t, b.String())), same); diff != "" {
				t.Errorf("(-shown +loaded):\n%s\n%s", diff, &b)
			}
		})
	}
}

func TestSecretsAreNotShown(t *testing.T) {
	c := everythingLoaded(t)
	if got, want := c.Services[0].Probes[0].Proxy, "http://user:hunter2@proxy.example:3128"; got != want {
		t.Fatalf("proxy %q, want %q", got, want)
	}
	var b bytes.Buffer
	if err := c.Show(&b); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"http://user:hunter2@x y", "http://user:hunter2@proxy:99999", "ftp://user:hunter2@proxy"} {
		for _, key := range []string{"target", "proxy"} {
			text := fmt.Sprintf("services: [{name: s, probes: [{name: p, kind: http, target: 'http://t', %s: %q}]}]", key, bad)
			_, err := load(write(t, strings.Replace(text, "target: 'http://t', target", "target", 1)), nil, system)
			if err == nil {
				t.Errorf("%s %s: loaded", key, bad)
			}
			fmt.Fprintln(&b, err)
		}
		path := write(t, bad)
		_, err := readProxy(path)
		fmt.Fprintln(&b, err)
	}
	if i := strings.Index(b.String(), "hunter2"); i >= 0 {
		t.Errorf("the password is in %q", b.String()[max(0, i-200):i+20])
	}
}

func tenThousand() string {
	var b strings.Builder
	b.WriteString("services:\n- name: many\n  probes:\n")
	for i := range 5000 {
		fmt.Fprintf(&b, "  - {name: dns-%d, kind: dns, target: host-%d.example.com, types: [A], interval: 1s, timeout: 900ms}\n", i, i)
		fmt.Fprintf(&b, "  - name: http-%d\n    kind: http\n    target: \"https://host-%d.example.com/\"\n    expect:\n      status: [200]\n      headers: {Content-Type: text/html}\n", i, i)
	}
	return b.String()
}

func TestTenThousandProbes(t *testing.T) {
	c := mustLoad(t, write(t, tenThousand()))
	if got := len(c.Services[0].Probes); got != 10000 {
		t.Errorf("got %d probes, want 10000", got)
	}
}

func BenchmarkLoadTenThousandProbes(b *testing.B) {
	path := filepath.Join(b.TempDir(), "config.yaml")
	if err := os.WriteFile(path, []byte(tenThousand()), 0o600); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := load(path, nil, system); err != nil {
			b.Fatal(err)
		}
	}
}

// Load never panics, and what it accepts can be shown and loaded again.
func FuzzLoad(f *testing.F) {
	f.Add([]byte(everything))
	f.Add([]byte("services: &a\n- *a\n"))
	f.Add([]byte("log: &l {<<: [*l, *l]}\n? {}\n: {}\n"))
	files, _ := filepath.Glob("testdata/*.yaml")
	for _, file := range append(files, example) {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		dir := t.TempDir()
		path := filepath.Join(dir, "a.yaml")
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := load(path, nil, system)
		if err != nil {
			if _, ok := err.(*strictyaml.Error); !ok || err.Error() == "" {
				t.Errorf("got %T %v", err, err)
			}
			return
		}
		var b bytes.Buffer
		if err := c.Show(&b); err != nil {
			t.Fatal(err)
		}
		again := filepath.Join(dir, "b.yaml")
		if err := os.WriteFile(again, b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		second, err := load(again, nil, system)
		if err != nil {
			t.Fatalf("%v\n%s", err, &b)
		}
		if diff := cmp.Diff(c, second, same); diff != "" {
			t.Errorf("(-shown +loaded):\n%s", diff)
		}
	})
}

func TestFilesAreRelativeToTheFileThatNamesThem(t *testing.T) {
	server := httptest.NewTLSServer(nil)
	defer server.Close()
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	path := write(t, `
web: {config_file: web.yaml}
storage: {path: store}
services: [{name: s, probes: [{name: p, kind: http, target: "https://a.example/", tls: {ca_file: ca.pem}}]}]
`)
	dir := filepath.Dir(path)
	for name, text := range map[string][]byte{"ca.pem": certificate, "web.yaml": []byte("basic_auth_users: {}\n")} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c := mustLoad(t, path)
	got := []string{c.Web.ConfigFile, c.Storage.Path, c.Services[0].Probes[0].TLS.CAFile}
	want := []string{filepath.Join(dir, "web.yaml"), filepath.Join(dir, "store"), filepath.Join(dir, "ca.pem")}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestCertificateFiles has what may stand where a file of certificates is wanted. None of it may block.
func TestCertificateFiles(t *testing.T) {
	dir := t.TempDir()
	pipe, large, half := filepath.Join(dir, "pipe"), filepath.Join(dir, "large"), filepath.Join(dir, "half")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, text := range map[string]string{large: strings.Repeat("\n", 64<<20), half: "-----BEGIN CERTIFICATE-----\nMIIB"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for path, want := range map[string]string{
		pipe: "is not a regular file", dir: "is a directory", large: "is larger than 4096 KiB", half: "contains no certificate",
		filepath.Join(dir, "missing"): "no such file",
	} {
		if err := checkCAFile(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", filepath.Base(path), err, want)
		}
	}
}
